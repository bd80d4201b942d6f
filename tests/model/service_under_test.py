"""The same daemon, whole: the service, a queue for each channel and the databases with their threads.

The machine takes the place of the executors. Nothing waits for time: the clock is set, and a queue is asked only after
it has had its turn.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from deliveries import RecordingWorker, SetClock, Watching
from invariants import Rows, read_rows
from prometheus_client import Counter
from truth import CHANNELS
from under_test import Answer

from vestnik.delivery.channel import MAINTENANCE, Channel, ChannelRegistry
from vestnik.delivery.ids import IdFactory
from vestnik.delivery.model import Outcome, Task, settle
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.retention import Retention
from vestnik.delivery.service import Delivery, Send
from vestnik.delivery.store import intake
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.intake import OtherContent
from vestnik.errors import Conflict, InvalidInput
from vestnik.runtime.redaction import Redactor
from vestnik.storage.database import Database

T = TypeVar("T")

TURNS = 20  # of the event loop, in which a queue that was woken begins its claim


class ServiceUnderTest:
    service_class = Delivery
    queue_class = DurableQueue

    def __init__(self, template: Path, directory: Path, clock: SetClock) -> None:
        self.clock = clock
        self.owner = ""
        self._starts = 0
        self._template = template
        self._path = directory / "model.db"
        shutil.copyfile(template, self._path)
        self._runner = asyncio.Runner()

    def start(self) -> None:
        self._starts += 1
        self.owner = f"owner {self._starts}"
        self._run(self._start())

    async def _start(self) -> None:
        self._disk, self._memory = Database(self._path), Database(None)
        await self._disk.open()
        await self._memory.open()
        await self._disk.maintain(lambda c: c.execute("PRAGMA synchronous = OFF"))
        await self._memory.maintain(self._fill)
        ids = IdFactory(self.clock, above=await self._disk.read(intake.ceiling))
        self._registry = ChannelRegistry()
        self._delivery = self.service_class(self._registry, [self._disk, self._memory], ids, clock=self.clock)
        self._workers = {name: RecordingWorker(channel=name) for name in CHANNELS}
        for name in CHANNELS:
            self._registry.register(self._channel(name))
        await self._delivery.restore()
        for channel in self._registry:
            channel.queue.start()

    def _fill(self, connection: sqlite3.Connection) -> None:
        """Migrations take longer than all the rest."""
        template = sqlite3.connect(self._template)
        template.backup(connection)
        template.close()

    def _channel(self, name: str) -> Channel:
        settings = CHANNELS[name]
        database = self._memory if settings.queue == "memory" else self._disk
        return Channel(
            name,
            settings,
            self._workers[name],
            database=database,
            queue=self.queue_class(database, name, self.owner, clock=self.clock),
            observer=Watching(),
            redact=Redactor(),
            pause=self._delivery.pause,
        )

    def stop(self) -> None:
        self._run(self._stop())

    async def _stop(self) -> None:
        for channel in self._registry:
            await channel.queue.stop()
        await self._disk.close()
        await self._memory.close()

    def kill(self) -> None:
        """What is running stays so. That a kill loses nothing that was committed is tested with real processes."""
        self.stop()

    def accept(self, sent: Sequence[Send], recipients: Sequence[str]) -> list[Answer]:
        for worker in self._workers.values():
            worker.to = tuple(recipients)
        return self._run(_together([self._send(send) for send in sent]))

    async def _send(self, send: Send) -> Answer:
        try:
            return await self._delivery.send(send)
        except InvalidInput:
            return OtherContent()

    def claim(self, channel: str, limit: int) -> list[Task]:
        return self._run(self._claim(self._registry.get(channel).queue, limit))

    async def _claim(self, queue: DurableQueue, limit: int) -> list[Task]:
        getters = [asyncio.create_task(queue.get()) for _ in range(limit)]
        for _ in range(TURNS):
            await asyncio.sleep(0)
        await queue.hold("look")  # returns when the claim under way is done
        await asyncio.sleep(0)
        idle = [getter for getter in getters if not getter.done()]
        for getter in idle:
            getter.cancel()
        await asyncio.gather(*idle, return_exceptions=True)
        queue.resume("look")
        return [task for getter in getters if not getter.cancelled() and (task := getter.result())]

    def end(self, ends: Sequence[tuple[Task, Outcome]]) -> list[bool]:
        return self._run(_together([self._end(task, outcome) for task, outcome in ends]))

    async def _end(self, task: Task, outcome: Outcome) -> bool:
        channel = self._registry.get(task.channel)
        written = await channel.queue.done(settle(task, outcome, channel.settings.policy(), self.clock.now))
        return written is not None

    def give_back(self, task: Task, wait: float) -> None:
        self._run(self._registry.get(task.channel).queue.give_back(task, wait))

    def cancel(self, message_id: int) -> Cancellation:
        try:
            return self._run(self._delivery.cancel(message_id))
        except Conflict:
            return Cancellation.ENDED

    def resend(self, message_id: int, recipients: Sequence[str]) -> int:
        """The service finds out itself who gets a copy."""
        return self._run(self._delivery.resend(message_id, again=True)).id

    def sweep(self) -> None:
        self._run(self._delivery.sweep())

    def forget(self, keep: float) -> None:
        retention = Retention(
            [self._disk, self._memory],
            timedelta(seconds=keep),
            held=lambda: False,
            forgotten=Counter("forgotten", "Not looked at.", registry=None),
            clock=self.clock,
        )
        self._run(retention.forget(self._disk))
        self._run(retention.forget(self._memory))

    def follow_clock(self) -> None:
        self._run(self._delivery.follow_clock_back())

    def hold(self, channel: str) -> None:
        self._run(self._delivery.pause(channel, "held by the test"))

    def release(self, channel: str) -> None:
        self._run(self._delivery.start(channel))

    def maintenance(self, *, on: bool) -> None:
        for channel in self._registry:
            if on:
                self._run(channel.queue.hold(MAINTENANCE))
            else:
                channel.queue.resume(MAINTENANCE)

    def reopen(self) -> None:
        self._run(self._reopen())

    async def _reopen(self) -> None:
        await self._disk.close()
        await self._disk.open()

    def rows(self) -> Rows:
        return self._run(self._disk.read(read_rows)) | self._run(self._memory.read(read_rows))

    def discard(self) -> None:
        self.stop()
        self._runner.close()
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


async def _together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """So that they share a commit."""
    return await asyncio.gather(*works)
