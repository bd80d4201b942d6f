from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vestnik.errors import DatabaseDamaged, ExitCode, StoreUnavailable, VestnikError
from vestnik.storage.database import MAX_PENDING, Batch, Connection, Database
from vestnik.storage.sqlite_errors import StorageFailed


@pytest.fixture(params=["file", "memory"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(tmp_path / "v.db" if request.param == "file" else None)
    await found.open()
    await found.maintain(create)
    yield found
    await found.close()


@pytest.fixture
async def on_disk(tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(tmp_path / "v.db")
    await found.open()
    await found.maintain(create)
    yield found
    await found.close()


def create(connection: Connection) -> None:
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")


def insert(n: int, text: str = "") -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?, ?)", (n, text))
        return n

    return work


def numbers(connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]


async def trace(database: Database) -> list[str]:
    """All statements that the writer runs from now on."""
    seen: list[str] = []
    await database.maintain(lambda c: c.set_trace_callback(seen.append))
    return seen


async def hold(database: Database) -> threading.Event:
    """The writer's thread is busy from now until the event is set, so that what follows gathers in one group."""
    go, begun = threading.Event(), threading.Event()

    def busy(_connection: Connection) -> None:
        begun.set()
        go.wait(10)

    database.submit(busy)
    async with asyncio.timeout(60):
        while not begun.is_set():
            await asyncio.sleep(0)
    return go


# Groups


async def test_many_writes_share_a_commit(database: Database) -> None:
    seen = await trace(database)
    go = await hold(database)
    writes = [database.submit(insert(n)) for n in range(500)]
    go.set()
    assert await asyncio.gather(*writes) == list(range(500))
    assert seen.count("COMMIT") == 2
    assert await database.read(numbers) == list(range(500))


async def test_a_lone_write_waits_for_nobody(database: Database) -> None:
    seen = await trace(database)
    for n in range(3):
        await database.write(insert(n))
    assert seen.count("COMMIT") == 3


async def test_what_is_written_is_on_disk_for_another_connection(on_disk: Database) -> None:
    await on_disk.write(insert(1))
    other = sqlite3.connect(str(on_disk.path))
    assert numbers(other) == [1]
    other.close()


async def test_commits_wait_for_the_disk(on_disk: Database) -> None:
    pragma = await on_disk.maintain(
        lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    )
    assert pragma == ["wal", 2]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (insert(250), sqlite3.IntegrityError),
        (lambda c: c.execute("SELECT * FROM no_such_table"), sqlite3.OperationalError),
        (lambda c: c.execute("not SQL"), sqlite3.OperationalError),
        (lambda _: 1 / 0, ZeroDivisionError),
        (lambda c: c.execute("INSERT INTO t VALUES (?, ?)", (1000, object())), sqlite3.Error),
    ],
    ids=["constraint", "no table", "no sql", "bug", "binding"],
)
async def test_one_bad_work_does_not_fail_its_neighbours(
    bad: Callable[[Connection], Any], error: type[Exception], database: Database
) -> None:
    go = await hold(database)
    before = [database.submit(insert(n)) for n in range(250, 300)]
    guilty = database.submit(bad)
    after = [database.submit(insert(n)) for n in range(300, 350)]
    go.set()
    with pytest.raises(error):
        await guilty
    assert await asyncio.gather(*before, *after) == list(range(250, 350))
    assert await database.read(numbers) == list(range(250, 350))


async def test_a_work_that_raises_leaves_nothing_behind(database: Database) -> None:
    def work(connection: Connection) -> None:
        insert(1)(connection)
        raise ValueError("after all not")

    with pytest.raises(ValueError, match="after all not"):
        await database.write(work)
    assert await database.read(numbers) == []
    await database.write(insert(2))
    assert await database.read(numbers) == [2]


async def test_who_no_longer_waits_does_not_stop_the_write(database: Database) -> None:
    go = await hold(database)
    given_up = database.submit(insert(1))
    kept = database.submit(insert(2))
    given_up.cancel()
    go.set()
    assert await kept == 2
    assert await database.read(numbers) == [1, 2]


async def test_too_many_waiting_writes_are_refused_not_piled_up(database: Database) -> None:
    go = await hold(database)
    waiting = [database.submit(lambda _: None) for _ in range(MAX_PENDING)]
    with pytest.raises(StoreUnavailable, match="too many writes are waiting"):
        await database.write(insert(1))
    go.set()
    await asyncio.gather(*waiting)
    assert await database.write(insert(2)) == 2


# Closing


async def test_close_commits_what_is_pending(tmp_path: Path) -> None:
    database = Database(tmp_path / "v.db")
    await database.open()
    await database.maintain(create)
    writes = [database.submit(insert(n)) for n in range(100)]
    await database.close()
    assert all(write.done() for write in writes)
    again = sqlite3.connect(str(tmp_path / "v.db"))
    assert numbers(again) == list(range(100))
    again.close()
    assert not (tmp_path / "v.db-wal").exists()


async def test_what_comes_while_it_closes_is_answered(database: Database) -> None:
    go = await hold(database)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    late = database.submit(insert(1))
    go.set()
    async with asyncio.timeout(60):
        with pytest.raises(StoreUnavailable, match="closed"):
            await late
        await closing


async def test_a_closed_database_says_so_and_can_be_opened_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "v.db")
    with pytest.raises(StoreUnavailable, match="closed"):
        await database.write(insert(1))
    await database.open()
    await database.maintain(create)
    await database.close()
    await database.close()
    for call in (database.write, database.read, database.maintain):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call(numbers)
    await database.open()
    assert await database.write(insert(1)) == 1
    await database.close()


# Trouble


async def test_a_locked_database_is_for_later_and_does_not_block_the_loop(on_disk: Database) -> None:
    await on_disk.maintain(lambda c: c.execute("PRAGMA busy_timeout = 200"))
    other = sqlite3.connect(str(on_disk.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.gather(*(on_disk.write(insert(n)) for n in range(3)), return_exceptions=True)
    longest, last = 0.0, time.monotonic()
    while not writing.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < 0.1
    assert [str(error) for error in await writing] == [f"{on_disk.path}: the database is locked by another process"] * 3
    assert all(isinstance(error, StoreUnavailable) for error in await writing)
    assert await on_disk.read(numbers) == []
    other.execute("ROLLBACK")
    other.close()
    assert await on_disk.write(insert(1)) == 1


async def test_trouble_is_told_once_and_its_end_too(on_disk: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await on_disk.maintain(lambda c: c.execute("PRAGMA busy_timeout = 20"))
    other = sqlite3.connect(str(on_disk.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await on_disk.write(insert(1))
    trouble = [on_disk.trouble]
    other.execute("ROLLBACK")
    other.close()
    for number in range(3):
        await on_disk.write(insert(number))
    assert [*trouble, on_disk.trouble] == [f"{on_disk.path}: the database is locked by another process", None]
    assert caplog.messages == [
        f"nothing can be stored: {on_disk.path}: the database is locked by another process",
        f"{on_disk.path} takes messages again",
    ]


async def test_what_comes_while_a_lock_is_waited_for_is_refused_with_it(on_disk: Database) -> None:
    await on_disk.maintain(lambda c: c.execute("PRAGMA busy_timeout = 500"))
    other = sqlite3.connect(str(on_disk.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = on_disk.submit(insert(1))
    await asyncio.sleep(0.1)  # by now it is waited for
    late = on_disk.submit(insert(2))
    await asyncio.wait([began])
    await asyncio.sleep(0)
    assert late.done()
    for refused in (began, late):
        with pytest.raises(StoreUnavailable, match="locked by another process"):
            await refused
    other.execute("ROLLBACK")
    other.close()
    assert await on_disk.write(insert(3)) == 3
    assert await on_disk.read(numbers) == [3]


async def test_a_lock_that_goes_in_time_is_only_waited_for(on_disk: Database) -> None:
    other = sqlite3.connect(str(on_disk.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = on_disk.submit(insert(1))
    await asyncio.sleep(0.05)
    assert not writing.done()
    other.execute("ROLLBACK")
    other.close()
    assert await writing == 1


async def test_a_full_disk_is_for_later(on_disk: Database) -> None:
    pages = await on_disk.maintain(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await on_disk.maintain(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall())
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await on_disk.write(insert(1, "x" * 100_000))
    assert await on_disk.read(numbers) == []
    assert await on_disk.write(insert(2)) == 2


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    path.write_bytes(b"these are not the bytes of a database" * 200)
    before = path.read_bytes()
    database = Database(path)
    with pytest.raises(DatabaseDamaged, match="restore it from a backup") as raised:
        await database.open()
    assert raised.value.exit_code == ExitCode.DAMAGED
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["v.db"]  # noqa: PTH208 - names are wanted


def damage(path: Path, begin: int, end: int) -> None:
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(b"\xff" * (end - begin))


async def fill_and_damage(path: Path) -> None:
    database = Database(path)
    await database.open()
    await database.maintain(create)
    for n in range(50):
        await database.write(insert(n, "x" * 2000))
    await database.close()
    damage(path, 4096, 16384)


async def test_damage_inside_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    await fill_and_damage(path)
    before = path.read_bytes()
    fatal: list[VestnikError] = []
    with pytest.raises(DatabaseDamaged, match="damaged"):
        await Database(path, on_fatal=fatal.append).open()
    assert path.read_bytes() == before


async def test_damage_that_shows_while_running_ends_the_service_once(tmp_path: Path) -> None:
    fatal: list[VestnikError] = []
    path = tmp_path / "v.db"
    database = Database(path, on_fatal=fatal.append)
    await database.open()
    await database.maintain(create)
    await database.write(lambda c: [insert(n, "x" * 2000)(c) for n in range(50)])
    await database.maintain(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    size = path.stat().st_size
    damage(path, 4096, size)
    await database.maintain(lambda c: c.execute("PRAGMA shrink_memory"))
    for _ in range(2):
        with pytest.raises((DatabaseDamaged, StoreUnavailable)):
            await database.write(lambda c: c.execute("DELETE FROM t"))
    [error] = fatal
    assert isinstance(error, DatabaseDamaged)
    await database.close()


class Unforeseen(BaseException):
    """What no part expects to be raised by another."""


def break_off(_connection: Connection, _items: Sequence[int]) -> list[int]:
    raise Unforeseen


@pytest.mark.parametrize("quick", [True, False])
async def test_a_bug_in_the_midst_of_a_commit_leaves_nobody_waiting_and_ends_the_service(
    quick: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fatal: list[VestnikError] = []
    database = Database(tmp_path / "v.db", on_fatal=fatal.append)
    await database.open()
    await database.maintain(create)
    together = [Batch(database, break_off, rows=(lambda _: 1) if quick else None).submit(1)]
    together += [] if quick else [database.submit(insert(1))]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        assert {type(end) for end in await asyncio.gather(*together, return_exceptions=True)} == {StorageFailed}
    assert [str(error).partition(" while")[0] for error in fatal] == [f"{database.name}: an error of ours"]
    assert any(record.levelno == logging.CRITICAL and record.exc_info for record in caplog.records)
    with pytest.raises(StoreUnavailable, match="an error of ours"):
        await database.write(insert(2))
    assert await database.read(numbers) == []
    async with asyncio.timeout(60):
        await database.close()


async def test_what_waits_behind_such_a_bug_is_told_that_nothing_was_written(tmp_path: Path) -> None:
    database = Database(tmp_path / "v.db")
    await database.open()
    await database.maintain(create)
    go, begun = threading.Event(), threading.Event()

    def held_and_broken(_connection: Connection) -> None:
        begun.set()
        go.wait(10)
        raise Unforeseen

    broken = database.submit(held_and_broken)
    while not begun.is_set():
        await asyncio.sleep(0)
    behind = database.submit(insert(1))
    go.set()
    async with asyncio.timeout(60):
        ends = await asyncio.gather(broken, behind, return_exceptions=True)
    assert [type(end) for end in ends] == [StorageFailed, StoreUnavailable]
    await database.close()


@pytest.mark.parametrize("raised", [MemoryError, StopIteration])
async def test_a_work_may_raise_what_no_future_can_hold(raised: type[Exception], database: Database) -> None:
    def broken(_connection: Connection) -> None:
        raise raised

    async with asyncio.timeout(60):
        ends = await asyncio.gather(
            database.write(insert(1)), database.write(broken), database.read(broken), return_exceptions=True
        )
    assert (ends[0], [isinstance(end, MemoryError | RuntimeError) for end in ends[1:]]) == (1, [True, True])
    assert await database.read(numbers) == [1]


async def test_a_place_that_cannot_be_opened_is_for_later(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="the database cannot be opened"):
        await Database(tmp_path / "none" / "v.db").open()


async def test_an_open_that_fails_leaves_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(DatabaseDamaged):
        await Database(path).open()
    async with asyncio.timeout(60):
        while any(thread.name.startswith(str(path)) for thread in threading.enumerate()):
            await asyncio.sleep(0.01)


async def test_reads_do_not_wait_for_writes(on_disk: Database) -> None:
    go = await hold(on_disk)
    async with asyncio.timeout(60):
        assert await on_disk.read(numbers) == []
    go.set()


async def test_threads_end_with_the_process(tmp_path: Path) -> None:
    database = Database(tmp_path / "v.db")
    await database.open()
    ours = [thread for thread in threading.enumerate() if thread.name.startswith(str(tmp_path))]
    assert [thread.daemon for thread in ours] == [True, True]
    await database.close()
