"""The two clocks: wall time for what people see and the database keeps, monotonic time for waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], float]

wall: Clock = time.time
monotonic: Clock = time.monotonic


def iso(timestamp: float | None) -> str | None:
    """ISO 8601 in UTC with `Z` and milliseconds, as on the wire; None stays None."""
    if timestamp is None:
        return None
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(text: str) -> float | None:
    """Seconds since the epoch of ISO 8601 with a zone; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC).timestamp() if found.tzinfo else None
    except (ValueError, OverflowError):
        return None
