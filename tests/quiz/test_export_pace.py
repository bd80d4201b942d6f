"""When the exporter goes on by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.export.answers import Later
from vestnik.quiz.export.pace import Backlog, Early, Pace

FRESH = Pace(first_delay=30.0, longest_delay=3600.0)
DOWN = Later("refused")
NONE, FEW, MANY = Backlog(0, 0), Backlog(200, 0), Backlog(201, 0)


def test_more_than_the_threshold_begins_a_run_and_exactly_the_threshold_does_not() -> None:
    assert FRESH.early(MANY, 200, now=0.0) is Early.MANY_READY
    assert FRESH.early(FEW, 200, now=0.0) is None
    assert FRESH.early(NONE, 200, now=0.0) is None


def test_a_batch_that_was_open_when_the_daemon_started_is_tried_at_once() -> None:
    assert FRESH.early(Backlog(0, 1), 200, now=0.0) is Early.BATCH_OPEN


def test_after_a_failure_nothing_begins_before_the_delay_is_over() -> None:
    pace = FRESH.put_off(DOWN, sends=1, now=100.0)
    assert pace.early(Backlog(500, 1), 200, now=129.9) is None
    assert pace.early(Backlog(500, 1), 200, now=130.0) is Early.BATCH_OPEN


def test_delays_double_up_to_the_longest() -> None:
    pace, waits = FRESH, []
    for n in range(9):
        pace = pace.put_off(DOWN, sends=n + 1, now=0.0)
        waits.append(pace.retry_at)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_server_that_is_down_for_one_new_batch_after_the_other_is_asked_ever_more_seldom() -> None:
    pace = FRESH
    for _ in range(4):
        pace = pace.put_off(DOWN, sends=1, now=0.0)
    assert pace.retry_at == 240


def test_the_servers_own_wish_prolongs_the_delay_and_does_not_shorten_it() -> None:
    assert FRESH.put_off(Later("429", retry_after=90.0), sends=1, now=0.0).retry_at == 90.0
    pace = FRESH.put_off(Later("429", retry_after=1.0), sends=1, now=0.0)
    assert (pace.retry_at, pace.asked_until) == (30.0, 1.0)


def test_what_a_stuck_batch_waits_for_does_not_hold_new_ones_back() -> None:
    pace = FRESH.put_off(DOWN, sends=1, now=0.0).set_aside(sends=6, now=1000.0)
    assert pace.early(Backlog(201, 1), 200, now=1000.0) is Early.MANY_READY
    assert pace.early(Backlog(0, 1), 200, now=1000.0) is None
    assert pace.early(Backlog(0, 1), 200, now=1000.0 + 960) is Early.BATCH_OPEN


def test_success_forgets_the_failures() -> None:
    assert FRESH.put_off(DOWN, sends=3, now=50.0).went_well() == FRESH


@given(st.integers(1, 10**9), st.integers(0, 10**6), st.floats(0, 1e9))
def test_no_delay_is_longer_than_the_longest_or_shorter_than_the_first(sends: int, failures: int, now: float) -> None:
    pace = Pace(30.0, 3600.0, failures).put_off(DOWN, sends, now)
    assert now + 30.0 <= pace.retry_at <= now + 3600.0
