from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from vestnik.storage import migrations
from vestnik.storage.migrations.upgrade import HEAD, CannotUpgrade, SchemaTooNew, upgrade

UPGRADE = """
import sqlite3, sys
from vestnik.storage.migrations.upgrade import upgrade
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
connection.row_factory = sqlite3.Row
print("ready", flush=True)
sys.stdin.readline()
upgrade(connection)
"""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    found = sqlite3.connect(tmp_path / "v.db", isolation_level=None, timeout=0.05)
    found.row_factory = sqlite3.Row
    yield found
    found.close()


def config(connection: sqlite3.Connection | None = None) -> Config:
    found = Config()
    assert migrations.__file__ is not None
    found.set_main_option("script_location", str(Path(migrations.__file__).parent))
    found.attributes["connection"] = connection
    return found


def schema(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Without Alembic's own table, and SQLite's, which it keeps for good once an id has counted up by itself."""
    query = """
        SELECT type, name, sql FROM sqlite_schema
        WHERE name NOT LIKE '%alembic%' AND name <> 'sqlite_sequence' ORDER BY type, name
    """
    return [tuple(row) for row in connection.execute(query)]


def revision(connection: sqlite3.Connection) -> str:
    found: str = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    return found


def test_the_constant_is_alembics_head() -> None:
    assert ScriptDirectory.from_config(config()).get_heads() == [HEAD]


def test_a_new_database_comes_to_the_head(connection: sqlite3.Connection) -> None:
    upgrade(connection)
    assert revision(connection) == HEAD
    names = {name for kind, name, _ in schema(connection) if kind == "table"}
    assert {"message", "task", "attempt", "idempotency", "api_key", "channel_pause"} <= names
    assert connection.execute("SELECT id FROM id_ceiling").fetchone()[0] == 0


def test_upgrading_again_changes_nothing(connection: sqlite3.Connection) -> None:
    upgrade(connection)
    before, version = schema(connection), connection.execute("PRAGMA schema_version").fetchone()[0]
    upgrade(connection)
    assert schema(connection) == before
    assert connection.execute("PRAGMA schema_version").fetchone()[0] == version


def test_a_database_at_the_head_does_not_load_alembic(tmp_path: Path, connection: sqlite3.Connection) -> None:
    upgrade(connection)
    code = UPGRADE + "\nassert 'alembic' not in sys.modules and 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "v.db")], input=b"\n", check=True, timeout=30)


def test_down_and_up_again_is_the_same_schema(connection: sqlite3.Connection) -> None:
    upgrade(connection)
    before = schema(connection)
    command.downgrade(config(connection), "base")
    assert schema(connection) == []
    upgrade(connection)
    assert schema(connection) == before


def test_a_mailing_that_runs_keeps_its_end_over_the_upgrade(connection: sqlite3.Connection) -> None:
    upgrade(connection)
    command.downgrade(config(connection), "0007")
    connection.execute("""
        INSERT INTO mailing (id, channel, text, start_at, end_at, operator_codes, tags, created_at, changed_at)
        VALUES (3, 'sms', 'Hello', 1, 2, '[]', '[]', 1, 1)
    """)
    connection.execute("INSERT INTO mailing_now (mailing_id, text) VALUES (3, 'Hello')")
    upgrade(connection)
    assert tuple(connection.execute("SELECT mailing_id, ends_at FROM mailing_now").fetchone()) == (3, 2)


def test_rows_are_still_named_after_an_upgrade(connection: sqlite3.Connection) -> None:
    upgrade(connection)
    assert connection.row_factory is sqlite3.Row
    assert not connection.in_transaction


def test_a_database_from_the_future_is_refused_and_untouched(connection: sqlite3.Connection) -> None:
    upgrade(connection)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = schema(connection)
    with pytest.raises(SchemaTooNew, match=r"schema 9999, newer than this version's .*: install a newer vestnik"):
        upgrade(connection)
    assert revision(connection) == "9999"
    assert schema(connection) == before


def test_an_upgrade_that_fails_leaves_all_as_it_was(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE task (somebody TEXT)")
    before = schema(connection)
    with pytest.raises(CannotUpgrade, match=r"is as it was: table task already exists"):
        upgrade(connection)
    assert schema(connection) == before
    assert not connection.in_transaction


def test_a_locked_database_is_told_as_sqlite_tells_it(tmp_path: Path, connection: sqlite3.Connection) -> None:
    other = sqlite3.connect(tmp_path / "v.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as raised:
        upgrade(connection)
    assert raised.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
    other.close()


def test_two_that_start_at_once_both_come_to_the_head(tmp_path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # not by both of them: no busy timeout waits for that change
    both = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADE, str(tmp_path / "v.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            pytest.fail(f"ended before it was ready: {[each.communicate() for each in both]}")
    results = [(process.communicate(b"\n", timeout=30)[1], process.returncode) for process in _released(both)]
    assert results == [(b"", 0)] * 2
    assert revision(connection) == HEAD


def _released(processes: list[subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
    """Both go at once, not one after the other's end."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    return processes
