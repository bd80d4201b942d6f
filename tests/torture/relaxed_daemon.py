"""The daemon with synchronous=NORMAL, for the control run: a power cut has to be seen to lose what it stored."""

from __future__ import annotations

import sqlite3
import sys
from functools import partial
from typing import Any

FULL, NORMAL = "PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"


class RelaxedConnection(sqlite3.Connection):
    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == FULL:
            print("relaxed", file=sys.stderr, flush=True)  # noqa: T201 - the control run asks for it
        return super().execute(NORMAL if sql == FULL else sql, *parameters)


if __name__ == "__main__":
    sqlite3.connect = partial(sqlite3.connect, factory=RelaxedConnection)  # type: ignore[assignment]
    from vestnik.__main__ import main

    main()
