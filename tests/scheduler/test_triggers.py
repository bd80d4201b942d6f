from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from vestnik.scheduler.triggers import LONGEST_INTERVAL, BadTrigger, Cron, Timer

#: With the hour, or the half hour, that their clocks are changed by.
ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Kathmandu",
)
#: Where cronsim itself goes wrong with `*`: changes by half an hour, at a quarter past, at midnight.
ODD_ZONES = ("Australia/Lord_Howe", "Pacific/Chatham", "America/Santiago", "America/Havana", "Antarctica/Troll")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def fires(trigger: Cron, moment: float) -> Iterator[float]:
    while True:
        moment = trigger.next_after(moment)
        yield moment


def local_fires(expression: str, zone: str, first: str, last: str) -> list[str]:
    """What the clocks show at each time from `first` to `last` (ISO 8601, with offsets)."""
    trigger, until = Cron(expression, zone), datetime.fromisoformat(last).timestamp()
    moments = itertools.takewhile(
        lambda moment: moment <= until, fires(trigger, datetime.fromisoformat(first).timestamp() - 1)
    )
    return [datetime.fromtimestamp(moment, ZoneInfo(zone)).strftime("%d. %H:%M %z") for moment in moments]


# -- the nights of the change

AUTUMN = ("2026-10-24T12:00+02:00", "2026-10-26T12:00+01:00")
SPRING = ("2026-03-28T12:00+01:00", "2026-03-30T12:00+02:00")


def test_a_fixed_time_in_the_hour_that_comes_twice_fires_once_the_first_time_round() -> None:
    assert local_fires("30 2 * * *", "Europe/Berlin", *AUTUMN) == ["25. 02:30 +0200", "26. 02:30 +0100"]


def test_a_fixed_time_in_the_hour_that_is_left_out_fires_when_its_gap_is_over() -> None:
    assert local_fires("30 2 * * *", "Europe/Berlin", *SPRING) == ["29. 03:00 +0200", "30. 02:30 +0200"]


def test_several_fixed_times_in_the_gap_fire_once_together() -> None:
    night = ("2026-03-29T00:00+01:00", "2026-03-29T04:00+02:00")
    assert local_fires("0,20,40 2,3 * * *", "Europe/Berlin", *night) == [
        "29. 03:00 +0200",
        "29. 03:20 +0200",
        "29. 03:40 +0200",
    ]


def test_every_half_hour_goes_on_through_the_hour_that_comes_twice() -> None:
    night = ("2026-10-25T01:30+02:00", "2026-10-25T03:00+01:00")
    assert local_fires("*/30 * * * *", "Europe/Berlin", *night) == [
        "25. 01:30 +0200",
        "25. 02:00 +0200",
        "25. 02:30 +0200",
        "25. 02:00 +0100",
        "25. 02:30 +0100",
        "25. 03:00 +0100",
    ]


def test_every_half_hour_has_no_time_in_the_gap() -> None:
    night = ("2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00")
    assert local_fires("*/30 * * * *", "Europe/Berlin", *night) == [
        "29. 01:30 +0100",
        "29. 03:00 +0200",
        "29. 03:30 +0200",
    ]


def test_half_an_hour_that_comes_twice_is_one_as_well() -> None:
    night = ("2026-04-05T01:00+11:00", "2026-04-05T02:30+10:30")  # Lord Howe: 02:00 becomes 01:30
    assert local_fires("45 1 * * *", "Australia/Lord_Howe", *night) == ["05. 01:45 +1100"]
    assert local_fires("45 * * * *", "Australia/Lord_Howe", *night) == ["05. 01:45 +1100", "05. 01:45 +1030"]


def test_midnight_that_is_left_out_fires_at_one() -> None:
    day = ("2026-09-05T12:00-04:00", "2026-09-07T12:00-03:00")  # Santiago: midnight becomes one o'clock
    assert local_fires("0 0 * * *", "America/Santiago", *day) == ["06. 01:00 -0300", "07. 00:00 -0300"]


@pytest.mark.parametrize("zone", [*ZONES, *ODD_ZONES])
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 0 * * *", "45 1 * * *"])
def test_a_daily_time_fires_once_on_every_local_day_of_two_years(zone: str, expression: str) -> None:
    found = list(itertools.takewhile(lambda m: m < BEGIN + 730 * 86400, fires(Cron(expression, zone), BEGIN)))
    days = [datetime.fromtimestamp(moment, ZoneInfo(zone)).date() for moment in found]
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
    assert len(days) >= 729


@pytest.mark.parametrize("zone", [*ZONES, *ODD_ZONES])
def test_every_minute_is_every_real_minute_of_the_weeks_of_the_change(zone: str) -> None:
    for begin in changes(zone):
        found = list(itertools.islice(fires(Cron("* * * * *", zone), begin - 3600), 180))
        assert found == [begin - 3600 + 60 * n for n in range(1, 181)]


def changes(zone: str) -> list[float]:
    """The moments in 2026 and 2027 at which the clocks are changed, to the quarter of an hour."""
    quarters = [BEGIN + 900 * n for n in range(2 * 365 * 96)]
    shown = [datetime.fromtimestamp(moment, ZoneInfo(zone)).utcoffset() for moment in quarters]
    return [moment for moment, before, after in zip(quarters[1:], shown, shown[1:], strict=False) if before != after]


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    return st.one_of(
        st.just("*"),
        st.integers(1, high).map(lambda step: f"*/{step}"),
        number.map(str),
        st.lists(number, min_size=2, max_size=4).map(lambda found: ",".join(map(str, found))),
        span.map(lambda found: f"{found[0]}-{found[1]}"),
        st.tuples(span, st.integers(1, 5)).map(lambda found: f"{found[0][0]}-{found[0][1]}/{found[1]}"),
    )


EXPRESSIONS = st.tuples(
    numbers(0, 59),
    st.one_of(numbers(0, 23), st.sampled_from(["*", "1", "2", "3", "*/2"])),  # the hours in which clocks are changed
    st.one_of(st.just("*"), numbers(1, 31)),
    st.one_of(st.just("*"), numbers(1, 12)),
    st.one_of(st.just("*"), numbers(0, 7)),
).map(" ".join)
CHANGES = {zone: changes(zone) or [BEGIN] for zone in (*ZONES, *ODD_ZONES)}


@st.composite
def nights(draw: st.DrawFn, zones: tuple[str, ...], hours: int = 48) -> tuple[str, float]:
    """A zone, and a moment within so many hours before its clocks are changed."""
    zone = draw(st.sampled_from(zones))
    return zone, draw(st.sampled_from(CHANGES[zone])) - draw(st.integers(1, hours * 3600))


@settings(max_examples=500, deadline=None)
@given(EXPRESSIONS, nights(ZONES))
@example("0 0 */2 * 1", ("Europe/Berlin", BEGIN))  # a day field with a star restricts together with the other one
def test_it_fires_when_cronsim_does(expression: str, night: tuple[str, float]) -> None:
    zone, begin = night
    try:
        oracle = CronSim(expression, datetime.fromtimestamp(begin, ZoneInfo(zone)))
        wanted = [moment.timestamp() for moment in itertools.islice(oracle, 40)]
    except CronSimError:
        wanted = []
    assume(wanted)
    assert list(itertools.islice(fires(Cron(expression, zone), begin), 40)) == wanted


@settings(max_examples=50, deadline=None)
@given(EXPRESSIONS, nights(ODD_ZONES, hours=12))
def test_where_clocks_are_changed_oddly_it_fires_at_the_minutes_that_match(
    expression: str, night: tuple[str, float]
) -> None:
    zone, begin = night
    try:
        trigger = Cron(expression, zone)
    except BadTrigger:
        return
    assume(not trigger.fixed)
    first = begin - begin % 60 + 60
    minutes = [first + 60 * n for n in range(1440)]
    fields = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    wanted = [moment for moment in minutes if matches(fields, datetime.fromtimestamp(moment, ZoneInfo(zone)))]
    found = itertools.takewhile(lambda moment: moment <= minutes[-1], fires(trigger, begin))
    assert list(found) == wanted


def matches(fields: CronSim, local: datetime) -> bool:
    """As cronsim reads the fields."""
    on_the_day = fields.match_day(local.date()) and local.month in fields.months
    return on_the_day and local.hour in fields.hours and local.minute in fields.minutes


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, nights(ZONES + ODD_ZONES), st.floats(0, 3 * 86400))
def test_the_next_time_is_later_and_nothing_lies_between(
    expression: str, night: tuple[str, float], moment: float
) -> None:
    try:
        trigger = Cron(expression, night[0])
    except BadTrigger:
        return
    begin = night[1]
    following = trigger.next_after(begin)
    assert following > begin
    between = begin + min(moment, following - begin - 0.001)
    assert trigger.next_after(between) == following


# -- what an expression may be


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("", "the five fields of cron (minute, hour, day of the month, month, day of the week); found 0"),
        ("* * * *", "the five fields of cron (minute, hour, day of the month, month, day of the week); found 4"),
        (
            "0 * * * * *",
            "the five fields of cron (minute, hour, day of the month, month, day of the week), without seconds; "
            "found 6",
        ),
        ("@daily", "the five fields of cron (minute, hour, day of the month, month, day of the week); found 1"),
        ("60 * * * *", 'the five fields of cron; "60" is no minute'),
        ("* 24 * * *", 'the five fields of cron; "24" is no hour'),
        ("* * 32 * *", 'the five fields of cron; "32" is no day of the month'),
        ("* * * MAI *", 'the five fields of cron; "MAI" is no month'),
        ("* * * * 8", 'the five fields of cron; "8" is no day of the week'),
        ("*/90 * * * *", 'the five fields of cron; the minute "*/90" steps over its range'),
        ("*/0 * * * *", 'the five fields of cron; "*/0" is no minute'),
        ("R * * * *", 'the five fields of cron; "R" is no minute'),
        ("0 0 31 4 *", "an expression that comes some day; this one never does"),
        ("0 0 30 2 *", "an expression that comes some day; this one never does"),
        ("* " * 150, "at most 200 characters long"),
    ],
)
def test_a_bad_expression_is_refused_and_told_why(expression: str, wanted: str) -> None:
    with pytest.raises(BadTrigger) as refused:
        Cron(expression)
    assert (refused.value.field, str(refused.value)) == ("schedule", wanted)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=250) | st.text("0123456789*,/-#LR? sunmo\t\x00\x1f٣", max_size=60))
@example("0\x1f0 * * *")
@example("٣ * * * *")
@example("0 0 * * mon#6")
@example(f"{'1' * 190} * * * *")
def test_whatever_is_given_is_a_schedule_or_refused(text: str) -> None:
    try:
        trigger = Cron(text)
    except BadTrigger:
        return
    assert trigger.next_after(BEGIN) > BEGIN
    assert text.isascii()


def test_the_rarest_day_comes_over_the_century_that_has_no_leap_day() -> None:
    moment = Cron("0 0 29 2 */7").next_after(datetime(2077, 1, 1, tzinfo=UTC).timestamp())
    assert datetime.fromtimestamp(moment, UTC) == datetime(2088, 2, 29, tzinfo=UTC)
    moment = Cron("0 0 29 2 */7").next_after(datetime(2089, 1, 1, tzinfo=UTC).timestamp())
    assert datetime.fromtimestamp(moment, UTC) == datetime(2128, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(("one", "plain"), [("5-5 * * * *", "5 * * * *"), ("0 0 * * 7-7", "0 0 * * 7")])
def test_a_range_of_one_is_that_one(one: str, plain: str) -> None:
    assert list(itertools.islice(fires(Cron(one), BEGIN), 9)) == list(itertools.islice(fires(Cron(plain), BEGIN), 9))


@pytest.mark.parametrize(
    "zone", ["", "Berlin", "Europe", "../etc/passwd", "localtime", "right/UTC", "Europe/Ber\x00lin", "a" * 5000]
)
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadTrigger) as refused:
        Cron("* * * * *", zone)
    assert (refused.value.field, str(refused.value)) == (
        "timezone",
        "the name of a time zone, such as Europe/Berlin or UTC",
    )


# -- intervals


@pytest.mark.parametrize("interval", [0, -1, -(10**30), LONGEST_INTERVAL + 1, 10**30])
def test_an_interval_that_is_none_is_refused(interval: int) -> None:
    with pytest.raises(BadTrigger) as refused:
        Timer(interval)
    assert refused.value.field == "interval"


def test_an_interval_counts_from_the_moment_or_in_whole_ones_from_a_start() -> None:
    every_minute = Timer(60_000)
    assert every_minute.next_after(100.0) == 160.0
    assert every_minute.next_after(100.0, since=90.0) == 150.0
    assert every_minute.next_after(150.0, since=90.0) == 210.0
    assert every_minute.next_after(151.0, since=90.0) == 210.0
    assert every_minute.next_after(80.0, since=90.0) == 140.0


@given(st.integers(1, LONGEST_INTERVAL), st.floats(0, 4e9), st.floats(0, 4e9))
def test_the_next_interval_ends_later_and_within_one(interval: int, moment: float, since: float) -> None:
    timer = Timer(interval)
    found = timer.next_after(moment, since)
    assert found > moment
    assert found <= moment + timer.seconds + 0.001
