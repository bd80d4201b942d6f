"""Refuses a damaged database: it is never recreated, and nothing in it is guessed at or dropped without a word."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from vestnik.errors import DatabaseDamaged
from vestnik.storage.write_ahead_log import damaged_frame

CHECKED_SIZE = 256 << 20  # bytes; databases up to this size are checked at start, which takes about 3 s a gigabyte


def refuse_damaged_files(path: Path) -> None:
    """Look at the files before SQLite does, which would take a damaged log for an interrupted one, and mend it.

    Only while nobody else has the database open. Raises DatabaseDamaged.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        return
    if not path.exists() or not path.stat().st_size:
        # SQLite would make an empty database, and remove the log.
        raise DatabaseDamaged(f"{path}: the database is gone, and its log {log.name} is there; restore both")
    frame = damaged_frame(log)
    if frame is not None:
        where = f"frame {frame}" if frame else "its header"
        raise DatabaseDamaged(
            f"{path}: the log {log.name} is damaged in {where}, and what stands behind it would be lost; "
            "restore from a backup, or see docs/durability.md"
        )


def refuse_damaged(connection: sqlite3.Connection, path: Path) -> None:
    """Raises DatabaseDamaged. In a larger database damage shows when the page is read."""
    if path.stat().st_size > CHECKED_SIZE:
        return
    # Not quick_check: an index that disagrees with its table hides tasks, and only this compares them.
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise DatabaseDamaged(f"{path}: the database is damaged ({found}); restore it from a backup")


def unreadable_schema(path: Path) -> DatabaseDamaged:
    return DatabaseDamaged(f"{path}: the database is damaged (its schema is no text); restore it from a backup")
