"""Watches for a wall clock that is set while we run, by more than its daily corrections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

from vestnik.runtime.clock import Clock, monotonic, wall
from vestnik.runtime.log import get_logger
from vestnik.runtime.service import Loop

log = get_logger(__name__)

PERIOD = 1.0  # seconds between two looks
SMALLEST = 1.0  # seconds that are worth a word
AGAIN = 30.0  # seconds; longer than any write takes
DOUBT = 600.0  # seconds after a jump forward in which nothing is ended or deleted for its age


class ClockWatch:
    """Calls `set_back` when the clock was, and says for a while after a jump that the time is in doubt.

    A far year that is corrected a minute later must not have cost what it made look old.
    """

    def __init__(
        self,
        set_back: Callable[[], Awaitable[int]],
        jumps: Counter,
        *,
        held: Callable[[], bool],
        clock: Clock = wall,
        steady: Clock = monotonic,
    ) -> None:
        """`set_back` returns how many tasks it moved; it waits while `held`. `jumps` has a label: forward or back."""
        self._set_back = set_back
        self._jumps = jumps
        self._held = held
        self._clock, self._steady = clock, steady
        self._offset = clock() - steady()
        self._owed: list[float] = []  # when to call `set_back`, by the steady clock
        self._doubt_until = 0.0
        self._loop = Loop("clock watch", self._step)

    def in_doubt(self) -> bool:
        """Looks first: whoever asks is about to act on the time."""
        self._notice()
        return self._steady() < self._doubt_until

    def start(self, *, behind: bool = False) -> None:
        """`behind`: it was set back while nobody was watching."""
        if behind:
            self._owe()
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _step(self) -> None:
        await self.look()
        await asyncio.sleep(PERIOD)

    async def look(self) -> None:
        self._notice()
        if self._owed and self._owed[0] <= self._steady() and not self._held():
            due = self._owed.pop(0)  # before the clock can be set back once more, which is owed anew
            try:
                tasks = await self._set_back()
            except BaseException:
                self._owed.insert(0, due)
                raise
            log.warning("moved what would have waited for the old time to come again", tasks=tasks)

    def _notice(self) -> None:
        offset = self._clock() - self._steady()
        jump, self._offset = offset - self._offset, offset
        if jump >= SMALLEST:
            log.error("the clock was set forward", seconds=round(jump, 1))
            self._jumps.labels("forward").inc()
            self._doubt_until = self._steady() + DOUBT
        elif jump <= -SMALLEST:
            log.error("the clock was set back", seconds=round(-jump, 1))
            self._jumps.labels("back").inc()
            self._doubt_until = 0.0
            self._owe()

    def _owe(self) -> None:
        # A second time for what was on its way into the database by the old time.
        now = self._steady()
        self._owed = [now, now + AGAIN]
