"""One SQLite database: one writer that commits in groups, one reader beside it.

`write` joins the pending group; the group is committed in one transaction (WAL, synchronous=FULL), on the writer's
thread or, where it is small, by the event loop up to its COMMIT; and only then every `write` of it returns. While one
commit runs, the next group gathers: groups size themselves by load, and a lone write waits for nobody.

The threads are our own and daemonic, on plain sqlite3: an open aiosqlite connection keeps a dying process alive for
ever (docs/decisions/2026-11-21-own-writer-thread.md).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from vestnik.errors import StoreUnavailable, VestnikError
from vestnik.storage.connection_thread import ConnectionThread, for_future, patience, refuse_to_wait
from vestnik.storage.damage import refuse_damaged, refuse_damaged_files, unreadable_schema
from vestnik.storage.free_space import is_nearly_full
from vestnik.storage.group_commit import BatchWork, Entry, Item, Raised, Result, commit, end, is_quick, run_now
from vestnik.storage.sqlite_errors import StorageFailed, is_fatal, is_lock, meaning

T = TypeVar("T")
Connection = sqlite3.Connection
Work = Callable[[Connection], T]

MAX_TURNS = 30  # of the event loop, in which a group may grow before its commit begins
MAX_PENDING = 20_000  # writes waiting for their commit; more are refused, not piled up

log = logging.getLogger(__name__)


class Database:
    """Open with `open`, close with `close`; all work is given as functions that take the sqlite3 connection.

    A work function may run more than once (its group is rolled back and tried one by one when a neighbour raises), so
    it must change nothing but the database. It raises only for what ends its own write.
    """

    def __init__(self, path: Path | None, *, on_fatal: Callable[[VestnikError], None] | None = None) -> None:
        """`path` None keeps everything in memory. `on_fatal` is called once, in the loop, when the disk fails us."""
        self.path = path
        self.name = str(path) if path else "memory"
        self._on_fatal = on_fatal
        self._failed: VestnikError | None = None
        self.trouble: str | None = None  # why nothing can be written just now
        self.nearly_full = False  # then nothing new is to be taken in; see `look_at_space`
        self._pending: list[Entry[Any, Any]] = []
        self._waiting = 0  # items in `_pending`
        self._flushing: asyncio.Task[None] | None = None
        self._writer: ConnectionThread | None = None
        self._reader: ConnectionThread | None = None
        self._using = asyncio.Lock()  # the writer's connection, by the event loop or the thread
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None  # asked for once: in Python 3.11 it costs a system call

    async def open(self, *, alone: bool = False) -> None:
        """Raises DatabaseDamaged or StoreUnavailable. The schema is `migrations.upgrade`'s business.

        `alone`: nobody else has it open, so that also the log is looked at that a crash left, before it is taken over.
        """
        self._closing = False
        self._loop = asyncio.get_running_loop()
        try:
            self._writer = await self._connected("writer", lambda thread: self._open_writer(thread, alone=alone))
            self._reader = await self._connected("reader", self._open) if self.path else self._writer
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Commit what is pending, then close. What comes meanwhile is refused: nobody would carry it out."""
        self._closing = True
        while self._flushing:
            await asyncio.shield(self._flushing)
        threads = {self._reader, self._writer} - {None}
        self._writer = self._reader = None
        for thread in threads:
            await self._in_thread(thread, self._thread(thread).close)

    async def write(self, work: Work[T]) -> T:
        """The result of `work`, once it is on disk. Raises StoreUnavailable when nothing was written."""
        return await self.submit(work)

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        """As `write`, begun at once."""
        return self.join(Entry(_each), work)

    def join(self, entry: Entry[Item, Result], item: Item) -> asyncio.Future[Result]:
        """For `Batch`: add an item to an entry that is still open; an empty one joins the pending group with it."""
        future: asyncio.Future[Result] = (self._loop or asyncio.get_running_loop()).create_future()
        if self._failed or self._closing or self._writer is None:
            future.set_exception(StoreUnavailable(f"{self.name}: {self._failed or 'closed'}"))
        elif self._waiting >= MAX_PENDING:
            future.set_exception(StoreUnavailable(f"{self.name}: too many writes are waiting"))
        else:
            if not entry.items:
                self._pending.append(entry)
            entry.add(item, future)
            self._waiting += 1
            if self._flushing is None:
                self._flushing = asyncio.create_task(self._flush(), name=f"{self.name} flush")
        return future

    async def read(self, work: Work[T]) -> T:
        """The result of `work` on a connection that sees all that was committed. It must not write."""
        if self._reader is None:
            raise StoreUnavailable(f"{self.name}: closed")
        connection = self._thread(self._reader).connection
        return await self._in_thread(self._reader, lambda: work(connection()))

    async def look_at_space(self) -> None:
        """Ask the disk how much is left, now and then."""
        path = self.path
        if path is None:
            return
        before = self.nearly_full
        self.nearly_full = await self._in_thread(self._reader, lambda: is_nearly_full(path))
        if self.nearly_full and not before:
            log.error("%s: the disk is nearly full, so nothing new is taken; deliveries go on", self.name)
        elif before and not self.nearly_full:
            log.info("%s: there is room again", self.name)

    async def maintain(self, work: Work[T]) -> T:
        """Run on the writer outside any transaction: migrations, vacuum, checkpoints."""
        writer = self._thread(self._writer)
        async with self._using:
            return await self._in_thread(writer, lambda: _patiently(work, writer.connection()))

    async def _flush(self) -> None:
        group: list[Entry[Any, Any]] = []
        try:
            while self._pending:
                await self._gathered()
                group = self._taken()
                await self._carry_out(group)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._break_off(group, error)
        finally:
            self._flushing = None

    async def _carry_out(self, group: list[Entry[Any, Any]]) -> None:
        """Commit a group, and tell everybody how it went."""
        writer = self._thread(self._writer)
        async with self._using:
            results = await self._commit(writer, group)
        if all(isinstance(result, Raised) and is_lock(result.error) for result in results):
            # What came meanwhile waited for the same lock: with a wait of its own it would be refused after two.
            late = self._taken()
            group += late
            results += results[:1] * sum(len(entry.items) for entry in late)
        self._note(results[0])
        futures = (future for entry in group for future in entry.futures)
        for future, result in zip(futures, results, strict=True):
            self._resolve(future, result)

    def _break_off(self, group: list[Entry[Any, Any]], error: BaseException) -> None:
        """A bug of ours where none may be. Nobody knows what of the group is on disk: nobody must wait, or go on."""
        failed = StorageFailed(f"{self.name}: an error of ours while writing: {error!r}")
        log.critical("%s", failed, exc_info=error)
        for entry in group:
            for future in entry.futures:
                self._resolve(future, Raised(failed))
        behind = StoreUnavailable(f"{self.name}: {failed}")
        for entry in self._taken():
            for future in entry.futures:
                self._resolve(future, Raised(behind))
        self._fail(failed)

    def _fail(self, error: VestnikError) -> None:
        if self._failed is None:
            self._failed = error
            if self._on_fatal:
                self._on_fatal(error)

    def _note(self, result: Any) -> None:
        """A full disk or a lock fails a group as a whole: one line when it begins, one when it is over."""
        error = result.error if isinstance(result, Raised) else None
        found = meaning(error, self.name) if isinstance(error, sqlite3.Error) else None
        if found is None:
            if self.trouble:
                log.info("%s takes messages again", self.name)
            self.trouble = None
        elif self.trouble != str(found):
            self.trouble = str(found)
            log.error("nothing can be stored: %s", found)

    def _taken(self) -> list[Entry[Any, Any]]:
        """All that is pending; nothing joins these entries any more."""
        group, self._pending, self._waiting = self._pending, [], 0
        for entry in group:
            entry.open = False
        return group

    async def _gathered(self) -> None:
        """Return when nothing more came in a turn of the event loop: larger groups share the price of a commit."""
        for _ in range(MAX_TURNS):
            before = self._waiting
            await asyncio.sleep(0)
            if self._waiting == before:
                return

    async def _commit(self, writer: ConnectionThread, group: list[Entry[Any, Any]]) -> list[Any]:
        if self.path and is_quick(group) and (results := run_now(writer.connection(), group)) is not None:
            return await writer.run(lambda: end(writer.connection(), results))
        return await writer.run(lambda: commit(writer.connection(), group))

    def _resolve(self, future: asyncio.Future[Any], result: Any) -> None:
        error = self._translated(result.error) if isinstance(result, Raised) else None
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(for_future(error))

    def _translated(self, error: Exception) -> Exception:
        found = meaning(error, self.name) if isinstance(error, sqlite3.Error) else None
        if found is None:
            return error
        if is_fatal(found) and self._failed is None:
            log.critical("%s", found)
            self._fail(found)
        found.__cause__ = error
        return found

    async def _in_thread(self, thread: ConnectionThread | None, work: Callable[[], T]) -> T:
        try:
            return await self._thread(thread).run(work)
        except sqlite3.Error as error:
            raise self._translated(error) from error

    @staticmethod
    def _thread(thread: ConnectionThread | None) -> ConnectionThread:
        if thread is None:
            raise StoreUnavailable("the database is closed")
        return thread

    async def _connected(self, role: str, opening: Callable[[ConnectionThread], None]) -> ConnectionThread:
        thread = ConnectionThread(f"{self.name} {role}")
        try:
            await self._in_thread(thread, lambda: opening(thread))
        except BaseException:
            await thread.run(thread.close)
            raise
        return thread

    def _open(self, thread: ConnectionThread) -> None:
        thread.open(self.path)

    def _open_writer(self, thread: ConnectionThread, *, alone: bool) -> None:
        if self.path is None:
            self._open(thread)
        else:
            self._open_first(thread, self.path, alone=alone)
        refuse_to_wait(thread.connection())

    def _open_first(self, thread: ConnectionThread, path: Path, *, alone: bool) -> None:
        if alone:
            refuse_damaged_files(path)
        try:
            self._open(thread)
            refuse_damaged(thread.connection(), path)
        except UnicodeDecodeError as error:  # SQLite's own message, which quotes the schema
            raise unreadable_schema(path) from error
        if alone:
            # What an interrupted commit left behind the last whole one would pass for damage later.
            thread.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class Batch(Generic[Item, Result]):
    """Writes of one kind that a commit carries out in one go: rows go into a table by the dozen for half the price."""

    def __init__(
        self, database: Database, work: BatchWork[Item, Result], rows: Callable[[Item], int] | None = None
    ) -> None:
        """`work` returns a result for each item; when it raises, it is called again with each item alone.

        `rows`: see Entry. Where they are known and few, it may run in the event loop.
        """
        self._database = database
        self._work = work
        self._rows = rows
        self._entry: Entry[Item, Result] = Entry(work, rows)

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """The item's result, once it is on disk. Fails with StoreUnavailable when nothing was written."""
        if not self._entry.open:
            self._entry = Entry(self._work, self._rows)
        return self._database.join(self._entry, item)


def _patiently(work: Work[T], connection: Connection) -> T:
    with patience(connection):
        return work(connection)


def _each(connection: Connection, works: Sequence[Work[Any]]) -> list[Any]:
    return [work(connection) for work in works]
