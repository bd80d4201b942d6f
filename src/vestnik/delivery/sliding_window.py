"""At most so many starts in any window of time. `now` is passed in."""

from __future__ import annotations

from collections import deque

from vestnik.settings.values import Rate

LONGEST_SLEEP = 5.0  # seconds; then look again, whatever was computed


class SlidingWindow:
    """Remembers the last `rate.count` starts: exact in every window, across its edges too."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._starts: deque[float] = deque(maxlen=rate.count)

    def wait(self, now: float, *, reserved: int = 0) -> float:
        """Seconds until one more may start when `reserved` others may start at any moment."""
        free = self._rate.count - reserved
        if free <= 0:
            return LONGEST_SLEEP
        if len(self._starts) < free:
            return 0.0
        oldest_that_counts = self._starts[len(self._starts) - free]
        return max(0.0, oldest_that_counts + self._rate.period - now)

    def start(self, now: float) -> None:
        self._starts.append(now)

    def idle(self, now: float) -> bool:
        return not self._starts or self._starts[-1] + self._rate.period <= now
