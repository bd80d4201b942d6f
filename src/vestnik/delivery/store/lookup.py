"""Reading messages: one with its tasks, pages of many, and channels' depth."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from vestnik.delivery.model import ENDED, MessageId, TaskId, TaskState, Timestamp
from vestnik.storage.database import Connection

PAGE = 200
_EXAMINED = 2_000  # messages looked at for one page at most: a rare state or channel must not mean a scan of everything


@dataclass(frozen=True, slots=True)
class TaskView:
    id: TaskId
    recipient: str
    state: TaskState
    attempts: int
    started_at: Timestamp | None
    finished_at: Timestamp | None
    maybe_sent: bool
    error: str | None
    mailing_id: int | None


@dataclass(frozen=True, slots=True)
class MessageView:
    id: MessageId
    channel: str
    text: str
    subject: str | None
    sender: str | None
    created_at: Timestamp
    due_at: Timestamp
    expires_at: Timestamp | None
    parent_id: MessageId | None
    tasks: tuple[TaskView, ...]

    @property
    def state(self) -> str:
        return message_state([task.state for task in self.tasks])

    @property
    def mailing_id(self) -> int | None:
        """Of the mailing that it belongs to."""
        return self.tasks[0].mailing_id if self.tasks else None


#: From least to most advanced; a message is as far as the last of its open tasks.
_ADVANCE = (TaskState.SCHEDULED, TaskState.QUEUED, TaskState.DEFERRED, TaskState.RUNNING)
MESSAGE_STATES = (*(state.value for state in TaskState), "partial")


def message_state(states: Iterable[TaskState]) -> str:
    """That of the least advanced open task; when all ended, theirs if they agree, else `partial`."""
    found = set(states)
    still_open = found - ENDED
    if still_open:
        return min(still_open, key=_ADVANCE.index).value
    return found.pop().value if len(found) == 1 else "partial"


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `next` goes back as `after`; None when there is no more."""

    messages: list[MessageView]
    next: int | None


_TASKS = "SELECT * FROM task WHERE message_id = ? ORDER BY id"
_BEFORE = "SELECT * FROM message WHERE id < :after ORDER BY id DESC LIMIT :limit"
_UNHAPPY_BEFORE = """
SELECT * FROM message
WHERE id IN (
  SELECT DISTINCT message_id FROM task
  WHERE finished_at IS NOT NULL AND state <> 'delivered' AND message_id < :after ORDER BY message_id DESC LIMIT :limit)
ORDER BY id DESC
"""
_UNHAPPY = {"failed", "expired", "canceled", "partial"}


def find(connection: Connection, message_id: int) -> MessageView | None:
    row = connection.execute("SELECT * FROM message WHERE id = ?", (message_id,)).fetchone()
    return None if row is None else _view(connection, row)


def page(connection: Connection, *, channel: str | None, state: str | None, after: int | None, limit: int) -> Page:
    """Up to `limit` messages older than `after`. A page can be short and still have a `next`."""
    statement = _UNHAPPY_BEFORE if state in _UNHAPPY else _BEFORE
    values = {"after": 1 << 62 if after is None else after, "limit": _EXAMINED}
    views: list[MessageView] = []
    examined, last = 0, 0
    with closing(connection.execute(statement, values)) as rows:
        for row in rows:
            if len(views) == limit:
                return Page(views, views[-1].id)
            examined, last = examined + 1, row["id"]
            view = _view(connection, row) if channel in (None, row["channel"]) else None
            if view and state in (None, view.state):
                views.append(view)
    return Page(views, last if examined == _EXAMINED else None)


def _view(connection: Connection, row: sqlite3.Row) -> MessageView:
    tasks = tuple(
        TaskView(
            TaskId(task["id"]),
            task["recipient"],
            TaskState(task["state"]),
            task["attempts"],
            task["started_at"],
            task["finished_at"],
            bool(task["maybe_sent"]),
            task["error"],
            task["mailing_id"],
        )
        for task in connection.execute(_TASKS, (row["id"],))
    )
    return MessageView(
        MessageId(row["id"]),
        row["channel"],
        row["text"],
        row["subject"],
        row["sender"],
        row["created_at"],
        row["due_at"],
        row["expires_at"],
        row["parent_id"],
        tasks,
    )


_OLDEST_DUE = """
SELECT due_at FROM task WHERE channel = ? AND priority = ? AND finished_at IS NULL AND owner IS NULL
ORDER BY due_at LIMIT 1
"""


def oldest_due(connection: Connection, channel: str) -> Timestamp | None:
    """When the task that waits longest became, or becomes, due."""
    rows = [connection.execute(_OLDEST_DUE, (channel, priority)).fetchone() for priority in (0, 1)]
    return min((row["due_at"] for row in rows if row), default=None)
