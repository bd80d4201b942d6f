"""Vestnik's delivery service without HTTP: `python -m benchmarks.vestnik_inside DATABASE SECONDS` enqueues.

As an application would that embeds it: no daemon, no executors, the same service, queue and store.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from benchmarks.peers.work import TEXT, by_coroutines
from vestnik.delivery.attempt_metrics import AttemptCollector
from vestnik.delivery.channel import Channel, ChannelRegistry
from vestnik.delivery.ids import IdFactory
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.service import Delivery, Send
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.store import intake
from vestnik.delivery.workers.null import NullSettings, NullWorker
from vestnik.runtime.clock import wall
from vestnik.runtime.redaction import Redactor
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade

CHANNEL = "nowhere"


async def main(path: Path, seconds: float) -> None:
    database = Database(path)
    await database.open()
    try:
        await database.maintain(upgrade)
        delivery = Delivery(ChannelRegistry(), [database], IdFactory(wall, above=await database.read(intake.ceiling)))
        delivery.registry.register(_channel(database, delivery))
        send = Send(channel=CHANNEL, text=TEXT)
        await by_coroutines(lambda: delivery.send(send), seconds)
    finally:
        await database.close()


def _channel(database: Database, delivery: Delivery) -> Channel:
    return Channel(
        CHANNEL,
        ChannelSettings(worker="null"),
        NullWorker(NullSettings(), CHANNEL),
        database=database,
        queue=DurableQueue(database, CHANNEL, "benchmark"),
        observer=AttemptCollector(),
        redact=Redactor(),
        pause=delivery.pause,
    )


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
