"""Which time zones there are, and when their clocks are changed. Moments are seconds since the epoch."""

from __future__ import annotations

import math
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

_NOT_A_PLACE = ("Factory", "localtime", "posixrules")  # files beside the zones, other on each machine


@lru_cache(maxsize=2048)
def is_zone(name: str) -> bool:
    """Whether the IANA database has it. Reads a file the first time a name is asked for."""
    if name in _NOT_A_PLACE or name.startswith(("posix/", "right/")) or not name.isascii():
        return False
    try:
        return ZoneInfo(name).key == name
    except (KeyError, ValueError, OSError):  # KeyError: ZoneInfoNotFoundError; OSError: a folder, or a name too long
        return False


def offset(moment: float, zone: ZoneInfo) -> float:
    """Seconds that the clocks are ahead of UTC."""
    ahead = datetime.fromtimestamp(moment, zone).utcoffset()
    return ahead.total_seconds() if ahead else 0.0


@lru_cache(maxsize=1024)
def change_between(low: float, high: float, zone: ZoneInfo) -> float:
    """The first whole second with another offset than at `low`; the offset at `high` is another."""
    old, before, after = offset(low, zone), math.floor(low), math.ceil(high)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if offset(middle, zone) == old else (before, middle)
    return float(after)
