"""Which names of time zones there are."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

_NOT_A_PLACE = ("Factory", "localtime", "posixrules")  # files beside the zones, other on each machine


UTC = ZoneInfo("UTC")


@lru_cache(maxsize=2048)
def zone(name: str) -> ZoneInfo:
    """UTC for one that this machine's database does not have any more: nobody else's message must wait for that."""
    return ZoneInfo(name) if is_zone(name) else UTC


@lru_cache(maxsize=2048)
def is_zone(name: str) -> bool:
    """Whether the IANA database has it. Reads a file the first time a name is asked for."""
    if name in _NOT_A_PLACE or name.startswith(("posix/", "right/")) or not name.isascii():
        return False
    try:
        return ZoneInfo(name).key == name
    except (KeyError, ValueError, OSError):  # KeyError: ZoneInfoNotFoundError; OSError: a folder, or a name too long
        return False
