"""When a client may get a message by the client's own clock (M12). Nothing here does I/O.

An interval only ever delays. On the nights when clocks change it means what the client's clock shows: an hour that
comes twice counts twice, one that is left out is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from vestnik.runtime.time_zones import change_between, offset

_DAYS = 3  # from yesterday on: an interval opens at least once in them


@dataclass(frozen=True, slots=True)
class LocalInterval:
    """From `opens`, up to but not including `closes`; over midnight when it closes earlier than it opens."""

    opens: time
    closes: time

    def __post_init__(self) -> None:
        if self.opens == self.closes:
            raise ValueError("an interval closes at another time than it opens")

    def holds(self, local: time) -> bool:
        if self.opens < self.closes:
            return self.opens <= local < self.closes
        return local >= self.opens or local < self.closes


def next_window(moment: float, interval: LocalInterval, zone: ZoneInfo) -> float:
    """The earliest time, not before `moment`, at which the interval is open there (seconds since the epoch)."""
    if interval.holds(_local(moment, zone)):
        return moment
    return min(at for at in _changes(moment, interval.opens, zone) if at > moment and interval.holds(_local(at, zone)))


@dataclass(frozen=True, slots=True)
class Window:
    """From `opens_at` up to, not including, `closes_at` (seconds since the epoch)."""

    opens_at: float
    closes_at: float


def window(moment: float, interval: LocalInterval, zone: ZoneInfo) -> Window:
    """What is left of the present window there, or the whole next one."""
    opens_at = next_window(moment, interval, zone)
    shut = LocalInterval(interval.closes, interval.opens)
    return Window(opens_at, next_window(opens_at, shut, zone))


def _local(moment: float, zone: ZoneInfo) -> time:
    return datetime.fromtimestamp(moment, zone).time()


def _changes(moment: float, opens: time, zone: ZoneInfo) -> Iterator[float]:
    """When a closed interval can open: at its hour, or when the clock is set to a time inside of it."""
    today = datetime.fromtimestamp(moment, zone).date()
    for days in range(_DAYS):
        at_its_hour = datetime.combine(today + timedelta(days=days), opens, zone)
        yield from (at_its_hour.replace(fold=fold).timestamp() for fold in (0, 1))
    end = moment + _DAYS * 86_400
    if offset(moment, zone) != offset(end, zone):
        yield change_between(int(moment), int(end), zone)
