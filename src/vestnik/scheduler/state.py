"""What is kept of a job, and every decision about it. Pure: states and the time go in, states come out.

`docs/scheduler.md` has the picture and the table. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, assert_never

from vestnik.errors import Conflict
from vestnik.scheduler.job import JobDefinition, Start
from vestnik.scheduler.triggers import Cron, Timer, Trigger

SMALL_STEP_BACK = 3 * 3600.0  # seconds; Debian's cron takes less for a correction in which nothing is done again
MOST_INTERRUPTIONS = 3  # runs in a row that the daemon did not outlive; perhaps they are why


class State(StrEnum):
    """Q4; the spelling is the contract's."""

    WORKING = "WORKING"
    PAUSED = "PAUSED"
    STOPED = "STOPED"


class Action(StrEnum):
    """Q7."""

    START = "START"
    PAUSE = "PAUSE"
    STOP = "STOP"


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"  # the job was, in the middle of it
    INTERRUPTED = "interrupted"  # the daemon ended in the middle of it


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run leaves behind."""

    outcome: Outcome
    error: str | None = None
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    name: str
    trigger: Trigger
    timezone: str  # kept while the mode is TIMER, for the way back to CRON
    planned_at: float  # when `next_run_at` was worked out
    next_run_at: float | None
    state: State = State.WORKING
    changed: bool = False  # mode or settings were, over HTTP: the configuration does not count
    start_at: float | None = None  # the end of a pause
    running_since: float | None = None
    running_because: Start | None = None
    interruptions: int = 0
    last_run_at: float | None = None
    last_outcome: Outcome | None = None
    last_success_at: float | None = None
    last_error: str | None = None  # stays when a later run succeeds
    last_error_at: float | None = None
    last_result: Mapping[str, Any] | None = None

    def is_due(self, now: float) -> bool:
        waits = self.state is State.WORKING and self.running_since is None
        return waits and self.next_run_at is not None and self.next_run_at <= now


# -- at start


def first(definition: JobDefinition, now: float) -> JobState:
    """Of a job that was never seen before: its first run comes when the first interval or the schedule says."""
    state = JobState(
        name=definition.name,
        trigger=definition.trigger,
        timezone=_zone(definition.trigger, "UTC"),
        planned_at=now,
        next_run_at=None,
    )
    return planned(state, now)


def taken_up(state: JobState, definition: JobDefinition, now: float) -> JobState:
    """What the last daemon left, under today's configuration. What came due meanwhile is due now, once."""
    if state.running_since is not None:
        state = _outlived_by(state, now)
    if not state.changed and state.trigger != definition.trigger:
        timezone = _zone(definition.trigger, state.timezone)
        state = planned(replace(state, trigger=definition.trigger, timezone=timezone), now)
    elif now < state.planned_at:
        state = after_clock_change(state, 0.0, now)
    return resumed(state, now)


def _outlived_by(state: JobState, now: float) -> JobState:
    """A run that its daemon did not outlive is made up; but not for ever, it may be what ends the daemons."""
    count = state.interruptions + 1
    error = "the daemon ended in the middle of this run"
    if count >= MOST_INTERRUPTIONS:
        error = f"the daemon ended in the middle of {count} runs in a row, the next one waits for its time"
    made_up = state if count >= MOST_INTERRUPTIONS else _due_again(state, now)
    return replace(_over(_noted(made_up, Ended(Outcome.INTERRUPTED, error), now)), interruptions=count)


def _due_again(state: JobState, now: float) -> JobState:
    """A run by hand is not made up: whoever wanted it can want it again."""
    wanted = state.state is State.WORKING and state.running_because is not Start.BY_HAND
    return replace(state, next_run_at=now) if wanted else state


def _over(state: JobState) -> JobState:
    return replace(state, running_since=None, running_because=None)


# -- as time goes


def planned(state: JobState, now: float) -> JobState:
    """With the next run worked out anew; what was due by now is left out."""
    next_run_at = None
    if state.state is State.WORKING:
        next_run_at = state.trigger.next_after(now)
    elif state.state is State.PAUSED and state.start_at is not None:
        next_run_at = state.trigger.next_after(max(now, state.start_at))
    return replace(state, next_run_at=next_run_at, planned_at=now)


def resumed(state: JobState, now: float) -> JobState:
    """At the end of a pause that has one, it works again."""
    if state.state is State.PAUSED and state.start_at is not None and state.start_at <= now:
        return replace(state, state=State.WORKING, start_at=None)
    return state


def after_clock_change(state: JobState, step: float, now: float) -> JobState:
    """The wall clock was set forward (`step` > 0, seconds) or back, and now says `now`.

    An interval is real time, so a TIMER's run moves along. A CRON's time stands on the wall: set forward, what was
    skipped is due now, once. Set back to before the plan was made, the plan may leave out times that come again: they
    are planned anew, except for fixed times after a small step, which would be done twice.
    """
    if isinstance(state.trigger, Timer):
        return _timer_after_clock_change(state, step, now)
    back = state.planned_at - now
    if back <= 0 or (state.trigger.fixed and back < SMALL_STEP_BACK):
        return state
    return planned(state, now)


def _timer_after_clock_change(state: JobState, step: float, now: float) -> JobState:
    if state.next_run_at is None or state.state is not State.WORKING:
        return state
    moved, longest = state.next_run_at + step, now + state.trigger.next_after(0.0)
    return replace(state, next_run_at=min(moved, longest), planned_at=min(state.planned_at + step, now))


# -- runs


def begun(state: JobState, because: Start, now: float) -> JobState:
    """With a run under way. Only a planned one moves the plan on; an early one does when it has succeeded."""
    state = replace(state, running_since=now, running_because=because, last_run_at=now)
    match because:
        case Start.BY_HAND | Start.EARLY | Start.RETRY:
            return state
        case Start.PLANNED:
            return planned(state, now)
        case _:
            assert_never(because)


def _instead_of_the_next(state: JobState, began: float) -> JobState:
    """Q10: an early run resets the time. It takes the place of the next planned one; an interval counts from it."""
    if state.state is not State.WORKING or state.planned_at > began:  # planned anew meanwhile, by somebody
        return state
    if isinstance(state.trigger, Timer):
        return planned(state, began)
    due = state.next_run_at is not None and state.next_run_at <= began
    # Counted from its begin: of several early runs before one planned time, each would else push the plan further away.
    taken = began if due else state.trigger.next_after(began)
    return replace(state, next_run_at=state.trigger.next_after(taken), planned_at=began)


def ended(state: JobState, end: Ended, now: float) -> JobState:
    """With no run under way. What came due while it ran is left out: a job that takes long is not chased. But a run
    beside the plan that came to nothing is no run in the place of one.
    """
    because, since = state.running_because, state.running_since
    succeeded = end.outcome is Outcome.SUCCEEDED
    state = _noted(state, end, now)
    if end.outcome is Outcome.INTERRUPTED:
        return _over(_due_again(state, now))
    state = replace(_over(state), interruptions=0)
    if because is Start.EARLY and succeeded:
        state = _instead_of_the_next(state, now if since is None else min(since, now))
    if state.is_due(now) and (succeeded or because is Start.PLANNED):
        state = replace(state, next_run_at=state.trigger.next_after(now, since), planned_at=now)
    return state


def _noted(state: JobState, end: Ended, now: float) -> JobState:
    """With its end written down."""
    state = replace(state, last_outcome=end.outcome, last_result=end.result)
    if end.outcome is Outcome.SUCCEEDED:
        return replace(state, last_success_at=now)
    return replace(state, last_error=end.error, last_error_at=now)


# -- over HTTP


def with_trigger(state: JobState, trigger: Trigger, now: float) -> JobState:
    """Q5, Q6: allowed in every state. From now on the database wins over the configuration."""
    timezone = _zone(trigger, state.timezone)
    return planned(replace(state, trigger=trigger, timezone=timezone, changed=True), now)


def acted(state: JobState, action: Action, start_at: float | None, now: float) -> JobState:
    """Q7. Raises Conflict for what the state does not allow."""
    match action, state.state:
        case Action.START, State.PAUSED | State.STOPED:
            return planned(replace(state, state=State.WORKING, start_at=None), now)
        case Action.PAUSE, State.WORKING:
            return planned(replace(state, state=State.PAUSED, start_at=start_at), now)
        case Action.PAUSE, State.PAUSED if start_at != state.start_at:
            return planned(replace(state, start_at=start_at), now)
        case Action.STOP, State.WORKING | State.PAUSED:
            return planned(replace(state, state=State.STOPED, start_at=None), now)
        case _:
            raise Conflict(f"{action} is not possible: the job {state.name!r} is {state.state}")


def may_run_by_hand(state: JobState) -> None:
    """Raises Conflict."""
    if state.state is State.STOPED:
        raise Conflict(f"the job {state.name!r} is {state.state}: start it first")
    if state.running_since is not None:
        raise Conflict(f"the job {state.name!r} runs already")


def reset(state: JobState, definition: JobDefinition, now: float) -> JobState:
    """As the configuration has it: mode, settings, and working. How past runs went is kept."""
    timezone = _zone(definition.trigger, "UTC")
    back = replace(
        state, state=State.WORKING, start_at=None, changed=False, trigger=definition.trigger, timezone=timezone
    )
    return planned(back, now)


def _zone(trigger: Trigger, otherwise: str) -> str:
    return trigger.timezone if isinstance(trigger, Cron) else otherwise
