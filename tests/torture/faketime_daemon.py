"""The daemon under libfaketime, whose `clock_nanosleep` (0.9.10) refuses the monotonic clock: it sleeps by `select`."""

from __future__ import annotations

import select
import time
from typing import SupportsIndex


def sleep(seconds: SupportsIndex | float) -> None:
    select.select([], [], [], float(seconds))


if __name__ == "__main__":
    time.sleep = sleep
    from vestnik.__main__ import main

    main()
