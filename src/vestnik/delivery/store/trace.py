"""What the rows tell of a message, a mailing or a client, in the order of time (M13).

The events are copied into a temporary table, so that no transaction stays open while somebody reads them at leisure:
one would keep the daemon's write-ahead log from being taken over. SQLite sorts on disk what does not fit its cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vestnik.delivery.model import Timestamp
from vestnik.delivery.store import counts
from vestnik.storage.database import Connection


class Kind(StrEnum):
    """Whose trace it is. Each is a column of `task` with an index."""

    MESSAGE = "message"
    MAILING = "mailing"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Subject:
    kind: Kind
    id: int


@dataclass(frozen=True, slots=True)
class Event:
    """`fields` holds only what is known, under the names that the log uses for it too."""

    at: Timestamp
    name: str
    fields: dict[str, Any]


# In order: what tells events apart, what puts those of one moment in order, and what is shown.
_COLUMNS = (
    *("at", "event", "task_order", "turn", "step"),
    *("channel", "message", "task", "mailing", "client", "recipient", "sender", "parent"),
    *("attempt", "state", "detail", "maybe_sent", "cancel_requested", "given_back", "subject", "text"),
)
_SHOWN = _COLUMNS[5:]
_MESSAGE = {"channel": "message.channel", "message": "message.id"}
_TASK = {
    "channel": "task.channel",
    "message": "task.message_id",
    "task": "task.id",
    "task_order": "task.id",
    "turn": "task.epoch",
    "mailing": "task.mailing_id",
    "client": "task.client_id",
    "recipient": "nullif(task.recipient, '')",
}
_NOTHING = "NULL"
_SAID = {"sender": "sender", "parent": "parent_id", "subject": "subject", "text": "text"}
_UNDER_WAY = {"attempt": "task.epoch", "cancel_requested": "nullif(task.cancel_requested, 0)"}
_ATTEMPT = {**_TASK, "turn": "attempt.epoch", "attempt": "attempt.epoch"}
_STATE = {
    **_TASK,
    "state": "task.state",
    "detail": "task.error",
    "maybe_sent": "nullif(task.maybe_sent, 0)",
    # A claim grows the epoch; one that was given back left no attempt.
    "given_back": """nullif(
      task.epoch - (task.owner IS NOT NULL) - (SELECT count(*) FROM attempt WHERE attempt.task_id = task.id), 0)""",
}
_OF_MESSAGES = "FROM message WHERE id IN (SELECT message_id FROM task WHERE {of} = :id)"
_OF_TASKS = "FROM task JOIN message ON message.id = task.message_id WHERE task.{of} = :id"
_OF_ATTEMPTS = "FROM task JOIN attempt ON attempt.task_id = task.id WHERE task.{of} = :id"
_BEGUN = f"{_OF_ATTEMPTS} AND attempt.started_at IS NOT NULL"
_RUNNING = f"{_OF_TASKS} AND task.owner IS NOT NULL"
_ENDED = f"{_OF_TASKS} AND task.finished_at IS NOT NULL"
_WAITING = f"{_OF_TASKS} AND task.finished_at IS NULL AND task.owner IS NULL AND task.due_at <> message.due_at"
_EXPIRING = f"{_OF_TASKS} AND task.finished_at IS NULL AND task.expires_at IS NOT NULL"


def _select(event: str, at: str, step: int, columns: Mapping[str, str], origin: str) -> str:
    found = {"event": event, "at": at, "step": str(step), "task_order": "0", "turn": "0", **columns}
    shown = ", ".join(f"{found.get(name, _NOTHING)} AS {name}" for name in _COLUMNS)
    return f"SELECT {shown} {origin}"


_EVENTS = "\nUNION ALL\n".join(
    (
        _select("'registered'", "created_at", 0, {**_MESSAGE, **_SAID}, _OF_MESSAGES),
        _select("'due'", "due_at", 1, _MESSAGE, _OF_MESSAGES),
        _select("'claimed'", "attempt.started_at", 2, _ATTEMPT, _BEGUN),
        _select("attempt.outcome", "attempt.finished_at", 3, {**_ATTEMPT, "detail": "attempt.detail"}, _OF_ATTEMPTS),
        _select("'claimed'", "task.started_at", 2, {**_STATE, **_UNDER_WAY}, _RUNNING),
        _select("'ended'", "task.finished_at", 4, _STATE, _ENDED),
        _select("'due again'", "task.due_at", 5, _STATE, _WAITING),
        _select("'expires'", "task.expires_at", 6, {**_TASK, "state": "task.state"}, _EXPIRING),
    )
)
_COPY = f"CREATE TEMP TABLE event AS {_EVENTS} ORDER BY at, task_order, turn, step, message LIMIT :limit"


def events(connection: Connection, subject: Subject, limit: int) -> Iterator[Event]:
    """The first `limit` events. What the database has to say against it, it says before the first is returned."""
    connection.execute("DROP TABLE IF EXISTS temp.event")
    statement = _COPY.format(of=f"{subject.kind}_id")
    connection.execute(statement, {"id": subject.id, "limit": limit})
    return map(_event, connection.execute("SELECT * FROM temp.event ORDER BY rowid"))


def _event(row: Any) -> Event:
    return Event(row["at"], row["event"], {name: row[name] for name in _SHOWN if row[name] is not None})


def states(connection: Connection, subject: Subject) -> dict[str, int]:
    """How many tasks are in each state; of a mailing also those whose rows are gone."""
    if subject.kind is Kind.MAILING:
        return counts.of_mailing(connection, subject.id)
    statement = f"SELECT state, count(*) FROM task WHERE {subject.kind}_id = ? GROUP BY state"  # noqa: S608 - an enum
    return dict(connection.execute(statement, (subject.id,)).fetchall())


def belongs(connection: Connection, message_id: int, subject: Subject) -> bool:
    """Whether the message has a task of the subject."""
    if subject.kind is Kind.MESSAGE:
        return message_id == subject.id
    statement = f"SELECT 1 FROM task WHERE message_id = ? AND {subject.kind}_id = ? LIMIT 1"  # noqa: S608 - an enum
    return connection.execute(statement, (message_id, subject.id)).fetchone() is not None
