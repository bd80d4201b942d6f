from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.mailings.forecast import Forecast, forecast
from vestnik.mailings.model import Mailing
from vestnik.mailings.plan import planner
from vestnik.mailings.windows import LocalInterval, window
from vestnik.mailings.zones import zone

START = 1_800_000_000.0  # 11:00 in Moscow, 08:00 UTC
HOUR = 3600.0
DAYTIME = LocalInterval(time(9), time(20))


def mailing(hours: float = 1, interval: LocalInterval | None = None) -> Mailing:
    end_at = START + hours * HOUR
    return Mailing(id=1, channel="sms", text="Hello", start_at=START, end_at=end_at, interval=interval)


@pytest.mark.parametrize("now", [START - 1000, START])
def test_without_a_rate_all_go_at_the_start(now: float) -> None:
    assert forecast(mailing(), {"UTC": 100, "Europe/Moscow": 5}, None, now) == Forecast(105, START, START, 0)


def test_a_rate_draws_it_out() -> None:
    found = forecast(mailing(), {"UTC": 91}, 30.0, START)
    assert (found.first_at, found.expire) == (START, 0)
    assert found.last_at == pytest.approx(START + 3, abs=0.01)


def test_who_does_not_get_through_before_the_end_expires() -> None:
    found = forecast(mailing(), {"UTC": 3601}, 1.0, START)
    assert found.expire == 1
    assert found.last_at == pytest.approx(START + HOUR - 1, abs=0.01)


def test_what_is_left_of_a_mailing_that_runs_begins_now() -> None:
    found = forecast(mailing(), {"UTC": 10}, None, START + 10)
    assert (found.first_at, found.expire) == (START + 10, 0)


def test_after_the_end_nobody_gets_it() -> None:
    assert forecast(mailing(), {"UTC": 10}, None, START + HOUR) == Forecast(10, None, None, 10)
    assert forecast(mailing(), {}, None, START) == Forecast(0, None, None, 0)


def test_windows_open_zone_by_zone_and_some_too_late() -> None:
    # 08:00 UTC: open in Moscow, opens in London (GMT in January) in an hour, in New York in six.
    zones = {"Europe/Moscow": 1, "Europe/London": 10, "America/New_York": 100}
    found = forecast(mailing(4, DAYTIME), zones, None, START)
    assert found == Forecast(111, START, START + HOUR, 100)


def test_what_does_not_fit_a_window_goes_on_in_the_next_one() -> None:
    # Nine hours are left of the day in Moscow, so one an hour makes nine; the tenth has to wait for the next morning.
    found = forecast(mailing(48, DAYTIME), {"Europe/Moscow": 10}, 1 / HOUR, START)
    assert (found.expire, found.last_at) == (0, START + 22 * HOUR)


ZONES = st.dictionaries(
    st.sampled_from(["UTC", "Europe/Moscow", "Asia/Vladivostok", "America/St_Johns"]), st.integers(1, 30), min_size=1
)
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))
INTERVALS = st.none() | st.tuples(TIMES, TIMES).filter(lambda pair: pair[0] != pair[1]).map(
    lambda pair: LocalInterval(*pair)
)
RATES = st.none() | st.floats(1e-4, 0.01)


@settings(max_examples=150)
@given(ZONES, INTERVALS, RATES, st.floats(0.5, 72))
def test_it_is_what_sending_one_after_another_comes_to(
    zones: dict[str, int], interval: LocalInterval | None, rate: float | None, hours: float
) -> None:
    found = forecast(mailing(hours, interval), zones, rate, START)
    times = one_by_one(mailing(hours, interval), zones, rate)
    assert found.clients == sum(zones.values())
    assert found.clients - found.expire == len(times)
    assert found.first_at == (pytest.approx(times[0], abs=1) if times else None)
    assert found.last_at == (pytest.approx(times[-1], abs=1) if times else None)


def one_by_one(mailing: Mailing, zones: dict[str, int], rate: float | None) -> list[float]:
    """Message by message: the one that waits longest and may go is the next."""
    waiting = [(planner(mailing, START)(name), name) for name, clients in zones.items() for _ in range(clients)]
    free_at, times = START, []
    while waiting:
        moment = max(free_at, min(plan.due_at for plan, _ in waiting))
        for plan, name in [one for one in waiting if one[0].closes_at is not None and one[0].closes_at <= moment]:
            assert mailing.interval
            later = window(moment, mailing.interval, zone(name))
            waiting.remove((plan, name))
            waiting.append((type(plan)(later.opens_at, later.closes_at), name))
        due = [one for one in waiting if one[0].due_at <= moment]
        if not due:
            if min(plan.due_at for plan, _ in waiting) >= mailing.end_at:
                break
            continue
        if moment >= mailing.end_at:
            break
        first = min(due, key=lambda one: (one[0].due_at, one[1]))
        waiting.remove(first)
        times.append(moment)
        free_at = moment + (1 / rate if rate else 0.0)
    return times
