"""Registering messages: one row for the message, one for each recipient, and the key that makes it happen once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vestnik.delivery.ids import RESERVE
from vestnik.delivery.model import MessageId, Priority, TaskId, TaskState, Timestamp
from vestnik.delivery.store import counts
from vestnik.storage.database import Connection
from vestnik.storage.multi_row import MultiRowInsert

IDEMPOTENCY_KEPT = 48 * 3600.0  # seconds; README and docs/states.md say it, too


class NewMessage(NamedTuple):
    """What was registered. `recipients` pairs each recipient with the id of its task."""

    id: MessageId
    channel: str
    text: str
    subject: str | None
    sender: str | None
    created_at: Timestamp
    due_at: Timestamp
    expires_at: Timestamp | None
    recipients: Sequence[tuple[TaskId, str]]
    priority: Priority = Priority.SINGLE
    parent_id: MessageId | None = None
    idempotency_key: str | None = None
    mailing_id: int | None = None
    client_id: int | None = None
    html: str | None = None
    expire: float | None = None  # seconds after it is due, as the sender asked; None leaves it to the channel

    @property
    def state(self) -> TaskState:
        """Of its tasks, when they are new."""
        return TaskState.SCHEDULED if self.due_at > self.created_at else TaskState.QUEUED

    def content_hash(self) -> bytes:
        """Of all that the sender asked for: it must be the same for an idempotency key to mean the same message.

        What the channel adds is not in it, or a sender that tries again after a restart would be refused when the
        channel's settings have changed.
        """
        delay = round(self.due_at - self.created_at)
        content = json.dumps([self.channel, self.text, self.subject, delay, self.expire])
        return hashlib.sha256(content.encode()).digest()


@dataclass(frozen=True, slots=True)
class Registered:
    """`id` is that of an earlier message when its idempotency key came again; then `new` is False."""

    id: MessageId
    new: bool = True


@dataclass(frozen=True, slots=True)
class OtherContent:
    """The idempotency key came with other content before."""


_MESSAGES = MultiRowInsert(
    "message",
    ("id", "channel", "text", "subject", "sender", "created_at", "due_at", "expires_at", "parent_id"),
)
_TASKS = MultiRowInsert(
    "task",
    (
        "id",
        "message_id",
        "channel",
        "recipient",
        "priority",
        "state",
        "due_at",
        "expires_at",
        "mailing_id",
        "client_id",
    ),
)
_SET_HTML = "UPDATE message SET html = ? WHERE id = ?"  # apart: next to none has one
_FIND_KEY = """
SELECT content_hash, message_id FROM idempotency WHERE sender = :sender AND key = :key AND kept_until > :now
"""
_KEEP_KEY = """
INSERT OR REPLACE INTO idempotency (sender, key, content_hash, message_id, kept_until)
VALUES (:sender, :key, :hash, :id, :until)
"""


def rows(message: NewMessage) -> int:
    """How many it writes; a kilobyte of text takes as long as one."""
    return len(message.recipients) + (len(message.text) + len(message.html or "") >> 10)


def register(connection: Connection, message: NewMessage) -> Registered | OtherContent:
    """One message by itself, as `register_all` does it."""
    return register_all(connection, [message])[0]


def register_all(connection: Connection, messages: Sequence[NewMessage]) -> list[Registered | OtherContent]:
    """Store messages and their tasks, except those whose idempotency key says that they are stored already."""
    results: list[Registered | OtherContent] = []
    new = []
    for message in messages:
        earlier = None if message.idempotency_key is None else _earlier(connection, message)
        if earlier is None:
            new.append(message)
        results.append(earlier or Registered(message.id))
    if new:
        _insert(connection, new)
    return results


def _earlier(connection: Connection, message: NewMessage) -> Registered | OtherContent | None:
    sender, key, content = message.sender or "", message.idempotency_key, message.content_hash()
    now = message.created_at
    row = connection.execute(_FIND_KEY, {"sender": sender, "key": key, "now": now}).fetchone()
    if row is not None:
        return Registered(MessageId(row["message_id"]), new=False) if row["content_hash"] == content else OtherContent()
    kept = {"sender": sender, "key": key, "hash": content, "id": message.id, "until": now + IDEMPOTENCY_KEPT}
    connection.execute(_KEEP_KEY, kept)
    return None


def _insert(connection: Connection, messages: Sequence[NewMessage]) -> None:
    message_rows, task_rows = [], []
    tally = counts.Tally()
    for message in messages:
        id_, channel, text, subject, sender, created_at, due_at, expires_at, *_ = message
        state, priority = message.state.value, int(message.priority)  # plain values: sqlite3 would ask others to adapt
        mailing = message.mailing_id, message.client_id
        message_rows.append((id_, channel, text, subject, sender, created_at, due_at, expires_at, message.parent_id))
        for task_id, to in message.recipients:
            task_rows.append((task_id, id_, channel, to, priority, state, due_at, expires_at, *mailing))
        tally.add(channel, state, len(message.recipients), mailing_id=message.mailing_id)
    _MESSAGES.run(connection, message_rows)
    _TASKS.run(connection, task_rows)
    connection.executemany(_SET_HTML, [(m.html, m.id) for m in messages if m.html is not None])
    raise_ceiling(connection, max(row[0] for row in task_rows))
    tally.write(connection)


def raise_ceiling(connection: Connection, highest: int) -> None:
    """Promise that no id up to `highest` is given out again, whatever the clock or deleted rows say."""
    connection.execute("UPDATE id_ceiling SET id = ? WHERE id < ?", (highest + RESERVE, highest))


def ceiling(connection: Connection) -> int:
    return int(connection.execute("SELECT id FROM id_ceiling").fetchone()[0])


_FORGET_KEYS = """
DELETE FROM idempotency
WHERE (sender, key) IN (SELECT sender, key FROM idempotency WHERE kept_until <= :now ORDER BY kept_until LIMIT :limit)
"""


def forget_keys(connection: Connection, now: Timestamp, limit: int) -> int:
    """Drop up to `limit` idempotency keys whose time is over; returns how many."""
    return connection.execute(_FORGET_KEYS, {"now": now, "limit": limit}).rowcount
