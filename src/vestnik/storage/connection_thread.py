"""A daemon thread with one SQLite connection, to which the event loop hands functions."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from vestnik.errors import StoreUnavailable

T = TypeVar("T")

BUSY_TIMEOUT = 5.0  # seconds to wait for a lock that another process holds


@contextlib.contextmanager
def patience(connection: Connection) -> Iterator[None]:
    """Wait meanwhile for a lock that another process holds. Not in the event loop."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")
    try:
        yield
    finally:
        refuse_to_wait(connection)


def refuse_to_wait(connection: Connection) -> None:
    """So the writer's connection is as a rule: to change it round each small commit cost a tenth of that."""
    connection.execute("PRAGMA busy_timeout = 0")


class ConnectionThread:
    """Runs one function after another."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._connection: Connection | None = None
        threading.Thread(target=self._loop, name=name, daemon=True).start()

    def open(self, path: Path | None) -> None:
        # The event loop may use it as well, while the thread does not: `Database` sees to that.
        connection = sqlite3.connect(
            path or ":memory:", isolation_level=None, timeout=BUSY_TIMEOUT, check_same_thread=False
        )
        self._connection = connection
        connection.row_factory = sqlite3.Row
        connection.text_factory = _as_far_as_it_is_text
        connection.execute("PRAGMA journal_mode=WAL")
        # FULL syncs the log at every commit. NORMAL was seen to lose acknowledged rows on power loss.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    def connection(self) -> Connection:
        if self._connection is None:
            raise StoreUnavailable("the database is closed")
        return self._connection

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
        self._jobs.put(None)

    async def run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                value = work()
            except BaseException as error:  # whatever it is, somebody waits for an answer
                _tell(loop, future, None, for_future(error))
            else:
                _tell(loop, future, value, None)

        self._jobs.put(job)
        return await future

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _as_far_as_it_is_text(column: bytes) -> str:
    """A changed byte in one message must not keep a claim of a hundred from being read. Costs 0.1 µs a column."""
    return column.decode("utf-8", "replace")


def for_future(error: BaseException) -> BaseException:
    """An error as a future can hold it: a StopIteration, which a stray `next` raises, it cannot."""
    if not isinstance(error, StopIteration):
        return error
    held = RuntimeError("a StopIteration was raised")
    held.__cause__ = error
    return held


def _tell(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], value: Any, error: BaseException | None
) -> None:
    def resolve() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    # The loop is closed when the process ends in the middle of a commit: nobody waits for the answer any more.
    if not loop.is_closed():
        loop.call_soon_threadsafe(resolve)
