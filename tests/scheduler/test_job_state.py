"""Every decision about a job, without a database or a clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.errors import Conflict
from vestnik.scheduler import state as decide
from vestnik.scheduler.job import LONGEST_RESULT, JobDefinition, JobRun, Start
from vestnik.scheduler.state import MOST_INTERRUPTIONS, Action, Ended, JobState, Outcome, State
from vestnik.scheduler.triggers import Cron, Timer, Trigger

HOUR, DAY = 3600.0, 86400.0
NOW = datetime(2026, 5, 4, 5, 10, tzinfo=UTC).timestamp()
SIX = datetime(2026, 5, 4, 6, 0, tzinfo=UTC).timestamp()
MINUTE = Timer(60_000)
SIX_HOURS = Cron("0 */6 * * *")
AT_SIX = Cron("0 6 * * *")
YES = Ended(Outcome.SUCCEEDED, result={"kept": 3})
NO = Ended(Outcome.FAILED, "out of order")


async def nothing(_run: JobRun) -> None: ...


def defined(trigger: Trigger = MINUTE) -> JobDefinition:
    return JobDefinition(name="job", trigger=trigger, run=nothing)


def job(trigger: Trigger = MINUTE, now: float = NOW) -> JobState:
    return decide.first(defined(trigger), now)


def paused(trigger: Trigger = MINUTE, start_at: float | None = None) -> JobState:
    return decide.acted(job(trigger), Action.PAUSE, start_at, NOW)


def stopped(trigger: Trigger = MINUTE) -> JobState:
    return decide.acted(job(trigger), Action.STOP, None, NOW)


def running(trigger: Trigger = MINUTE, because: Start = Start.PLANNED, now: float = NOW) -> JobState:
    return decide.begun(job(trigger, now), because, now)


# -- what is planned


def test_a_new_job_works_and_waits_for_its_first_time() -> None:
    assert (job().state, job().next_run_at, job().last_run_at) == (State.WORKING, NOW + 60, None)
    assert job(SIX_HOURS).next_run_at == SIX


def test_it_is_due_from_its_time_on() -> None:
    assert not job().is_due(NOW + 59.9)
    assert job().is_due(NOW + 60)
    assert job().is_due(NOW + 10 * DAY)


@pytest.mark.parametrize("state", [paused(), stopped(), running()])
def test_what_is_paused_stopped_or_running_is_never_due(state: JobState) -> None:
    assert not state.is_due(NOW + 10 * DAY)


def test_an_interval_is_from_start_to_start() -> None:
    state = decide.ended(running(), YES, NOW + 20)
    assert state.next_run_at == NOW + 60


def test_what_came_due_during_a_run_is_left_out() -> None:
    assert decide.ended(running(), YES, NOW + 150).next_run_at == NOW + 180
    assert decide.ended(running(SIX_HOURS), YES, NOW + 10 * HOUR).next_run_at == SIX + 12 * HOUR


def test_a_run_by_hand_leaves_the_plan_as_it_is() -> None:
    state = running(SIX_HOURS, Start.BY_HAND)
    assert state.next_run_at == SIX
    assert decide.ended(state, YES, NOW + 60).next_run_at == SIX


def test_an_early_run_takes_the_place_of_the_next_planned_one() -> None:
    state = decide.ended(running(SIX_HOURS, Start.EARLY), YES, NOW + 60)
    assert state.next_run_at == SIX + 6 * HOUR
    assert decide.ended(running(MINUTE, Start.EARLY, NOW + 30), YES, NOW + 31).next_run_at == NOW + 90


def test_of_several_early_runs_before_one_planned_time_only_that_time_is_left_out() -> None:
    state = decide.ended(running(SIX_HOURS, Start.EARLY), YES, NOW + 60)
    again = decide.ended(decide.begun(state, Start.EARLY, NOW + 120), YES, NOW + 180)
    assert again.next_run_at == state.next_run_at == SIX + 6 * HOUR


@pytest.mark.parametrize("trigger", [SIX_HOURS, MINUTE, AT_SIX])
@pytest.mark.parametrize(("because", "end"), [(Start.EARLY, NO), (Start.RETRY, NO), (Start.RETRY, YES)])
def test_an_early_run_that_fails_and_a_retry_leave_the_plan_as_it_is(
    trigger: Trigger, because: Start, end: Ended
) -> None:
    plan = job(trigger).next_run_at
    state = running(trigger, because, NOW + 5)
    state = replace(state, next_run_at=plan, planned_at=NOW)
    assert decide.ended(state, end, NOW + 6).next_run_at == plan


@pytest.mark.parametrize("because", [Start.EARLY, Start.RETRY, Start.BY_HAND])
def test_a_time_that_comes_while_a_run_beside_the_plan_fails_is_not_left_out(because: Start) -> None:
    state = decide.begun(job(SIX_HOURS), because, SIX - 60)
    assert decide.ended(state, NO, SIX + 60).is_due(SIX + 60)
    assert decide.ended(state, YES, SIX + 60).next_run_at == SIX + 6 * HOUR


def test_retries_for_a_whole_day_do_not_drift_the_plan() -> None:
    state, now, planned_runs = job(SIX_HOURS), NOW, []
    while now < NOW + DAY:
        because = Start.PLANNED if state.is_due(now) else Start.RETRY
        planned_runs += [now] if because is Start.PLANNED else []
        state = decide.ended(decide.begun(state, because, now), NO, now + 60)
        now += 600
    assert planned_runs == [SIX + n * 6 * HOUR for n in range(4)]


def test_a_plan_that_is_changed_during_an_early_run_holds_after_it() -> None:
    state = decide.with_trigger(running(SIX_HOURS, Start.EARLY), AT_SIX, NOW + 10)
    assert decide.ended(state, YES, NOW + 20).next_run_at == SIX
    held = decide.acted(running(SIX_HOURS, Start.EARLY), Action.PAUSE, None, NOW)
    assert decide.ended(held, YES, NOW + 20).next_run_at is None


def test_an_end_tells_how_it_went_and_an_error_outlives_a_success() -> None:
    state = decide.ended(running(), NO, NOW + 1)
    assert (state.last_run_at, state.last_outcome, state.last_error, state.last_error_at, state.last_result) == (
        NOW,
        Outcome.FAILED,
        "out of order",
        NOW + 1,
        None,
    )
    state = decide.ended(decide.begun(state, Start.PLANNED, NOW + 60), YES, NOW + 61)
    assert (state.last_outcome, state.last_success_at, state.last_error) == (
        Outcome.SUCCEEDED,
        NOW + 61,
        "out of order",
    )
    assert state.last_result == {"kept": 3}


@pytest.mark.parametrize("result", [{"kept": object()}, {"kept": float("nan")}, {"text": "x" * LONGEST_RESULT}])
def test_what_a_run_says_of_itself_is_json_that_one_can_look_at(result: dict[str, Any]) -> None:
    run = JobRun("job", Start.PLANNED, started_at=NOW, ending=lambda: False)
    run.report({"kept": 1})
    with pytest.raises((TypeError, ValueError)):
        run.report(result)
    assert run.result == {"kept": 1}


# -- what one may do: the table in docs/scheduler.md

ALLOWED = {
    (Action.START, State.WORKING): None,
    (Action.START, State.PAUSED): State.WORKING,
    (Action.START, State.STOPED): State.WORKING,
    (Action.PAUSE, State.WORKING): State.PAUSED,
    (Action.PAUSE, State.PAUSED): None,
    (Action.PAUSE, State.STOPED): None,
    (Action.STOP, State.WORKING): State.STOPED,
    (Action.STOP, State.PAUSED): State.STOPED,
    (Action.STOP, State.STOPED): None,
}
IN_STATE = {State.WORKING: job(), State.PAUSED: paused(), State.STOPED: stopped()}


@pytest.mark.parametrize(("action", "state"), ALLOWED)
def test_what_may_be_done_in_which_state(action: Action, state: State) -> None:
    wanted = ALLOWED[action, state]
    if wanted is None:
        with pytest.raises(Conflict, match=f"^{action} is not possible: the job 'job' is {state}$"):
            decide.acted(IN_STATE[state], action, None, NOW)
    else:
        assert decide.acted(IN_STATE[state], action, None, NOW).state is wanted


def test_the_end_of_a_pause_can_be_set_anew() -> None:
    state = decide.acted(paused(), Action.PAUSE, NOW + HOUR, NOW)
    assert (state.state, state.start_at) == (State.PAUSED, NOW + HOUR)
    with pytest.raises(Conflict):
        decide.acted(state, Action.PAUSE, NOW + HOUR, NOW)
    assert decide.acted(state, Action.PAUSE, None, NOW).start_at is None


def test_only_what_will_run_has_a_next_time() -> None:
    assert paused().next_run_at is None
    assert stopped().next_run_at is None
    assert paused(SIX_HOURS, SIX + HOUR).next_run_at == SIX + 6 * HOUR
    assert paused(MINUTE, SIX).next_run_at == SIX + 60


def test_what_was_due_while_it_was_held_is_not_made_up_at_start() -> None:
    state = decide.acted(paused(), Action.START, None, NOW + DAY)
    assert (state.state, state.next_run_at, state.start_at) == (State.WORKING, NOW + DAY + 60, None)


def test_at_its_end_a_pause_is_over() -> None:
    state = paused(MINUTE, SIX)
    assert decide.resumed(state, SIX - 1) is state
    state = decide.resumed(state, SIX)
    assert (state.state, state.start_at, state.next_run_at) == (State.WORKING, None, SIX + 60)
    assert decide.resumed(paused(), NOW + 100 * DAY).state is State.PAUSED


@pytest.mark.parametrize("state", [job(), paused(), stopped(), running()])
def test_other_settings_can_be_given_in_every_state(state: JobState) -> None:
    changed = decide.with_trigger(state, Timer(5000), NOW + 10)
    assert (changed.trigger, changed.changed, changed.state) == (Timer(5000), True, state.state)
    assert changed.next_run_at == (NOW + 15 if state.state is State.WORKING else None)


def test_the_time_zone_outlives_a_time_as_timer() -> None:
    state = decide.with_trigger(job(Cron("0 3 * * *", "Asia/Kathmandu")), MINUTE, NOW)
    assert state.timezone == "Asia/Kathmandu"


def test_reset_goes_back_to_the_configuration() -> None:
    state = decide.with_trigger(stopped(), Cron("0 3 * * *", "Asia/Kathmandu"), NOW)
    back = decide.reset(state, defined(), NOW + 5)
    assert (back.trigger, back.timezone, back.changed, back.state) == (MINUTE, "UTC", False, State.WORKING)
    assert back.next_run_at == NOW + 65


def test_by_hand_a_stopped_job_and_one_that_runs_cannot_be_run() -> None:
    decide.may_run_by_hand(job())
    decide.may_run_by_hand(paused())
    for state in (stopped(), running()):
        with pytest.raises(Conflict):
            decide.may_run_by_hand(state)


# -- after a restart


def test_what_came_due_while_the_daemon_was_down_is_due_once() -> None:
    state = decide.taken_up(job(SIX_HOURS), defined(SIX_HOURS), NOW + 3 * DAY)
    assert state.is_due(NOW + 3 * DAY)
    state = decide.ended(decide.begun(state, Start.PLANNED, NOW + 3 * DAY), YES, NOW + 3 * DAY + 1)
    assert state.next_run_at == SIX + 3 * DAY


def test_the_configuration_counts_until_somebody_changed_the_job() -> None:
    assert decide.taken_up(job(), defined(Timer(5000)), NOW + 1).trigger == Timer(5000)
    changed = decide.with_trigger(job(), SIX_HOURS, NOW)
    assert decide.taken_up(changed, defined(Timer(5000)), NOW + 1) == changed


def test_other_values_in_the_configuration_are_planned_from_now() -> None:
    state = decide.taken_up(job(), defined(SIX_HOURS), NOW + DAY)
    assert state.next_run_at == SIX + DAY
    held = decide.taken_up(paused(), defined(SIX_HOURS), NOW + DAY)
    assert (held.state, held.trigger, held.next_run_at) == (State.PAUSED, SIX_HOURS, None)


def test_a_pause_that_ended_meanwhile_is_over() -> None:
    state = decide.taken_up(paused(MINUTE, SIX), defined(), SIX + HOUR)
    assert state.is_due(SIX + HOUR)


@pytest.mark.parametrize("because", [Start.PLANNED, Start.EARLY])
def test_a_run_that_the_daemon_did_not_outlive_is_made_up(because: Start) -> None:
    state = decide.taken_up(running(SIX_HOURS, because), defined(SIX_HOURS), NOW + 5)
    assert state.is_due(NOW + 5)
    assert (state.last_outcome, state.last_error) == (
        Outcome.INTERRUPTED,
        "the daemon ended in the middle of this run",
    )


def test_one_by_hand_is_not_nor_one_of_a_job_that_is_held_by_now() -> None:
    assert decide.taken_up(running(SIX_HOURS, Start.BY_HAND), defined(SIX_HOURS), NOW + 5).next_run_at == SIX
    held = decide.acted(running(), Action.PAUSE, None, NOW)
    state = decide.taken_up(held, defined(), NOW + 5)
    assert (state.running_since, state.next_run_at) == (None, None)


def test_a_run_that_ends_every_daemon_waits_for_its_time() -> None:
    state, now = job(SIX_HOURS), SIX
    for _ in range(MOST_INTERRUPTIONS - 1):
        state = decide.taken_up(decide.begun(state, Start.PLANNED, now), defined(SIX_HOURS), now + 1)
        assert state.is_due(now + 1)
    state = decide.taken_up(decide.begun(state, Start.PLANNED, now), defined(SIX_HOURS), now + 1)
    assert state.next_run_at == SIX + 6 * HOUR
    assert state.last_error == "the daemon ended in the middle of 3 runs in a row, the next one waits for its time"
    assert decide.ended(decide.begun(state, Start.PLANNED, SIX + 6 * HOUR), YES, SIX + 7 * HOUR).interruptions == 0


def test_a_run_that_was_canceled_at_the_daemons_end_is_made_up_however_often() -> None:
    state = job()
    for _ in range(MOST_INTERRUPTIONS + 1):
        state = decide.ended(decide.begun(state, Start.PLANNED, NOW), Ended(Outcome.INTERRUPTED, "stop"), NOW + 1)
        assert state.is_due(NOW + 1)


# -- when the clock is set


@pytest.mark.parametrize("step", [HOUR, 3653 * DAY])
def test_set_forward_a_schedule_is_due_once(step: float) -> None:
    now = NOW + step
    state = decide.after_clock_change(job(SIX_HOURS), step, now)
    assert state.is_due(now) == (step >= HOUR)
    state = decide.ended(decide.begun(state, Start.PLANNED, now), YES, now)
    assert state.next_run_at is not None
    assert now < state.next_run_at <= now + 6 * HOUR


@pytest.mark.parametrize("step", [HOUR, -HOUR, 3653 * DAY, -3653 * DAY])
def test_an_interval_keeps_its_real_length(step: float) -> None:
    state = decide.after_clock_change(job(), step, NOW + 20 + step)
    assert state.next_run_at == NOW + 60 + step
    assert not state.is_due(NOW + 59 + step)


def test_set_back_a_little_a_fixed_time_is_not_done_again() -> None:
    ran = decide.ended(running(AT_SIX, now=SIX), YES, SIX + 60)
    state = decide.after_clock_change(ran, -HOUR, SIX + 60 - HOUR)
    assert state.next_run_at == SIX + DAY


def test_set_back_a_little_what_follows_the_wall_goes_on_at_once() -> None:
    state = decide.after_clock_change(job(Cron("* * * * *")), -HOUR, NOW - HOUR)
    assert state.next_run_at == NOW - HOUR + 60


@pytest.mark.parametrize("trigger", [AT_SIX, SIX_HOURS, MINUTE])
@pytest.mark.parametrize("while_down", [True, False])
def test_set_back_by_years_nothing_falls_silent(trigger: Trigger, while_down: bool) -> None:
    before = job(trigger)
    now = NOW - 3653 * DAY
    if while_down:
        state = decide.taken_up(before, defined(trigger), now)
    else:
        state = decide.after_clock_change(before, -3653 * DAY, now)
    assert state.next_run_at is not None
    assert now < state.next_run_at <= now + DAY


def test_set_back_the_place_of_an_early_run_is_planned_again_only_if_it_lies_ahead_again() -> None:
    early = decide.ended(running(SIX_HOURS, Start.EARLY), YES, NOW + 60)
    assert decide.after_clock_change(early, -30.0, NOW + 30).next_run_at == SIX + 6 * HOUR
    assert decide.after_clock_change(early, -DAY, NOW - DAY).next_run_at == SIX - DAY


TRIGGERS = st.sampled_from([MINUTE, Timer(7 * 86_400_000), SIX_HOURS, AT_SIX, Cron("30 2 * * *", "Europe/Berlin")])


@given(TRIGGERS, st.lists(st.floats(-20 * DAY, 20 * DAY), max_size=6), st.booleans())
def test_however_the_clock_is_set_one_run_follows_a_change_at_most_and_the_next_is_near(
    trigger: Trigger, steps: list[float], runs_between: bool
) -> None:
    state, now = job(trigger), NOW
    for step in steps:
        now += step
        state = decide.after_clock_change(state, step, now)
        assert state.next_run_at is not None
        assert state.next_run_at <= now + 7 * DAY + decide.SMALL_STEP_BACK + DAY
        if runs_between and state.is_due(now):
            state = decide.ended(decide.begun(state, Start.PLANNED, now), YES, now)
            assert not state.is_due(now)


@given(
    TRIGGERS,
    st.lists(st.sampled_from(["due", "early", "retry", "by hand", "crash", "restart", *Action]), max_size=12),
    st.lists(st.floats(0, 3 * DAY), min_size=12, max_size=12),
)
def test_whatever_happens_a_working_job_has_a_time_and_a_held_one_has_none(
    trigger: Trigger, events: list[str], waits: list[float]
) -> None:
    state, now = job(trigger), NOW
    for event, wait in zip(events, waits, strict=False):
        now += wait
        state = after(state, event, trigger, now)
        held = state.state is not State.WORKING
        assert (state.next_run_at is None) == held
        assert state.running_since is None


def after(state: JobState, event: str, trigger: Trigger, now: float) -> JobState:
    match event:
        case "due" | "early" | "retry" | "by hand":
            because = Start({"due": "planned"}.get(event, event))
            if because is not Start.BY_HAND and state.state is not State.WORKING:
                return state
            return decide.ended(decide.begun(state, because, now), NO, now + 1)
        case "crash":
            return decide.taken_up(decide.begun(state, Start.PLANNED, now), defined(trigger), now)
        case "restart":
            return decide.taken_up(state, defined(trigger), now)
    try:
        return decide.acted(state, Action(event), None, now)
    except Conflict:
        return state
