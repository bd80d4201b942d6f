"""The rate to one recipient, and the order of what waits for it. `now` is passed in.

What is over the rate to a recipient goes back to the queue until its turn. Turns are promised one after another, so
that messages come in the order in which they were accepted (unless one is tried again), and each is claimed twice,
not once a second. They are promised a minute ahead, no further: a rate that is raised counts after a restart.
"""

from __future__ import annotations

from vestnik.delivery.model import TaskId
from vestnik.delivery.sliding_window import SlidingWindow
from vestnik.settings.values import Rate

FURTHEST = 60.0  # seconds; what comes later gets no turn yet, and asks again
MISSED = 1.0  # seconds after its turn, in which a task may still come
MOMENT = 1 / 64  # seconds; somebody whose turn it is is about to come


class RecipientRate:
    """One recipient's. A turn is a promise of when; the window of real starts has the last word."""

    def __init__(self, rate: Rate) -> None:
        self._started = SlidingWindow(rate)
        self._promised = SlidingWindow(rate)
        self._last = 0.0  # the latest turn that was promised
        self._turns: dict[TaskId, float] = {}  # first come, first served
        self._asks_again = 0.0  # when those will that are too far off for a turn; nobody goes in before them

    def start(self, task: TaskId, now: float) -> float:
        """Seconds until the task may start, or is to ask again; 0 when it may, and then it has."""
        too_early = self._started.wait(now)
        if task not in self._turns:
            if now < self._asks_again:
                return self._asks_again - now
            turn = max(now + max(too_early, self._promised.wait(now)), self._last)
            if turn - now > FURTHEST:
                self._asks_again = now + FURTHEST
                return FURTHEST
            self._turns[task] = self._last = turn
            self._promised.start(turn)
        self._turns[task] = max(self._turns[task], now + too_early)  # later than promised when one before was late
        if (wait := self._turns[task] - now) > 0:
            return wait
        if not self._is_first(task, now):
            return MOMENT
        del self._turns[task]
        self._started.start(now)
        return 0.0

    def idle(self, now: float) -> bool:
        return self._started.idle(now) and self._promised.idle(now) and now >= self._asks_again

    def _is_first(self, task: TaskId, now: float) -> bool:
        """Who has missed its turn for long was canceled, say, and stands in nobody's way any more."""
        while (first := next(iter(self._turns))) != task and self._turns[first] < now - MISSED:
            del self._turns[first]
        return first == task
