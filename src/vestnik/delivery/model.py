"""A task, its states, and the one function that decides how it goes on (`settle`). Nothing here does I/O.

A *message* is what was registered; a *task* is its delivery to one recipient. `docs/states.md` has the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Literal, NamedTuple, NewType, assert_never

MessageId = NewType("MessageId", int)
TaskId = NewType("TaskId", int)

#: Seconds since the epoch, UTC. A float, because tasks are compared and stored by the hundred thousand.
Timestamp = float

MAX_AMBIGUOUS = 2  # attempts whose end nobody saw; the second one ends the task (reliability: at most three copies)
MAX_CRASHES = 3
MAILING_ENDED = "the mailing ended"  # why what belongs to it expired


class TaskState(StrEnum):
    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELED = "canceled"


WAITING = frozenset({TaskState.QUEUED, TaskState.SCHEDULED, TaskState.DEFERRED})
ENDED = frozenset({TaskState.DELIVERED, TaskState.FAILED, TaskState.EXPIRED, TaskState.CANCELED})


class Priority(IntEnum):
    """Smaller goes first: a single send overtakes a mailing that is already queued."""

    SINGLE = 0
    BULK = 1


class Task(NamedTuple):
    """The delivery of one message to one recipient, as a worker gets it.

    A tuple, as a claim makes them by the thousand a second: a frozen dataclass takes ten times as long.
    """

    id: TaskId  # stable over retries: hand it to the far side as the reference
    message_id: MessageId
    channel: str
    recipient: str  # "" where the channel has no recipients of its own
    text: str
    subject: str | None = None
    created_at: Timestamp = 0.0
    expires_at: Timestamp | None = None  # not handed over at or after it; or the end of its window, where it has one
    attempts: int = 1  # this one included
    ambiguous: int = 0
    crashes: int = 0
    epoch: int = 0  # grows at every claim; a stale holder of an older epoch changes nothing
    started_at: Timestamp = 0.0  # of this attempt
    html: str | None = None  # the same text, for workers that can carry both
    mailing_id: int | None = None  # of whoever sends in bulk: kept with the task, counted by, not looked at
    client_id: int | None = None
    cancel_requested: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """The far side said yes. `receipt` is what it called the message, for the log."""

    receipt: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedForGood:
    reason: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now. `counts` is False when the attempt should not use up a try (flood control, our own credentials)."""

    reason: str
    retry_after: float | None = None  # seconds, as the far side wished
    maybe_sent: bool = False
    counts: bool = True


Outcome = Delivered | RefusedForGood | Deferred


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """D11. The wait before try n+1 is delay x factor^(n-1), at most `max_delay`."""

    delay: timedelta = timedelta(seconds=30)
    attempts: int = 10
    factor: float = 1.0
    max_delay: timedelta = timedelta(hours=1)
    on_ambiguous: Literal["retry", "stop"] = "retry"

    def wait(self, attempts: int) -> float:
        """Seconds to wait after the given number of tries."""
        limit = self.max_delay.total_seconds()
        delay = self.delay.total_seconds()
        if self.factor == 1.0:
            return delay
        # Compared through the exponent: 2.0 ** 5000 would raise OverflowError.
        exponent = min(attempts - 1, 64)
        return min(delay * self.factor**exponent, max(limit, delay))


class Settlement(NamedTuple):
    """What one attempt leaves behind; written with the guard (task, epoch, still running)."""

    task: Task
    state: TaskState
    outcome: Outcome
    attempts: int
    ambiguous: int
    maybe_sent: bool = False
    error: str | None = None
    due_at: Timestamp | None = None  # only when deferred


def settle(task: Task, outcome: Outcome, policy: RetryPolicy, now: Timestamp) -> Settlement:
    """Decide how a running task goes on after an attempt ended in `outcome`."""
    match outcome:
        case Delivered():
            return Settlement(task, TaskState.DELIVERED, outcome, task.attempts, task.ambiguous)
        case RefusedForGood(reason):
            return _settlement(task, outcome, TaskState.FAILED, error=reason)
        case Deferred(maybe_sent=True):
            return _settle_ambiguous(task, outcome, policy, now)
        case Deferred():
            return _settle_deferred(task, outcome, policy, now)
        case _:
            assert_never(outcome)


def _settle_deferred(task: Task, outcome: Deferred, policy: RetryPolicy, now: Timestamp) -> Settlement:
    attempts = task.attempts if outcome.counts else task.attempts - 1
    if outcome.counts and attempts >= policy.attempts:
        error = f"given up after {attempts} tries: {outcome.reason}"
        return _settlement(task, outcome, TaskState.FAILED, error=error)
    wait = policy.wait(max(attempts, 1))
    if outcome.retry_after is not None:
        wait = outcome.retry_after if not outcome.counts else max(wait, outcome.retry_after)
    return _postponed(task, outcome, now + wait, attempts=attempts)


def _settle_ambiguous(task: Task, outcome: Deferred, policy: RetryPolicy, now: Timestamp) -> Settlement:
    ambiguous = task.ambiguous + 1
    if policy.on_ambiguous == "stop" or ambiguous >= MAX_AMBIGUOUS or task.attempts >= policy.attempts:
        error = f"may have been delivered, not tried again: {outcome.reason}"
        return _settlement(task, outcome, TaskState.FAILED, error=error, maybe_sent=True)
    due = now + max(policy.wait(task.attempts), outcome.retry_after or 0.0)
    return _postponed(task, outcome, due, attempts=task.attempts, maybe_sent=True)


def _postponed(task: Task, outcome: Deferred, due: Timestamp, *, attempts: int, maybe_sent: bool = False) -> Settlement:
    # A due time past the expiry is left as it is: the sweeper ends the task at its own time, and says why.
    state, due_at = (TaskState.CANCELED, None) if task.cancel_requested else (TaskState.DEFERRED, due)
    return _settlement(task, outcome, state, due=due_at, attempts=attempts, error=outcome.reason, maybe_sent=maybe_sent)


def _settlement(
    task: Task,
    outcome: Outcome,
    state: TaskState,
    *,
    due: Timestamp | None = None,
    attempts: int | None = None,
    error: str | None = None,
    maybe_sent: bool = False,
) -> Settlement:
    return Settlement(
        task,
        state,
        outcome,
        attempts=task.attempts if attempts is None else attempts,
        ambiguous=task.ambiguous + (1 if maybe_sent else 0),
        maybe_sent=maybe_sent,
        error=error,
        due_at=due,
    )


def settle_crashed(task: Task, policy: RetryPolicy, now: Timestamp) -> Settlement:
    """Decide for a task that was running when its daemon died: nobody saw the end, so it may have been sent."""
    outcome = Deferred("the daemon ended in the middle of this try", maybe_sent=True)
    if task.crashes + 1 >= MAX_CRASHES:
        error = f"the daemon ended {task.crashes + 1} times in the middle of it"
        return _settlement(task, outcome, TaskState.FAILED, error=error, maybe_sent=True)
    return settle(task, outcome, policy, now)
