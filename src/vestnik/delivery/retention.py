"""The job that forgets what ended long ago, in steps so small that nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from prometheus_client import Counter

from vestnik.delivery.store.retention import Forgotten, forget_ended
from vestnik.runtime.clock import Clock, wall
from vestnik.runtime.log import get_logger
from vestnik.runtime.service import Loop
from vestnik.storage.database import Connection, Database

log = get_logger(__name__)

STEP = 100  # messages in one transaction: some milliseconds
PAUSE = 0.05  # seconds between two steps, for everybody else
REST = 600.0  # seconds between two rounds


class Retention:
    """Rounds over all messages, oldest first. `keep` counts from the end of a message's last task."""

    def __init__(
        self,
        databases: Sequence[Database],
        keep: timedelta,
        *,
        held: Callable[[], bool],
        forgotten: Counter,
        clock: Clock = wall,
    ) -> None:
        """While `held`, nothing is deleted."""
        self._databases = databases
        self._keep = keep.total_seconds()
        self._held = held
        self._forgotten = forgotten
        self._clock = clock
        self._loop = Loop("retention", self._round)

    def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _round(self) -> None:
        total = 0
        for database in self._databases:
            total += await self.forget(database)
        if total:
            log.info("forgot what ended long ago", messages=total)
        await asyncio.sleep(REST)

    async def forget(self, database: Database) -> int:
        """One round over a database; returns how many messages went."""
        now, after, total = self._clock(), 0, 0
        while not self._held():
            step = await database.write(self._step(now, after))
            total += step.messages
            self._forgotten.inc(step.messages)
            if step.next_after is None:
                break
            after = step.next_after
            await asyncio.sleep(PAUSE)
        return total

    def _step(self, now: float, after: int) -> Callable[[Connection], Forgotten]:
        return lambda connection: forget_ended(connection, now - self._keep, after, STEP, now=now)
