"""How many questions there are by status, kept in the very transaction that changes them."""

from __future__ import annotations

from vestnik.storage.database import Connection

_ADD = "UPDATE question_count SET count = count + :by WHERE status = :status"


def add(connection: Connection, status: str, by: int) -> None:
    """`status`: raw, ready, exported or rejected."""
    if by:
        connection.execute(_ADD, {"status": status, "by": by})


def moved(connection: Connection, old: str, new: str, by: int = 1) -> None:
    if old == new:
        return
    add(connection, old, -by)
    add(connection, new, by)


def all_counts(connection: Connection) -> dict[str, int]:
    return {row["status"]: row["count"] for row in connection.execute("SELECT status, count FROM question_count")}
