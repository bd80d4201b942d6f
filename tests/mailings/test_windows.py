"""When an interval by the client's clock is open."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vestnik.mailings.windows import LocalInterval, next_window

ZONES = (
    "Europe/Moscow",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "UTC",
)
#: 2025 and 2026, with every change of clocks in them.
MOMENTS = st.integers(
    int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
)
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
INTERVALS = st.tuples(TIMES, TIMES).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: LocalInterval(*pair))


def at(text: str, zone: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def is_open(moment: float, interval: LocalInterval, zone: str) -> bool:
    return interval.holds(datetime.fromtimestamp(moment, ZoneInfo(zone)).time())


@given(MOMENTS, INTERVALS, st.sampled_from(ZONES))
@example(int(at("2025-03-30 01:59", "Europe/Berlin")), LocalInterval(time(2, 30), time(2, 45)), "Europe/Berlin")
@example(int(at("2025-10-26 02:45", "Europe/Berlin")), LocalInterval(time(1), time(2, 30)), "Europe/Berlin")
def test_it_is_the_earliest_minute_at_which_the_interval_is_open(
    moment: int, interval: LocalInterval, zone: str
) -> None:
    found = next_window(moment, interval, ZoneInfo(zone))
    assert found >= moment
    assert is_open(found, interval, zone)
    # Every interval, and every change of clocks, begins with a minute.
    minute = moment - moment % 60 + 60
    earlier = [moment, *range(minute, int(found), 60)]
    assert found == moment or not any(is_open(each, interval, zone) for each in earlier)


@pytest.mark.parametrize(
    ("zone", "moment", "interval", "expected"),
    [
        ("Europe/Moscow", "2026-05-01 08:59:59", (time(9), time(20)), "2026-05-01 09:00"),
        ("Europe/Moscow", "2026-05-01 20:00", (time(9), time(20)), "2026-05-02 09:00"),
        ("Europe/Moscow", "2026-05-01 12:00", (time(21), time(3)), "2026-05-01 21:00"),
        ("Europe/Berlin", "2026-03-29 01:30", (time(2, 30), time(4)), "2026-03-29 03:00"),  # 02:30 is left out
    ],
)
def test_known_days(zone: str, moment: str, interval: tuple[time, time], expected: str) -> None:
    found = next_window(at(moment, zone), LocalInterval(*interval), ZoneInfo(zone))
    assert found == at(expected, zone)


def test_inside_nothing_is_delayed_also_after_midnight() -> None:
    night = LocalInterval(time(21), time(3))
    for text in ("2026-05-01 21:00", "2026-05-02 02:59"):
        assert next_window(at(text, "Europe/Moscow"), night, ZoneInfo("Europe/Moscow")) == at(text, "Europe/Moscow")


def test_an_hour_that_comes_twice_counts_twice() -> None:
    closed = at("2026-10-25 02:40", "Europe/Berlin")  # the first time; in 20 minutes it is 02:00 again
    found = next_window(closed, LocalInterval(time(1), time(2, 30)), ZoneInfo("Europe/Berlin"))
    assert found == at("2026-10-25 02:00", "Europe/Berlin", fold=1)
    assert found - closed == timedelta(minutes=20).total_seconds()


def test_an_interval_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="another time"):
        LocalInterval(time(9), time(9))
