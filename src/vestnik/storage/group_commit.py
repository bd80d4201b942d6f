"""What waits for one commit, and the commit itself.

A group of small writes is carried out in the event loop, and only its COMMIT, which waits for the disk, in the writer's
thread: each statement that a second thread runs costs two hand-overs of the interpreter lock, more than the row itself.
Anything else is done in the thread altogether.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, Generic, TypeVar

from vestnik.storage.connection_thread import patience
from vestnik.storage.sqlite_errors import is_lock, meaning

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Carries out all items at once and returns a result for each, in their order.
BatchWork = Callable[[Connection, Sequence[Item]], Sequence[Result]]


MAX_QUICK = 1_024  # rows of a group that the event loop carries out: some milliseconds


class Raised:
    """In the place of a result: what the work raised."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        if isinstance(error, sqlite3.Error):
            # It leads through our frames to the group, and so to all who waited and what they go on to hold: a circle
            # that nobody collects for hours. Where a lock or a disk was met it would tell nothing.
            error.__traceback__ = None
        self.error = error


class Entry(Generic[Item, Result]):
    """Items of one kind that one call of `work` carries out, and who waits for each."""

    __slots__ = ("_rows", "futures", "items", "open", "rows", "work")

    def __init__(self, work: BatchWork[Item, Result], rows: Callable[[Item], int] | None = None) -> None:
        """`rows`: how many an item writes or reads, where each takes some microseconds; None: nobody knows how long."""
        self.work = work
        self.rows = 0 if rows else MAX_QUICK + 1
        self._rows = rows
        self.open = True  # until its commit begins
        self.items: list[Item] = []
        self.futures: list[asyncio.Future[Result]] = []

    def add(self, item: Item, future: asyncio.Future[Result]) -> None:
        self.items.append(item)
        self.futures.append(future)
        if self._rows:
            self.rows += self._rows(item)

    def run(self, connection: Connection) -> Sequence[Result]:
        results = self.work(connection, self.items)
        if len(results) != len(self.items):  # somebody would wait for ever
            raise RuntimeError(f"{self.work} returned {len(results)} results for {len(self.items)} items")
        return results

    def each_alone(self) -> list[Entry[Item, Result]]:
        alone = []
        for item, future in zip(self.items, self.futures, strict=True):
            entry = Entry(self.work)
            entry.add(item, future)
            alone.append(entry)
        return alone


def is_quick(group: Sequence[Entry[Any, Any]]) -> bool:
    return sum(entry.rows for entry in group) <= MAX_QUICK


def run_now(connection: Connection, group: Sequence[Entry[Any, Any]]) -> list[Any] | None:
    """Carry out a group, and leave its transaction open; None when it has to be done the other way.

    For the event loop, as the connection waits for no lock.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        return [result for entry in group for result in entry.run(connection)]
    except BaseException as error:  # a lock, or a guilty one among them: `commit` finds out
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not isinstance(error, Exception):
            raise
        return None


def end(connection: Connection, results: list[Any]) -> list[Any]:
    """Commit what `run_now` began: the results, or Raised for each when the disk said no."""
    try:
        connection.execute("COMMIT")
    except Exception as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return [Raised(error)] * len(results)
    return results


def commit(connection: Connection, group: Sequence[Entry[Any, Any]]) -> list[Any]:
    """A result, or Raised, for every item of the group, all in one transaction.

    When something in it raises, everything is rolled back and each is done alone: only the guilty one fails.
    """
    try:
        with patience(connection):
            return _transaction(connection, group)
    except Exception as error:
        of_all = isinstance(error, sqlite3.Error) and meaning(error, "") is not None  # the disk or a lock
        size = sum(len(entry.items) for entry in group)
        if of_all or size == 1:
            return [Raised(error)] * size
    parts = group if len(group) > 1 else group[0].each_alone()
    return _one_by_one(connection, parts)


def _one_by_one(connection: Connection, parts: Sequence[Entry[Any, Any]]) -> list[Any]:
    """Until one has waited for a lock in vain: the others would, too, one after another."""
    results: list[Any] = []
    for part in parts:
        last = results[-1] if results else None
        locked = isinstance(last, Raised) and is_lock(last.error)
        results += [last] * len(part.items) if locked else commit(connection, [part])
    return results


def _transaction(connection: Connection, group: Sequence[Entry[Any, Any]]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [result for entry in group for result in entry.run(connection)]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results
