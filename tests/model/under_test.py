"""Delivery as the machine drives it: what a daemon does to its store, one call for each thing that can happen.

`StoreUnderTest` runs the store's functions on connections of its own, a transaction for each, thousands in a second.
The seeded bugs are subclasses of it.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from deliveries import SetClock
from invariants import Rows, read_rows
from truth import CHANNELS, MAILING_IN_MEMORY, MAILING_ON_DISK, kept_in_memory

from vestnik.delivery.ids import IdFactory
from vestnik.delivery.model import MessageId, Outcome, Priority, Settlement, Task, TaskId, settle, settle_crashed
from vestnik.delivery.service import Send
from vestnik.delivery.store import cancellation, claims, expiry, intake, pauses, recovery, set_back
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.intake import NewMessage, OtherContent, Registered
from vestnik.delivery.store.retention import forget_ended
from vestnik.delivery.store.settlements import settle_all
from vestnik.storage.database import Connection
from vestnik.storage.migrations.upgrade import upgrade

T = TypeVar("T")
Item = TypeVar("Item", NewMessage, Settlement)
Work = Callable[[Connection], T]
Answer = Registered | OtherContent


class UnderTest(Protocol):
    """One daemon after another over the same database file; each has an owner of its own."""

    owner: str

    def start(self) -> None:
        """A new process: what the last one left running is taken up."""

    def stop(self) -> None:
        """The process ends when nothing is running any more."""

    def kill(self) -> None:
        """The process is gone at once, in the middle of a write."""

    def accept(self, sent: Sequence[Send], recipients: Sequence[str]) -> list[Answer]:
        """All of them at once."""

    def claim(self, channel: str, limit: int) -> list[Task]: ...

    def end(self, ends: Sequence[tuple[Task, Outcome]]) -> list[bool]:
        """All of them at once; for each, whether it was written."""

    def give_back(self, task: Task, wait: float) -> None: ...

    def cancel(self, message_id: int) -> Cancellation: ...

    def resend(self, message_id: int, recipients: Sequence[str]) -> int: ...

    def sweep(self) -> None: ...

    def forget(self, keep: float) -> None:
        """What ended longer ago than `keep` seconds leaves."""

    def follow_clock(self) -> None:
        """The clock was set back: what waits for the old time is moved."""

    def hold(self, channel: str) -> None:
        """Pause it, so that it stays paused over a restart."""

    def release(self, channel: str) -> None: ...

    def maintenance(self, *, on: bool) -> None: ...

    def reopen(self) -> None:
        """Close the database on disk, and open it again in the same process."""

    def rows(self) -> Rows: ...

    def discard(self) -> None:
        """After the test."""


def make_template(path: Path) -> Path:
    """An empty database of the newest schema, to be copied for each example."""
    connection = connected(path)
    upgrade(connection)
    connection.execute("VACUUM")
    connection.close()
    return path


def connected(path: Path | str) -> Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")  # the disk is tested elsewhere
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


class StoreUnderTest:
    def __init__(self, template: Path, directory: Path, clock: SetClock) -> None:
        self.clock = clock
        self.owner = ""
        self._starts = 0
        self._template = template
        self._path = directory / "model.db"
        shutil.copyfile(template, self._path)

    def start(self) -> None:
        self._starts += 1
        self.owner = f"owner {self._starts}"
        self._disk = connected(self._path)
        self._memory = connected(":memory:")
        with sqlite3.connect(self._template) as template:
            template.backup(self._memory)
        self._ids = IdFactory(self.clock, above=self.highest_id(self._disk))
        self._maintenance = False
        self.write(self._disk, self.recover_on)
        self._held = self.pauses_on(self._disk)

    def highest_id(self, connection: Connection) -> int:
        return intake.ceiling(connection)

    def recover_on(self, connection: Connection) -> None:
        now = self.clock.now
        recovery.recover(connection, now, lambda task: settle_crashed(task, CHANNELS[task.channel].policy(), now))

    def pauses_on(self, connection: Connection) -> set[str]:
        return set(pauses.all_pauses(connection))

    def stop(self) -> None:
        self._disk.close()
        self._memory.close()

    def kill(self) -> None:
        self._disk.execute("BEGIN IMMEDIATE")
        intake.register(self._disk, self._new(Send(channel="alerts", text="torn"), ["nobody"]))
        self.stop()

    def accept(self, sent: Sequence[Send], recipients: Sequence[str]) -> list[Answer]:
        return self._put([self._new(send, recipients) for send in sent])

    def _put(self, messages: Sequence[NewMessage]) -> list[Answer]:
        self.keep_ids(messages)
        return self._by_database(messages, intake.register_all)

    def keep_ids(self, messages: Sequence[NewMessage]) -> None:
        """On disk, also those of what is kept in memory."""
        highest = max(message.recipients[-1][0] for message in messages)
        self.write(self._disk, lambda c: intake.raise_ceiling(c, highest))

    def _by_database(self, items: Sequence[Item], work: Callable[[Connection, Sequence[Item]], Sequence[T]]) -> list[T]:
        """In one transaction for each; the results in the order of the items."""
        results: dict[int, T] = {}

        def carry_out(connection: Connection, here: Mapping[int, Item]) -> None:
            if here:
                found = self.write(connection, lambda c: work(c, list(here.values())))
                results.update(zip(here, found, strict=True))

        for connection in (self._disk, self._memory):
            carry_out(connection, {n: item for n, item in enumerate(items) if self._on(_channel(item)) is connection})
        return [results[n] for n in range(len(items))]

    def _new(self, send: Send, recipients: Sequence[str], parent_id: MessageId | None = None) -> NewMessage:
        id_, due = MessageId(self._ids.next()), self.clock.now + send.delay
        mailing = MAILING_IN_MEMORY if kept_in_memory(send.channel) else MAILING_ON_DISK
        bulk = send.priority is Priority.BULK and len(recipients) == 1
        return NewMessage(
            id=id_,
            channel=send.channel,
            text=send.text,
            subject=send.subject,
            sender=send.sender,
            created_at=self.clock.now,
            due_at=due,
            expires_at=None if send.expire is None else due + send.expire,
            recipients=[(TaskId(self._ids.next()), recipient) for recipient in recipients],
            priority=send.priority,
            parent_id=parent_id,
            idempotency_key=send.idempotency_key,
            expire=send.expire,
            mailing_id=mailing if bulk else None,
            client_id=id_ if bulk else None,
        )

    def claim(self, channel: str, limit: int) -> list[Task]:
        if self._maintenance or channel in self._held:
            return []
        return self.write(self._on(channel), lambda c: self.claim_on(c, channel, limit))

    def claim_on(self, connection: Connection, channel: str, limit: int) -> list[Task]:
        return claims.claim(connection, channel, self.owner, self.clock.now, limit).tasks

    def end(self, ends: Sequence[tuple[Task, Outcome]]) -> list[bool]:
        return self._by_database([self.settlement(task, outcome) for task, outcome in ends], self.end_on)

    def settlement(self, task: Task, outcome: Outcome) -> Settlement:
        return settle(task, outcome, CHANNELS[task.channel].policy(), self.clock.now)

    def end_on(self, connection: Connection, ends: Sequence[Settlement]) -> list[bool]:
        return [state is not None for state in settle_all(connection, [(end, self.clock.now) for end in ends])]

    def give_back(self, task: Task, wait: float) -> None:
        due = self.clock.now + wait if wait else 0.0
        self.write(self._on(task.channel), lambda c: self.give_back_on(c, task, due))

    def give_back_on(self, connection: Connection, task: Task, due: float) -> bool:
        return claims.give_back(connection, task, due, self.clock.now)

    def cancel(self, message_id: int) -> Cancellation:
        return self.write(self._with(message_id), lambda c: self.cancel_on(c, MessageId(message_id)))

    def cancel_on(self, connection: Connection, message_id: MessageId) -> Cancellation:
        return cancellation.cancel(connection, message_id, self.clock.now)

    def resend(self, message_id: int, recipients: Sequence[str]) -> int:
        row = self._with(message_id).execute("SELECT * FROM message WHERE id = ?", (message_id,)).fetchone()
        send = Send(channel=row["channel"], text=row["text"], subject=row["subject"], sender=row["sender"])
        message = self._new(send, recipients, MessageId(message_id))
        self._put([message])
        return message.id

    def sweep(self) -> None:
        now = self.clock.now
        for connection in (self._disk, self._memory):
            self.write(connection, self.expire_on)
            self.write(connection, lambda c: intake.forget_keys(c, now, 1_000))

    def expire_on(self, connection: Connection) -> None:
        expiry.expire(connection, self.clock.now, 500)

    def forget(self, keep: float) -> None:
        before = self.clock.now - keep
        for connection in (self._disk, self._memory):
            after: int | None = 0
            while after is not None:
                after = self.write(connection, partial(self.forget_on, before=before, after=after))

    def forget_on(self, connection: Connection, before: float, after: int) -> int | None:
        """A small step; where to go on."""
        return forget_ended(connection, before, after, 2, now=self.clock.now).next_after

    def follow_clock(self) -> None:
        now = self.clock.now
        for channel in CHANNELS:
            self.write(self._on(channel), partial(set_back.move_running, channel=channel, now=now))
            for priority in Priority:
                step = partial(set_back.move, channel=channel, priority=priority, now=now, limit=2)
                after = set_back.first(now)
                while after:
                    after = self.write(self._on(channel), partial(step, after=after)).last

    def hold(self, channel: str) -> None:
        self._held.add(channel)
        self.write(self._disk, lambda c: pauses.keep(c, channel, "held by the test", self.clock.now))

    def release(self, channel: str) -> None:
        self.write(self._disk, lambda c: pauses.drop(c, channel))
        self._held.discard(channel)

    def maintenance(self, *, on: bool) -> None:
        self._maintenance = on

    def reopen(self) -> None:
        self._disk.close()
        self._disk = connected(self._path)

    def rows(self) -> Rows:
        return read_rows(self._disk) | read_rows(self._memory)

    def discard(self) -> None:
        self.stop()
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()

    def write(self, connection: Connection, work: Work[T]) -> T:
        """A transaction of its own."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result

    def _on(self, channel: str) -> Connection:
        return self._memory if kept_in_memory(channel) else self._disk

    def _with(self, message_id: int) -> Connection:
        found = self._disk.execute("SELECT 1 FROM message WHERE id = ?", (message_id,)).fetchone()
        return self._disk if found else self._memory


def _channel(item: NewMessage | Settlement) -> str:
    return item.task.channel if isinstance(item, Settlement) else item.channel
