"""Damage in the database's files. What SQLite makes of the same log is asked of SQLite itself."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.errors import DatabaseDamaged
from vestnik.storage.database import Database
from vestnik.storage.write_ahead_log import damaged_frame

PAGE, HEADER, FRAME = 4096, 32, 24
COMMITS = 12


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and its log, as kill -9 leaves them: every row is in the log only."""
    folder = tmp_path_factory.mktemp("running")
    writer = sqlite3.connect(folder / "v.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for n in range(COMMITS):
        writer.execute("INSERT INTO t VALUES (?, ?)", (n, os.urandom(4000).hex()))  # some frames each
    left = folder / "left"
    left.mkdir()
    for name in ("v.db", "v.db-wal"):
        shutil.copy(folder / name, left / name)
    writer.close()
    return left


@pytest.fixture
def copy(crashed: Path, tmp_path: Path) -> Path:
    shutil.copytree(crashed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "v.db"


def last_commit(log: bytearray) -> int:
    """Where the frames of the last commit begin."""
    begin = begins = HEADER
    while begin < len(log):
        commits = int.from_bytes(log[begin + 4 : begin + 8])
        begin += FRAME + PAGE
        if commits and begin < len(log):
            begins = begin
    return begins


def rows(path: Path) -> int:
    """As many as SQLite finds, which mends the log on its way."""
    connection = sqlite3.connect(path)
    count: int = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    connection.close()
    return count


def log_of(path: Path) -> Path:
    return path.with_name("v.db-wal")


def test_the_log_of_a_crash_is_no_damage(copy: Path) -> None:
    assert damaged_frame(log_of(copy)) is None
    assert rows(copy) == COMMITS


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_byte_before_the_last_commit_is_found(data: st.DataObject, crashed: Path) -> None:
    log = bytearray((crashed / "v.db-wal").read_bytes())
    place = data.draw(st.integers(0, last_commit(log) - 1))
    log[place] ^= data.draw(st.integers(1, 255))
    changed = crashed / "changed"
    changed.write_bytes(log)
    assert damaged_frame(changed) == (0 if place < HEADER else (place - HEADER) // (FRAME + PAGE) + 1)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_commit_that_was_interrupted_is_no_damage(data: st.DataObject, crashed: Path) -> None:
    """Any of its sectors may be on disk, and any not."""
    log = bytearray((crashed / "v.db-wal").read_bytes())
    for sector in range(-(-last_commit(log) // 512), -(-len(log) // 512)):
        if data.draw(st.booleans()):
            log[sector * 512 : (sector + 1) * 512] = bytes(len(log[sector * 512 : (sector + 1) * 512]))
    changed = crashed / "changed"
    changed.write_bytes(log[: data.draw(st.integers(last_commit(log), len(log)))])
    assert damaged_frame(changed) is None


def test_frames_of_an_older_round_are_no_damage(tmp_path: Path) -> None:
    writer = sqlite3.connect(tmp_path / "v.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
    for n in range(20):
        writer.execute("INSERT INTO t VALUES (?, ?)", (n, "x" * 4000))
    writer.execute("PRAGMA wal_checkpoint(RESTART)")
    writer.execute("INSERT INTO t VALUES (20, '')")
    assert log_of(tmp_path / "v.db").stat().st_size > 20 * PAGE
    assert damaged_frame(log_of(tmp_path / "v.db")) is None
    writer.close()


def change(file: Path, place: int, bits: int = 1) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= bits
    file.write_bytes(content)


async def test_a_damaged_log_is_refused_and_left_as_it_is(copy: Path) -> None:
    log = log_of(copy)
    change(log, HEADER + 3 * (FRAME + PAGE) + 100)
    before = {file.name: file.read_bytes() for file in copy.parent.iterdir()}
    with pytest.raises(DatabaseDamaged, match=r"v\.db: the log v\.db-wal is damaged in frame 4"):
        await Database(copy).open(alone=True)
    assert {file.name: file.read_bytes() for file in copy.parent.iterdir()} == before
    assert rows(copy) < COMMITS  # what SQLite would have served


async def test_a_log_whose_header_is_damaged_is_refused(copy: Path) -> None:
    change(log_of(copy), 17)
    with pytest.raises(DatabaseDamaged, match="is damaged in its header"):
        await Database(copy).open(alone=True)


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["removed", "emptied"])
async def test_a_log_without_its_database_is_refused(lose: Callable[[Path], object], copy: Path) -> None:
    lose(copy)
    with pytest.raises(DatabaseDamaged, match=r"v\.db: the database is gone, and its log v\.db-wal is there"):
        await Database(copy).open(alone=True)
    assert log_of(copy).stat().st_size


async def test_the_log_is_empty_after_a_start(copy: Path) -> None:
    """So that nothing an earlier crash left can be taken for damage."""
    database = Database(copy)
    await database.open(alone=True)
    assert log_of(copy).stat().st_size == 0
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM t").fetchone()[0]) == COMMITS
    await database.close()


async def test_an_index_that_disagrees_with_its_table_is_found(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, due REAL)")
    connection.execute("CREATE INDEX due ON t (due)")
    connection.execute("INSERT INTO t VALUES (1, 12345.678)")
    connection.commit()
    connection.close()
    change(path, 2 * PAGE + path.read_bytes()[2 * PAGE :].index(b"\x40\xc8\x1c\xd6") + 1)  # in the index, the last page
    assert sqlite3.connect(path).execute("PRAGMA quick_check").fetchone() == ("ok",)
    with pytest.raises(DatabaseDamaged, match="the database is damaged"):
        await Database(path).open()


async def test_a_schema_that_is_no_text_any_more_is_damage(tmp_path: Path) -> None:
    """SQLite quotes it in its message, which the sqlite3 module then cannot read."""
    path = tmp_path / "v.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE things (n INTEGER PRIMARY KEY)")
    connection.commit()
    connection.close()
    change(path, path.read_bytes().index(b"CREATE TABLE things") + 14, 0x80)
    with pytest.raises(DatabaseDamaged, match=r"v\.db: the database is damaged"):
        await Database(path).open()


async def test_a_text_that_is_no_text_any_more_keeps_no_others_from_being_read(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (text TEXT)")
    connection.executemany("INSERT INTO t VALUES (?)", [("one",), ("two",)])
    connection.commit()
    connection.close()
    change(path, path.read_bytes().index(b"one"), 0x80)
    database = Database(path)
    await database.open()
    assert await database.read(lambda c: [row[0] for row in c.execute("SELECT text FROM t")]) == [
        "\N{REPLACEMENT CHARACTER}ne",
        "two",
    ]
    await database.close()
