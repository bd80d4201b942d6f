"""When the exporter goes on by itself, between the runs of its schedule. Pure; times are of a monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from vestnik.quiz.export.answers import Later


class Early(StrEnum):
    """Why a run begins before its time."""

    MANY_READY = "more questions are ready than the threshold"
    BATCH_OPEN = "a batch waits for another try"


@dataclass(frozen=True, slots=True)
class Backlog:
    """`ready` counts the questions that are in no batch yet, `open_batches` those that wait for another try."""

    ready: int
    open_batches: int


@dataclass(frozen=True, slots=True)
class Pace:
    """A restart begins anew, with a try at once: what a server asked for a daemon ago is not kept."""

    first_delay: float  # seconds
    longest_delay: float
    failures: int = 0  # runs in a row that were put off
    retry_at: float = 0.0  # open batches wait for it
    begin_at: float = 0.0  # new ones do
    asked_until: float = 0.0  # the server's Retry-After: no run sends anything before

    def put_off(self, later: Later, sends: int, now: float) -> Pace:
        """After a run that ended with a batch at its `sends`-th try. Delays double, from run to run and try to try."""
        failures = self.failures + 1
        delay = self._delay(max(failures, sends))
        asked = now + later.retry_after if later.retry_after else self.asked_until
        until = max(now + delay, asked)
        return replace(self, failures=failures, retry_at=until, begin_at=until, asked_until=asked)

    def set_aside(self, sends: int, now: float) -> Pace:
        """After a run in which all went well but a stuck batch: others need not wait for it."""
        return replace(self, failures=0, retry_at=now + self._delay(sends), begin_at=0.0)

    def went_well(self) -> Pace:
        return Pace(self.first_delay, self.longest_delay)

    def early(self, backlog: Backlog, threshold: int, now: float) -> Early | None:
        """Whether to begin a run now (Q10), and why."""
        if backlog.open_batches and now >= self.retry_at:
            return Early.BATCH_OPEN
        if backlog.ready > threshold and now >= self.begin_at:
            return Early.MANY_READY
        return None

    def _delay(self, times: int) -> float:
        return float(min(self.first_delay * 2.0 ** min(times - 1, 60), self.longest_delay))
