"""An asyncio queue over a table. On a database in memory it is the `memory` queue; on disk it is the durable one.

Exactly as many tasks are claimed as executors wait for one: what is `running` in the table has really begun, so after
a crash only those are marked as possibly sent, and the backlog never is in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any

from vestnik.delivery.model import Settlement, Task, TaskState, Timestamp
from vestnik.delivery.store import claims, intake, lookup
from vestnik.delivery.store.intake import NewMessage, OtherContent, Registered
from vestnik.delivery.store.settlements import settle_all
from vestnik.errors import StoreUnavailable
from vestnik.runtime.clock import Clock, wall
from vestnik.runtime.log import get_logger
from vestnik.runtime.service import Loop
from vestnik.storage.database import Batch, Connection, Database

log = get_logger(__name__)

RETRY = 0.5  # seconds between two tries to give a task back
LONGEST_STOP = 2.0  # seconds
STOPPED = "stopped"
POLL = 5.0  # seconds; the longest sleep, so that a clock that was set, or a missed signal, heals by itself


class DurableQueue:
    """The QueueManager of one channel. `owner` is random for each start of the process."""

    def __init__(self, database: Database, channel: str, owner: str, *, clock: Clock = wall) -> None:
        self._database = database
        self._channel = channel
        self._owner = owner
        self._clock = clock
        self._registrations = Batch(database, intake.register_all, intake.rows)
        self._settlements = Batch(database, settle_all, lambda _: 1)
        self._claims = Batch(database, self._claim_all, lambda wish: wish[1])
        self._getters: deque[asyncio.Future[Task | None]] = deque()
        self._terminations = 0
        self._held: set[str] = set()
        self._wake = asyncio.Event()
        self._blocked: claims.Blocked = {}  # believed for a while: thousands may have expired, and be ended only later
        self._looked_at = 0.0
        self._claiming = asyncio.Lock()
        self._loop = Loop(f"queue of {channel}", self._hand_out)

    def start(self) -> None:
        self._terminations = 0  # what executors that were broken off did not take
        self._held.discard(STOPPED)
        self._loop.start()

    async def stop(self) -> None:
        """Waits for a claim under way: broken off, its tasks would stay `running` and count as possibly sent."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_STOP):
                await self.hold(STOPPED)
        await self._loop.stop()

    def put(self, message: NewMessage) -> asyncio.Future[Registered | OtherContent]:
        if self._database.nearly_full:
            raise StoreUnavailable(f"{self._database.name}: the disk is nearly full")
        registering = self._registrations.submit(message)
        if message.due_at <= message.created_at + POLL:  # what is due later is seen in time: no sleep is longer
            registering.add_done_callback(self._may_be_due)
        return registering

    async def get(self) -> Task | None:
        if self._terminations:
            self._terminations -= 1
            return None
        getter: asyncio.Future[Task | None] = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        self._wake.set()
        try:
            return await getter
        except asyncio.CancelledError:
            if getter.done() and not getter.cancelled() and (task := getter.result()):
                await asyncio.shield(self.give_back(task, 0.0))
            raise

    def done(self, settlement: Settlement) -> asyncio.Future[TaskState | None]:
        writing = self._settlements.submit((settlement, self._clock()))
        if settlement.due_at is not None:
            writing.add_done_callback(self._may_be_due)
        return writing

    async def give_back(self, task: Task, wait: float) -> None:
        """Until it is written: nobody else would take up a task that stayed `running` before a restart."""
        now = self._clock()
        due = now + wait if wait > 0 else 0.0  # 0: it keeps its place
        while True:
            try:
                await self._database.write(lambda c: claims.give_back(c, task, due, now))
            except StoreUnavailable as error:
                log.warning("cannot give a task back, trying again: %s", error, channel=self._channel, task=task.id)
                await asyncio.sleep(RETRY)
            else:
                break
        self.wake()

    def wake(self) -> None:
        """Look for due tasks now, from the first on: somebody has put some into the table, or let some go."""
        self._looked_at = 0.0
        self._wake.set()

    def _may_be_due(self, _: asyncio.Future[Any]) -> None:
        self._wake.set()

    async def has_tasks(self) -> bool:
        return await self._database.read(lambda c: lookup.oldest_due(c, self._channel)) is not None

    async def hold(self, reason: str) -> None:
        self._held.add(reason)
        async with self._claiming:
            return

    def resume(self, reason: str) -> None:
        self._held.discard(reason)
        self._wake.set()

    def terminate(self, executors: int) -> None:
        self._terminations += executors
        while self._terminations and (getter := self._next_getter()):
            self._terminations -= 1
            getter.set_result(None)

    async def _hand_out(self) -> None:
        """One round: claim for those that wait, then sleep until something can have changed."""
        self._wake.clear()
        next_due = await self._claim()
        if next_due is None or next_due > self._clock():
            wait = POLL if next_due is None else min(POLL, next_due - self._clock())
            # A timer that wakes, as a time limit costs six times as much, at each claim.
            timer = asyncio.get_running_loop().call_later(wait, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    async def _claim(self) -> float | None:
        async with self._claiming:
            wanted = sum(not getter.done() for getter in self._getters)
            if not wanted or self._held:
                return None
            now = self._clock()
            if not 0 <= now - self._looked_at < POLL:
                self._blocked, self._looked_at = {}, now
            found = await self._claims.submit((now, wanted))
            self._blocked = found.blocked
            for task in found.tasks:
                if getter := self._next_getter():
                    getter.set_result(task)
                else:  # its executor was stopped meanwhile
                    await self.give_back(task, 0.0)
            return found.next_due

    def _claim_all(self, connection: Connection, wishes: Sequence[tuple[Timestamp, int]]) -> list[claims.Claimed]:
        return [
            claims.claim(connection, self._channel, self._owner, now, wanted, self._blocked) for now, wanted in wishes
        ]

    def _next_getter(self) -> asyncio.Future[Task | None] | None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                return getter
        return None
