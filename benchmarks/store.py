"""Databases as the daemon would leave them, filled through the daemon's own store, so that every count is right."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.processes import Failed
from vestnik.delivery.ids import IdFactory
from vestnik.delivery.model import MessageId, TaskId
from vestnik.delivery.store import claims, intake, pauses
from vestnik.delivery.store.intake import NewMessage
from vestnik.runtime.clock import wall
from vestnik.storage.database import Connection, Database
from vestnik.storage.migrations.upgrade import upgrade

TEXT = "Hello, world"
_BATCH = 1_000

T = TypeVar("T")


def fill(path: Path, *, channel: str, recipient: str = "", count: int) -> None:
    """Add `count` tasks that are due, a message each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(_with(path, lambda database: _fill(database, channel, recipient, count)))


def pause(path: Path, channel: str) -> None:
    """Let the daemon hand out nothing of this channel, as an operator may."""
    asyncio.run(_with(path, lambda database: database.write(lambda c: pauses.keep(c, channel, "benchmark", wall()))))


def claim_rate(path: Path, channel: str, *, claims_of: int, times: int) -> float:
    """Tasks claimed a second, each claim in a commit of its own, one after another; the first is not counted."""

    async def claim(database: Database) -> None:
        found = await database.write(lambda c: claims.claim(c, channel, "benchmark", wall(), claims_of))
        if len(found.tasks) != claims_of:
            raise Failed(f"claimed {len(found.tasks)} tasks instead of {claims_of}")

    async def claim_all(database: Database) -> float:
        await claim(database)  # makes the log, reads the first pages
        began = time.perf_counter()
        for _ in range(times - 1):
            await claim(database)
        return claims_of * (times - 1) / (time.perf_counter() - began)

    return asyncio.run(_with(path, claim_all))


def copy(template: Path, path: Path) -> None:
    """Of a database that nobody has open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copyfile(template, path)


async def _with(path: Path, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(path)
    await database.open()
    try:
        await database.maintain(upgrade)
        return await work(database)
    finally:
        await database.close()


async def _fill(database: Database, channel: str, recipient: str, count: int) -> None:
    ids = IdFactory(wall, above=await database.read(intake.ceiling))
    messages = _messages(ids, channel, recipient, count)
    while batch := list(itertools.islice(messages, _BATCH)):
        await database.write(partial(_register, messages=batch))


def _messages(ids: IdFactory, channel: str, recipient: str, count: int) -> Iterator[NewMessage]:
    for _ in range(count):
        now = wall()
        yield NewMessage(
            id=MessageId(ids.next()),
            channel=channel,
            text=TEXT,
            subject=None,
            sender=None,
            created_at=now,
            due_at=now,
            expires_at=None,
            recipients=[(TaskId(ids.next()), recipient)],
        )


def _register(connection: Connection, messages: list[NewMessage]) -> None:
    for message in messages:
        intake.register(connection, message)
