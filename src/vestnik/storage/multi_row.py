"""INSERT of many rows in one statement: half the price of as many statements, and the interpreter lock let go once."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

#: Rows of one statement. Few sizes, so that the statements stay prepared; the largest takes the most.
_SIZES = (64, 32, 16, 8, 4, 2, 1)


class MultiRowInsert:
    """`columns` are those of the rows, in their order."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 - names from our code
        row = f"({', '.join('?' * len(columns))})"
        self._statements = {size: head + ", ".join([row] * size) for size in _SIZES}

    def run(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        at = 0
        for size in _SIZES:
            while len(rows) - at >= size:
                values = [value for row in rows[at : at + size] for value in row]
                connection.execute(self._statements[size], values)
                at += size
