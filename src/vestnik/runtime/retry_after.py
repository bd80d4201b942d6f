"""How long a server asks to be left alone."""

from __future__ import annotations

import math
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

SHORTEST, LONGEST = 1.0, 86_400.0  # seconds


def believed(seconds: float) -> float:
    """At least 1 s, as such a wait may use up no try, and at most a day."""
    return min(max(math.ceil(seconds), SHORTEST), LONGEST)


def retry_after(value: str | None, now: float) -> float | None:
    """Retry-After in seconds: a number of them, or an HTTP date (RFC 9110, 10.2.3). `now` in seconds since the epoch.

    As far as it is `believed`; None without one, or for nonsense.
    """
    if value is None:
        return None
    number = value.strip()
    if re.fullmatch("[0-9]{1,12}", number):
        seconds = float(number)
    else:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError):
            return None
        seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now
    return believed(seconds)
