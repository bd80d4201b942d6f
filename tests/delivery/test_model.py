from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal

import pytest
from deliveries import NOW
from hypothesis import given
from hypothesis import strategies as st

from vestnik.delivery.model import (
    ENDED,
    MAX_AMBIGUOUS,
    MAX_CRASHES,
    WAITING,
    Deferred,
    Delivered,
    MessageId,
    Outcome,
    RefusedForGood,
    RetryPolicy,
    Task,
    TaskId,
    TaskState,
    settle,
    settle_crashed,
)

TASK = Task(id=TaskId(7), message_id=MessageId(5), channel="alerts", recipient="a", text="Hello")
POLICY = RetryPolicy()
CANCELED_MEANWHILE = TASK._replace(cancel_requested=True)


def test_every_state_waits_runs_or_has_ended() -> None:
    assert WAITING | ENDED | {TaskState.RUNNING} == set(TaskState)
    assert not WAITING & ENDED


@pytest.mark.parametrize("task", [TASK, CANCELED_MEANWHILE, TASK._replace(attempts=10, ambiguous=1)])
def test_a_yes_is_delivered_whatever_was_asked_meanwhile(task: Task) -> None:
    settlement = settle(task, Delivered("r-1"), POLICY, NOW)
    assert settlement.state is TaskState.DELIVERED
    assert (settlement.due_at, settlement.error, settlement.maybe_sent) == (None, None, False)
    assert (settlement.attempts, settlement.ambiguous) == (task.attempts, task.ambiguous)


@pytest.mark.parametrize("task", [TASK, CANCELED_MEANWHILE])
def test_a_refusal_is_for_good_and_says_why(task: Task) -> None:
    settlement = settle(task, RefusedForGood("no such chat"), POLICY, NOW)
    assert (settlement.state, settlement.error, settlement.maybe_sent) == (TaskState.FAILED, "no such chat", False)


def test_what_cannot_go_now_waits_for_the_delay() -> None:
    settlement = settle(TASK, Deferred("down"), POLICY, NOW)
    assert (settlement.state, settlement.due_at, settlement.error) == (TaskState.DEFERRED, NOW + 30, "down")
    assert (settlement.attempts, settlement.ambiguous, settlement.maybe_sent) == (1, 0, False)


def test_the_last_try_ends_it() -> None:
    policy = RetryPolicy(attempts=3)
    assert settle(TASK._replace(attempts=2), Deferred("down"), policy, NOW).state is TaskState.DEFERRED
    last = settle(TASK._replace(attempts=3), Deferred("down"), policy, NOW)
    assert (last.state, last.error, last.due_at) == (TaskState.FAILED, "given up after 3 tries: down", None)


def test_a_cancel_asked_for_meanwhile_ends_what_was_not_delivered() -> None:
    settlement = settle(CANCELED_MEANWHILE, Deferred("down"), POLICY, NOW)
    assert (settlement.state, settlement.error, settlement.maybe_sent) == (TaskState.CANCELED, "down", False)


def test_flood_control_uses_up_no_try_and_waits_as_told() -> None:
    outcome = Deferred("slow down", retry_after=7, counts=False)
    settlement = settle(TASK._replace(attempts=10), outcome, POLICY, NOW)
    assert (settlement.state, settlement.due_at, settlement.attempts) == (TaskState.DEFERRED, NOW + 7, 9)


def test_refused_credentials_use_up_no_try_and_wait_for_the_delay() -> None:
    settlement = settle(TASK, Deferred("401", counts=False), POLICY, NOW)
    assert (settlement.state, settlement.due_at, settlement.attempts) == (TaskState.DEFERRED, NOW + 30, 0)


def test_a_wish_to_wait_never_shortens_a_delay_that_counts() -> None:
    assert settle(TASK, Deferred("later", retry_after=5), POLICY, NOW).due_at == NOW + 30
    assert settle(TASK, Deferred("later", retry_after=90), POLICY, NOW).due_at == NOW + 90


def test_an_end_that_nobody_saw_is_marked_and_tried_once_more() -> None:
    first = settle(TASK, Deferred("cut off", maybe_sent=True), POLICY, NOW)
    assert (first.state, first.maybe_sent, first.ambiguous) == (TaskState.DEFERRED, True, 1)
    assert first.due_at == NOW + 30
    second = settle(TASK._replace(attempts=2, ambiguous=first.ambiguous), Deferred("cut", maybe_sent=True), POLICY, NOW)
    assert (second.state, second.maybe_sent, second.ambiguous) == (TaskState.FAILED, True, MAX_AMBIGUOUS)
    assert second.error == "may have been delivered, not tried again: cut"


def test_an_end_that_nobody_saw_waits_as_the_far_side_wished() -> None:
    outcome = Deferred("504", retry_after=100, maybe_sent=True, counts=False)
    assert settle(TASK, outcome, POLICY, NOW).due_at == NOW + 100


@pytest.mark.parametrize(
    ("policy", "task"),
    [(RetryPolicy(on_ambiguous="stop"), TASK), (RetryPolicy(attempts=2), TASK._replace(attempts=2))],
)
def test_an_end_that_nobody_saw_can_be_the_last(policy: RetryPolicy, task: Task) -> None:
    settlement = settle(task, Deferred("cut off", maybe_sent=True), policy, NOW)
    assert (settlement.state, settlement.maybe_sent) == (TaskState.FAILED, True)


def test_a_cancel_does_not_hide_that_it_may_have_been_sent() -> None:
    settlement = settle(CANCELED_MEANWHILE, Deferred("cut off", maybe_sent=True), POLICY, NOW)
    assert (settlement.state, settlement.maybe_sent) == (TaskState.CANCELED, True)


@pytest.mark.parametrize(("on_ambiguous", "state"), [("retry", TaskState.DEFERRED), ("stop", TaskState.FAILED)])
def test_a_crash_counts_as_an_end_that_nobody_saw(on_ambiguous: Literal["retry", "stop"], state: TaskState) -> None:
    settlement = settle_crashed(TASK, RetryPolicy(on_ambiguous=on_ambiguous), NOW)
    assert (settlement.state, settlement.maybe_sent, settlement.ambiguous) == (state, True, 1)
    assert settlement.error is not None
    assert "the daemon ended in the middle" in settlement.error


def test_a_task_that_takes_the_daemon_down_again_and_again_is_parked() -> None:
    settlement = settle_crashed(TASK._replace(crashes=MAX_CRASHES - 1), POLICY, NOW)
    assert (settlement.state, settlement.maybe_sent) == (TaskState.FAILED, True)
    assert settlement.error == "the daemon ended 3 times in the middle of it"


def test_a_crash_after_a_cancel_ends_it() -> None:
    assert settle_crashed(CANCELED_MEANWHILE, POLICY, NOW).state is TaskState.CANCELED


@pytest.mark.parametrize("task", [TASK, CANCELED_MEANWHILE])
def test_a_cancel_does_not_hide_that_it_was_the_last_try(task: Task) -> None:
    last = task._replace(attempts=POLICY.attempts)
    assert settle(last, Deferred("down"), POLICY, NOW).state is TaskState.FAILED
    assert settle(last, Deferred("cut off", maybe_sent=True), POLICY, NOW).state is TaskState.FAILED
    assert settle_crashed(last, POLICY, NOW).state is TaskState.FAILED


def test_a_fixed_delay_stays_whatever_the_longest_is() -> None:
    policy = RetryPolicy(delay=timedelta(hours=2), max_delay=timedelta(hours=1))
    assert [policy.wait(n) for n in (1, 2, 500)] == [7200, 7200, 7200]


def test_a_growing_delay_grows_up_to_the_longest() -> None:
    policy = RetryPolicy(delay=timedelta(seconds=10), factor=2.0, max_delay=timedelta(seconds=60))
    assert [policy.wait(n) for n in (1, 2, 3, 4, 5, 100_000)] == [10, 20, 40, 60, 60, 60]


def test_the_longest_delay_never_shortens_the_first() -> None:
    policy = RetryPolicy(delay=timedelta(hours=2), factor=3.0, max_delay=timedelta(hours=1))
    assert [policy.wait(n) for n in (1, 2)] == [7200, 7200]


OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Delivered, st.none() | st.text()),
    st.builds(RefusedForGood, st.text()),
    st.builds(Deferred, st.text(), st.none() | st.floats(0, 1e6), st.booleans(), st.booleans()),
)
POLICIES = st.builds(
    RetryPolicy,
    delay=st.timedeltas(timedelta(0), timedelta(days=30)),
    attempts=st.integers(1, 100_000),
    factor=st.floats(1, 10),
    max_delay=st.timedeltas(timedelta(0), timedelta(days=30)),
    on_ambiguous=st.sampled_from(["retry", "stop"]),
)
TASKS = st.builds(
    lambda attempts, ambiguous, crashes, cancel: TASK._replace(
        attempts=attempts, ambiguous=ambiguous, crashes=crashes, cancel_requested=cancel
    ),
    st.integers(1, 100_000),
    st.integers(0, MAX_AMBIGUOUS),
    st.integers(0, MAX_CRASHES),
    st.booleans(),
)


@given(task=TASKS, outcome=OUTCOMES, policy=POLICIES)
def test_what_every_settlement_promises(task: Task, outcome: Outcome, policy: RetryPolicy) -> None:
    settlement = settle(task, outcome, policy, NOW)
    assert settlement.state in ENDED | {TaskState.DEFERRED}
    assert (settlement.state is TaskState.DELIVERED) == isinstance(outcome, Delivered)
    assert (settlement.due_at is not None) == (settlement.state is TaskState.DEFERRED)
    assert settlement.maybe_sent == (isinstance(outcome, Deferred) and outcome.maybe_sent)
    assert settlement.ambiguous == task.ambiguous + settlement.maybe_sent
    assert task.attempts - 1 <= settlement.attempts <= task.attempts
    if settlement.due_at is not None:
        assert settlement.due_at >= NOW
        assert math.isfinite(settlement.due_at)
        assert not task.cancel_requested
        assert settlement.attempts < policy.attempts or not getattr(outcome, "counts", True)
    if settlement.maybe_sent and settlement.state is TaskState.DEFERRED:
        assert settlement.ambiguous < MAX_AMBIGUOUS
        assert policy.on_ambiguous == "retry"


@given(outcomes=st.lists(OUTCOMES, max_size=40), policy=POLICIES)
def test_no_run_of_outcomes_gives_more_tries_or_unseen_ends_than_allowed(
    outcomes: list[Outcome], policy: RetryPolicy
) -> None:
    task, unseen = TASK._replace(attempts=0), 0
    for outcome in outcomes:
        task = task._replace(attempts=task.attempts + 1)
        settlement = settle(task, outcome, policy, NOW)
        unseen += settlement.maybe_sent
        assert settlement.attempts <= policy.attempts
        if settlement.state in ENDED:
            break
        task = task._replace(attempts=settlement.attempts, ambiguous=settlement.ambiguous)
    assert unseen <= MAX_AMBIGUOUS


@given(policy=POLICIES, attempts=st.integers(1, 100_000))
def test_delays_never_shrink_and_stay_finite(policy: RetryPolicy, attempts: int) -> None:
    assert policy.delay.total_seconds() <= policy.wait(attempts) <= policy.wait(attempts + 1)
    assert math.isfinite(policy.wait(attempts))
