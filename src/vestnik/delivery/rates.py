"""How fast a channel may go: at most N in any window, in total and for each recipient."""

from __future__ import annotations

import asyncio
import contextlib

from vestnik.delivery.model import Task
from vestnik.delivery.recipient_rate import RecipientRate
from vestnik.delivery.sliding_window import LONGEST_SLEEP, SlidingWindow
from vestnik.runtime.clock import Clock, monotonic
from vestnik.settings.values import Rate


class Limiter:
    """The rates of one channel. An executor reserves a place, gets its task, and starts; or gives the place back."""

    def __init__(self, total: Rate | None, per_recipient: Rate | None, *, clock: Clock = monotonic) -> None:
        self._total = SlidingWindow(total) if total else None
        self._per_recipient = per_recipient
        self._recipients: dict[str, RecipientRate] = {}
        self._kept = 0  # recipients that were still waited for when the table was last tidied
        self._reserved = 0
        self._held_until = 0.0
        self._changed = asyncio.Event()
        self._clock = clock

    async def reserve(self) -> None:
        """Wait until one more may start."""
        while (wait := self._wait()) > 0:
            self._changed.clear()
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait, LONGEST_SLEEP)):
                    await self._changed.wait()
        self._reserved += 1

    def cancel(self) -> None:
        """Give a reserved place back."""
        self._reserved -= 1
        self._changed.set()

    def start(self, task: Task) -> float:
        """Use the reserved place for a task. Returns the seconds it still has to wait; 0 means go.

        When it has to wait, the place stays reserved, and its turn among those to the same recipient is kept.
        """
        now = self._clock()
        if self._per_recipient and (wait := self._recipient(task.recipient, now).start(task.id, now)) > 0:
            return wait
        if self._total:
            self._total.start(now)
        self.cancel()
        return 0.0

    def hold(self, seconds: float) -> None:
        """Nothing starts for so long: the far side asked for it."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    def held(self) -> bool:
        return self._held_until > self._clock()

    def _wait(self) -> float:
        now = self._clock()
        total = self._total.wait(now, reserved=self._reserved) if self._total else 0.0
        return max(self._held_until - now, total)

    def _recipient(self, recipient: str, now: float) -> RecipientRate:
        assert self._per_recipient is not None  # noqa: S101 - its only caller asks for it
        if recipient not in self._recipients:
            # What nobody waits for is dropped when the table has doubled, not at every message.
            if len(self._recipients) >= 2 * max(512, self._kept):
                self._recipients = {r: rate for r, rate in self._recipients.items() if not rate.idle(now)}
                self._kept = len(self._recipients)
            self._recipients[recipient] = RecipientRate(self._per_recipient)
        return self._recipients[recipient]
