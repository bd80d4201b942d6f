"""Time limits on one timer of the event loop, however many there are and however often they are set.

`asyncio.timeout` sets and cancels a timer for each wait, which costs more than sending a short request. Nearly every
limit is met, so here a limit is a number in a dictionary, looked at when the earliest of them may be over.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Protocol


class Expiring(Protocol):
    def expire(self) -> None:
        """Make whoever waits for this see a TimeoutError."""


class Deadlines:
    """Made in the running loop. A thing that waits has one deadline at most."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadlines: dict[Expiring, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = math.inf  # when the timer will go off

    def set(self, waiting: Expiring, deadline: float) -> None:
        """By the event loop's clock. Takes the place of an earlier one."""
        self._deadlines[waiting] = deadline
        if deadline < self._looked_at:
            self._look_at(deadline)

    def clear(self, waiting: Expiring) -> None:
        self._deadlines.pop(waiting, None)

    def close(self) -> None:
        """Drop the timer; nothing expires any more."""
        self._deadlines.clear()
        self._look_at(math.inf)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if when == math.inf else self._loop.call_at(when, self._look)
        self._looked_at = when

    def _look(self) -> None:
        now = self._loop.time()
        try:
            for waiting in [waiting for waiting, deadline in self._deadlines.items() if deadline <= now]:
                del self._deadlines[waiting]
                waiting.expire()
        finally:  # a bug in one of them must not leave the others without a limit
            self._look_at(min(self._deadlines.values(), default=math.inf))


class TimeLimit:
    """What `asyncio.timeout` does, at a tenth of its price: breaks off what the running task waits for.

    A context manager that raises TimeoutError when its time is over, and lets any other cancellation through. `expired`
    tells it from a TimeoutError of what was waited for.
    """

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit outside of a task")
        self.expired = False
        self._task = task
        self._canceled_before = task.cancelling()
        self._deadlines = deadlines
        self._deadline = asyncio.get_running_loop().time() + seconds

    def __enter__(self) -> TimeLimit:
        self._deadlines.set(self, self._deadline)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.clear(self)
        # Somebody else may have canceled the task as well: then it is to end.
        if self.expired and self._task.uncancel() <= self._canceled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        self.expired = True
        self._task.cancel()
