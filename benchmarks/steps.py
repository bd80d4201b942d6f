"""What the steps of one message cost, in microseconds of one core: where a change of the store or the executor shows.

    python -m benchmarks.steps [--at-once 32] [--rounds 200]

The steps are carried out by themselves, on a database in memory: nothing waits for a disk, and no far side is asked.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import TypeVar

import uvloop

from benchmarks.store import TEXT
from vestnik.delivery.attempt_metrics import AttemptCollector
from vestnik.delivery.ids import IdFactory
from vestnik.delivery.model import Delivered, MessageId, RetryPolicy, Settlement, TaskId, settle
from vestnik.delivery.store import claims, intake
from vestnik.delivery.store.intake import NewMessage
from vestnik.delivery.store.settlements import settle_all
from vestnik.runtime.clock import wall
from vestnik.runtime.deadlines import Deadlines, TimeLimit
from vestnik.storage.database import Connection, Database
from vestnik.storage.migrations.upgrade import upgrade

CHANNEL, RECIPIENT = "out", "79990000001"

T = TypeVar("T")


class Steps:
    """The times that each step took, a task; `at_once` is how many tasks go through it together."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._ids = IdFactory(wall)
        self._metrics = AttemptCollector()
        self._deadlines = Deadlines()
        self.took: dict[str, list[float]] = {}

    def round(self, connection: Connection) -> None:
        messages = [self._message() for _ in range(self._at_once)]
        self._timed("register", lambda: intake.register_all(connection, messages))
        claimed = self._timed("claim", lambda: claims.claim(connection, CHANNEL, "benchmark", wall(), self._at_once))
        policy, now = RetryPolicy(), wall()
        ends = self._timed("decide", lambda: [settle(task, Delivered(), policy, now) for task in claimed.tasks])
        self._timed("settle", lambda: settle_all(connection, [(end, now) for end in ends]))
        self._timed("count", lambda: self._count(ends))

    async def limits(self) -> None:
        await self._awaited("limit the time", self._limited)
        await self._awaited("asyncio.timeout instead", self._timeout)

    def report(self) -> str:
        return "\n".join(
            f"{name:24} {median(times) / self._at_once * 1e6:6.2f} µs" for name, times in self.took.items()
        )

    def _message(self) -> NewMessage:
        now = wall()
        recipients = [(TaskId(self._ids.next()), RECIPIENT)]
        return NewMessage(MessageId(self._ids.next()), CHANNEL, TEXT, None, None, now, now, None, recipients)

    def _count(self, ends: list[Settlement]) -> None:
        for end in ends:
            self._metrics.started(end.task)
        for end in ends:
            self._metrics.ended(end, 0.01)

    async def _limited(self) -> None:
        for _ in range(self._at_once):
            with TimeLimit(self._deadlines, 30.0):
                await _at_once()

    async def _timeout(self) -> None:
        for _ in range(self._at_once):
            async with asyncio.timeout(30.0):
                await _at_once()

    def _timed(self, name: str, step: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = step()
        self.took.setdefault(name, []).append(time.perf_counter() - began)
        return result

    async def _awaited(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        began = time.perf_counter()
        await step()
        self.took.setdefault(name, []).append(time.perf_counter() - began)


async def _at_once() -> None:
    """What is done before its time is over, as nearly everything is."""


async def main(at_once: int, rounds: int) -> None:
    database = Database(None)
    await database.open()
    try:
        await database.maintain(upgrade)
        steps = Steps(at_once)
        for _ in range(rounds):
            await database.write(steps.round)
            await steps.limits()
        print(steps.report())
    finally:
        await database.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.steps")
    parser.add_argument("--at-once", type=int, default=32, help="tasks that share a commit (32)")
    parser.add_argument("--rounds", type=int, default=200, help="of which the medians are shown (200)")
    chosen = parser.parse_args()
    uvloop.install()
    asyncio.run(main(chosen.at_once, chosen.rounds))
