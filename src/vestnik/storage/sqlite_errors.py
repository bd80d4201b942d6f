"""What an error of SQLite means for us: try again later, or stop at once."""

from __future__ import annotations

import sqlite3

from vestnik.errors import DatabaseDamaged, StoreUnavailable, VestnikError

_LATER = {
    sqlite3.SQLITE_BUSY: "the database is locked by another process",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the database cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_NOMEM: "out of memory",
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class StorageFailed(VestnikError):
    """The disk did not do what it was told. After a failed fsync nobody knows what is on it, so it is never retried."""

    code = "storage_failed"


def meaning(error: sqlite3.Error, name: str) -> VestnikError | None:
    """The error to show, or None for a mistake of ours (bad SQL, a broken constraint)."""
    code = _family(error)
    if code in _LATER:
        return StoreUnavailable(f"{name}: {_LATER[code]}")
    if code in _DAMAGED:
        return DatabaseDamaged(f"{name}: the database is damaged ({error}); restore it from a backup")
    if code == sqlite3.SQLITE_IOERR:
        return StorageFailed(f"{name}: input/output error ({error})")
    return None


def is_fatal(error: BaseException) -> bool:
    return isinstance(error, DatabaseDamaged | StorageFailed)


def is_lock(error: BaseException) -> bool:
    """Whether another process held the database for longer than we wait."""
    return isinstance(error, sqlite3.Error) and _family(error) == sqlite3.SQLITE_BUSY


def _family(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte of an extended code
