from __future__ import annotations

import sqlite3

import pytest

from vestnik.errors import DatabaseDamaged, StoreUnavailable
from vestnik.storage.sqlite_errors import StorageFailed, is_fatal, meaning


def error(code: int) -> sqlite3.Error:
    found = sqlite3.OperationalError("as SQLite says it")
    found.sqlite_errorcode = code
    return found


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_BUSY_SNAPSHOT,
        sqlite3.SQLITE_LOCKED_SHAREDCACHE,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    ],
)
def test_what_may_pass_is_for_later(code: int) -> None:
    found = meaning(error(code), "v.db")
    assert isinstance(found, StoreUnavailable)
    assert not is_fatal(found)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_CORRUPT, DatabaseDamaged),
        (sqlite3.SQLITE_CORRUPT_INDEX, DatabaseDamaged),
        (sqlite3.SQLITE_NOTADB, DatabaseDamaged),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageFailed),
        (sqlite3.SQLITE_IOERR_READ, StorageFailed),
    ],
)
def test_what_will_not_pass_is_fatal(code: int, kind: type[Exception]) -> None:
    found = meaning(error(code), "v.db")
    assert type(found) is kind
    assert is_fatal(found)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_MISUSE, 0])
def test_a_mistake_of_ours_is_left_to_be_one(code: int) -> None:
    assert meaning(error(code), "v.db") is None


def test_an_error_without_a_code_is_ours() -> None:
    assert meaning(sqlite3.ProgrammingError("Cannot operate on a closed database."), "v.db") is None
