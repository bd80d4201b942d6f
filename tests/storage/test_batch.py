"""Writes of one kind that go into a commit together."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from vestnik.errors import StoreUnavailable
from vestnik.storage.database import Batch, Connection, Database
from vestnik.storage.group_commit import MAX_QUICK, Entry, Raised, commit
from vestnik.storage.multi_row import MultiRowInsert
from vestnik.storage.sqlite_errors import is_lock

NUMBERS = MultiRowInsert("t", ("n",))
calls: list[list[int]] = []


def insert_all(connection: Connection, items: Sequence[int]) -> list[int]:
    calls.append(list(items))
    if 13 in items:
        raise ValueError("not that one")
    NUMBERS.run(connection, [(n,) for n in items])
    return [n * 10 for n in items]


def one(_item: int) -> int:
    return 1


@pytest.fixture(params=[False, True], ids=["in the thread", "in the event loop"])
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["disk", "memory"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "v.db" if request.param == "disk" else None) as found:
        yield found


@contextlib.asynccontextmanager
async def opened(path: Path | None) -> AsyncIterator[Database]:
    calls.clear()
    database = Database(path)
    await database.open()
    await database.maintain(lambda c: c.execute("CREATE TABLE t (n INTEGER PRIMARY KEY CHECK (n < 900))"))
    yield database
    await database.close()


async def stored(database: Database) -> list[int]:
    return await database.read(lambda c: [row[0] for row in c.execute("SELECT n FROM t ORDER BY n")])


async def test_what_comes_together_is_done_together_and_each_gets_its_own_result(
    database: Database, quick: bool
) -> None:
    batch = Batch(database, insert_all, rows=one if quick else None)
    assert await asyncio.gather(*map(batch.submit, range(5))) == [0, 10, 20, 30, 40]
    assert calls == [list(range(5))]
    assert await stored(database) == list(range(5))


async def test_a_later_one_goes_into_a_later_commit(database: Database, quick: bool) -> None:
    batch = Batch(database, insert_all, rows=one if quick else None)
    first = batch.submit(1)
    async with asyncio.timeout(60):
        while not calls:  # until its commit begins
            await asyncio.sleep(0)
    await asyncio.gather(first, batch.submit(2))
    assert calls == [[1], [2]]


async def test_only_the_guilty_one_fails(database: Database, quick: bool) -> None:
    batch = Batch(database, insert_all, rows=one if quick else None)
    results = await asyncio.gather(*map(batch.submit, [12, 13, 999, 14]), return_exceptions=True)
    assert results[0] == 120
    assert isinstance(results[1], ValueError)
    assert isinstance(results[2], sqlite3.IntegrityError)
    assert results[3] == 140
    assert await stored(database) == [12, 14]


async def test_a_neighbour_that_fails_takes_nobody_with_it(database: Database, quick: bool) -> None:
    batch = Batch(database, insert_all, rows=one if quick else None)
    good = [batch.submit(n) for n in range(3)]
    bad = database.submit(lambda c: c.execute("not SQL"))
    with pytest.raises(sqlite3.OperationalError):
        await bad
    assert await asyncio.gather(*good) == [0, 10, 20]
    assert await stored(database) == [0, 1, 2]


async def test_work_that_forgets_a_result_is_told_to_each(database: Database, quick: bool) -> None:
    batch: Batch[int, int] = Batch(database, lambda _connection, _items: [], rows=one if quick else None)
    results = await asyncio.gather(*map(batch.submit, range(2)), return_exceptions=True)
    assert ["returned 0 results for 1 items" in str(result) for result in results] == [True, True]


async def test_one_that_nobody_waits_for_any_more_is_written_all_the_same(database: Database, quick: bool) -> None:
    batch = Batch(database, insert_all, rows=one if quick else None)
    given_up, kept = batch.submit(1), batch.submit(2)
    given_up.cancel()
    assert await kept == 20
    assert await stored(database) == [1, 2]


async def test_a_lock_of_another_process_holds_up_the_writes_and_not_the_event_loop(tmp_path: Path) -> None:
    async with opened(tmp_path / "v.db") as database:
        other = sqlite3.connect(tmp_path / "v.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = Batch(database, insert_all, rows=one).submit(1)
        before = time.monotonic()
        await asyncio.sleep(0.05)
        assert time.monotonic() - before < 2  # the lock is waited for 5 s
        assert not waiting.done()
        other.execute("ROLLBACK")
        other.close()
        assert await waiting == 10


async def test_maintenance_of_the_database_does_not_meet_an_open_transaction(tmp_path: Path) -> None:
    async with opened(tmp_path / "v.db") as database:
        batch = Batch(database, insert_all, rows=one)
        for n in range(100, 150):
            written = batch.submit(n)
            await database.maintain(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
            assert await written == n * 10


async def test_a_closed_database_refuses(database: Database, quick: bool) -> None:
    batch = Batch(database, insert_all, rows=one if quick else None)
    await database.close()
    with pytest.raises(StoreUnavailable):
        await batch.submit(1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 63, 64, 65, 128, 300])
async def test_any_number_of_rows_is_inserted(count: int, database: Database) -> None:
    await database.write(lambda c: NUMBERS.run(c, [(n,) for n in range(count)]))
    assert await stored(database) == list(range(count))


async def test_many_rows_are_not_the_event_loops_business_however_few_items_they_are(tmp_path: Path) -> None:
    threads = []

    def note(_connection: Connection, items: Sequence[int]) -> list[int]:
        threads.append(threading.current_thread() is threading.main_thread())
        return list(items)

    async with opened(tmp_path / "v.db") as database:
        batch = Batch(database, note, lambda rows: rows)
        await asyncio.gather(batch.submit(MAX_QUICK - 1), batch.submit(1))
        await asyncio.gather(batch.submit(MAX_QUICK), batch.submit(1))
    assert threads == [True, False]


def test_what_sqlite_raised_leads_to_no_frames_and_so_keeps_nobody_alive() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.Error) as raised:
        connection.execute("nonsense")
    assert raised.value.__traceback__ is not None
    assert Raised(raised.value).error.__traceback__ is None


def test_a_lock_that_one_of_them_has_waited_for_in_vain_is_not_waited_for_by_the_next() -> None:
    tried: list[str] = []

    def guilty(_connection: Connection, _items: Sequence[str]) -> list[str]:
        tried.append("guilty")
        if tried.count("guilty") == 1:
            raise ValueError("sends the group the other way")
        locked = sqlite3.OperationalError("database is locked")
        locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise locked

    def innocent(_connection: Connection, items: Sequence[str]) -> list[str]:
        tried.append("innocent")
        return list(items)

    group: list[Entry[str, str]] = [Entry(guilty), Entry(innocent)]
    for entry in group:
        entry.items.append("x")
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        results = commit(connection, group)
    assert all(isinstance(result, Raised) and is_lock(result.error) for result in results)
    assert tried == ["guilty", "guilty"]
