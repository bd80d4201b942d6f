"""When a job runs next, by TIMER or by CRON (Q2). Pure: the moment is given, nothing looks at a clock.

Moments are seconds since the epoch, UTC.

CRON is croniter's, but only for naive local times: given a time zone, croniter fires a fixed daily time twice on the
autumn night. What a change of the clocks means is decided here, as Debian's cron and cronsim do
(docs/decisions/2026-11-21-cron-croniter-wrapped.md).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

from vestnik.errors import VestnikError
from vestnik.runtime.time_zones import change_between, is_zone, offset

SHORTEST_INTERVAL, LONGEST_INTERVAL = 1, 10 * 366 * 86_400_000  # milliseconds; ten years
LONGEST_EXPRESSION = 200  # characters

_DAY = 86_400

#: Name, what it may be written with (croniter itself takes `R`, which is another time whenever it is asked), and the
#: widest step.
_FIELDS = (
    ("minute", r"[0-9*,/-]+", 59),
    ("hour", r"[0-9*,/-]+", 23),
    ("day of the month", r"(?:[0-9*,/-]|L)+", 31),
    ("month", r"(?:[0-9*,/-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)+", 12),
    ("day of the week", r"(?:[0-9*,/#-]|L|SUN|MON|TUE|WED|THU|FRI|SAT)+", 7),
)


class BadTrigger(VestnikError):
    """The text completes "must be …"; `field` is `schedule`, `timezone` or `interval`."""

    code = "bad_trigger"

    def __init__(self, field: str, wanted: str) -> None:
        super().__init__(wanted)
        self.field = field


@dataclass(frozen=True, slots=True)
class Timer:
    """Every `interval_ms` milliseconds. Raises BadTrigger."""

    mode: ClassVar[str] = "TIMER"
    interval_ms: int

    def __post_init__(self) -> None:
        if not SHORTEST_INTERVAL <= self.interval_ms <= LONGEST_INTERVAL:
            wanted = f"a whole number of milliseconds from {SHORTEST_INTERVAL} to {LONGEST_INTERVAL}"
            raise BadTrigger("interval", wanted)

    def __str__(self) -> str:
        return f"every {self.interval_ms} ms"

    @property
    def seconds(self) -> float:
        return self.interval_ms / 1000

    def next_after(self, moment: float, since: float | None = None) -> float:
        """The first time after the moment, counted in whole intervals from `since` (or else from the moment)."""
        if since is None or since > moment:
            return moment + self.seconds
        passed = math.floor((moment - since) / self.seconds)
        found = since + (passed + 1) * self.seconds
        return found if found > moment else found + self.seconds  # floats: the quotient can be rounded down


@dataclass(frozen=True, slots=True)
class Cron:
    """Five fields, in a time zone. Raises BadTrigger for an expression that is none, or that never comes.

    A time of day is *fixed* unless its minute or hour field begins with `*`. Fixed times come once a day: in the hour
    that is repeated in autumn the first time round, and those that spring leaves out as soon as its gap is over. Other
    expressions follow the clock on the wall: all through a repeated hour, and never in a gap.
    """

    mode: ClassVar[str] = "CRON"
    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check_zone(self.timezone)
        _check_expression(self.expression)
        try:
            self._naive_after(datetime(2000, 1, 1))  # noqa: DTZ001 - any moment will do: is there one after it?
        except CroniterBadDateError:
            raise BadTrigger("schedule", "an expression that comes some day; this one never does") from None

    def __str__(self) -> str:
        return f"{self.expression} ({self.timezone})"

    @property
    def fixed(self) -> bool:
        minute, hour = self.expression.split()[:2]
        return not minute.startswith("*") and not hour.startswith("*")

    def next_after(self, moment: float, since: float | None = None) -> float:  # noqa: ARG002 - as Timer's
        """The first time after the moment."""
        zone = ZoneInfo(self.timezone)
        return self._fixed_after(moment, zone) if self.fixed else self._shown_after(moment, zone)

    def _fixed_after(self, moment: float, zone: ZoneInfo) -> float:
        naive = _local(moment, zone)
        while True:
            naive = self._naive_after(naive)
            found = _first_reached(naive, zone)
            if found > moment:  # in a repeated hour the second time round, those up to its end have been
                return found

    def _shown_after(self, moment: float, zone: ZoneInfo) -> float:
        """From one change of the clocks to the next they differ from UTC by a constant, and there it is simple."""
        begin = after = moment
        while True:
            ahead = offset(begin, zone)
            found = _timestamp(self._naive_after(_naive(after + ahead))) - ahead
            change = _first_change(begin, found, zone)
            if change is None or found < change:
                return found
            begin, after = change, change - 1  # the moment of the change itself is in question, too

    def _naive_after(self, naive: datetime) -> datetime:
        """Raises CroniterBadDateError."""
        # "Cron's bug" is what crontab(5) says: a day field that begins with `*` restricts nothing by itself.
        times = croniter(_for_croniter(self.expression), naive.replace(tzinfo=UTC), implement_cron_bug=True)
        found: datetime = times.get_next(datetime)
        return found.replace(tzinfo=None)


Trigger = Timer | Cron


def _naive(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)


def _timestamp(naive: datetime) -> float:
    return naive.replace(tzinfo=UTC).timestamp()


def _local(moment: float, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)


def _first_reached(naive: datetime, zone: ZoneInfo) -> float:
    """The first moment at which the clocks show the time, or, where they jump over it, a later one."""
    # PEP 495: fold=0 is the first of two; in a gap fold=0 lies after the change, and fold=1 before it.
    first, second = (naive.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if first <= second:
        return first
    return change_between(second, first, zone)


def _first_change(low: float, high: float, zone: ZoneInfo) -> float | None:
    """When the clocks are changed first in (low, high], looked for day by day; None when they are not."""
    old = offset(low, zone)
    while low < high:
        later = min(low + _DAY, high)
        if offset(later, zone) != old:
            return change_between(low, later, zone)
        low = later
    return None


def _check_zone(name: str) -> None:
    if not is_zone(name):
        raise BadTrigger("timezone", "the name of a time zone, such as Europe/Berlin or UTC")


def _check_expression(expression: str) -> None:
    if len(expression) > LONGEST_EXPRESSION:
        raise BadTrigger("schedule", f"at most {LONGEST_EXPRESSION} characters long")
    fields = expression.split()
    if len(fields) != len(_FIELDS) or not re.fullmatch(r"[!-~ \t]+", expression):
        names = ", ".join(name for name, _, _ in _FIELDS)
        without = ", without seconds" if len(fields) > len(_FIELDS) else ""
        raise BadTrigger("schedule", f"the five fields of cron ({names}){without}; found {len(fields)}")
    for place, (field, (name, form, widest)) in enumerate(zip(fields, _FIELDS, strict=True)):
        if not re.fullmatch(form, field.upper()) or not _croniter_takes(field, place):
            raise BadTrigger("schedule", f'the five fields of cron; "{field}" is no {name}')
        if any(int(step) > widest for step in re.findall(r"/([0-9]+)", field)):
            raise BadTrigger("schedule", f'the five fields of cron; the {name} "{field}" steps over its range')
    if not croniter.is_valid(expression):
        raise BadTrigger("schedule", "the five fields of cron; these do not go together")


def _for_croniter(expression: str) -> str:
    """A range of one: croniter takes `5-5` for the whole range of the field."""
    return re.sub(r"\b(\w+)-\1(/[0-9]+)?(?![\w-])", r"\1", expression)


def _croniter_takes(field: str, place: int) -> bool:
    """Alone, so that the error can name the field."""
    alone = ["*"] * len(_FIELDS)
    alone[place] = field
    try:
        croniter.expand(" ".join(alone))
    except (CroniterError, ValueError):  # ValueError: a number of a thousand digits
        return False
    return True
