"""The time zones of clients."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from vestnik.runtime.time_zones import is_zone

UTC = ZoneInfo("UTC")


@lru_cache(maxsize=2048)
def zone(name: str) -> ZoneInfo:
    """UTC for one that this machine's database does not have any more: nobody else's message must wait for that."""
    return ZoneInfo(name) if is_zone(name) else UTC
