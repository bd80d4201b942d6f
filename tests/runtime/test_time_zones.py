from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from vestnik.runtime.time_zones import change_between, is_zone, offset

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("name", ["UTC", "Europe/Moscow", "America/Argentina/Buenos_Aires", "Etc/GMT+3"])
def test_names_of_the_database_are_zones(name: str) -> None:
    assert is_zone(name)


@pytest.mark.parametrize(
    "name",
    ["", "Moscow", "Europe", "../etc/passwd", "/etc/localtime", "Europe/Ber\x00lin", "Европа", "\ud800", "a" * 5000],
)
def test_other_names_are_none(name: str) -> None:
    assert not is_zone(name)


@pytest.mark.parametrize("name", ["localtime", "Factory", "posixrules", "posix/UTC", "right/UTC"])
def test_what_is_another_zone_on_each_machine_is_none(name: str) -> None:
    assert not is_zone(name)


@pytest.mark.parametrize(("before", "after"), [(1, 1), (0.5, 0.25), (1, 0), (86_400, 3.75), (3 * 86_400.0, 86_400.0)])
def test_a_change_of_the_clocks_is_found_to_the_second(before: float, after: float) -> None:
    assert change_between(SPRING - before, SPRING + after, BERLIN) == SPRING
    assert offset(SPRING, BERLIN) - offset(SPRING - 1, BERLIN) == 3600


def test_in_autumn_too() -> None:
    autumn = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
    assert change_between(autumn - 7200.5, autumn + 7200.5, BERLIN) == autumn
