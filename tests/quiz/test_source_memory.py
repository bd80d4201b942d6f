"""What sources remember, over a database that takes it or does not."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from vestnik.quiz.store.memory import StoredMemory
from vestnik.storage.database import Database


@asynccontextmanager
async def locked(database: Database) -> AsyncIterator[None]:
    """Another process writes all the while: ours reads, and gives up its own writes after a moment."""
    assert database.path
    await database.maintain(lambda c: c.execute("PRAGMA busy_timeout = 20").fetchall())
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_what_is_remembered_outlives_a_restart_and_what_is_forgotten_does_not(kept: Database) -> None:
    memory = StoredMemory(kept)
    await memory.remember("opentdb", "token")
    assert await StoredMemory(kept).recall("opentdb") == "token"
    await memory.remember("opentdb", None)
    assert await memory.recall("opentdb") is None
    assert await StoredMemory(kept).recall("opentdb") is None


async def test_what_could_not_be_forgotten_on_disk_does_not_come_back(kept: Database) -> None:
    memory = StoredMemory(kept)
    await memory.remember("opentdb", "dead")
    async with locked(kept):
        await memory.remember("opentdb", None)
        assert await memory.recall("opentdb") is None
    assert await StoredMemory(kept).recall("opentdb") == "dead", "the disk did not take it"
    assert await memory.recall("opentdb") is None
    await memory.remember("opentdb", "new")
    assert await memory.recall("opentdb") == await StoredMemory(kept).recall("opentdb") == "new"


async def test_what_the_disk_did_not_take_stands_until_it_is_forgotten(kept: Database) -> None:
    memory = StoredMemory(kept)
    await memory.remember("opentdb", "dead")
    async with locked(kept):
        await memory.remember("opentdb", None)
        await memory.remember("opentdb", "new")
        assert await memory.recall("opentdb") == "new"
        await memory.remember("opentdb", None)
        assert await memory.recall("opentdb") is None
    assert await memory.recall("opentdb") is None
