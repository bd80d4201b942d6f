"""Taking up what the last daemon left running."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from vestnik.delivery.model import MessageId, Settlement, Task, TaskId, Timestamp
from vestnik.delivery.store.settlements import settle
from vestnik.storage.database import Connection

_RUNNING = """
SELECT task.*, coalesce(min(task.expires_at, closes_at), task.expires_at, closes_at) AS last_moment,
  message.text, message.subject, message.html, message.created_at
FROM task JOIN message ON message.id = task.message_id WHERE task.owner IS NOT NULL
"""
_COUNT_CRASH = "UPDATE task SET crashes = crashes + 1 WHERE id = :id"


def recover(connection: Connection, now: Timestamp, settle_crashed: Callable[[Task], Settlement]) -> list[Settlement]:
    """Take up what was `running` when the last daemon died. Only for whoever holds the database alone."""
    settlements = []
    for row in connection.execute(_RUNNING).fetchall():
        task = _running(row)
        connection.execute(_COUNT_CRASH, {"id": task.id})
        settlement = settle_crashed(task)
        settle(connection, settlement, now)
        settlements.append(settlement)
    return settlements


def _running(row: sqlite3.Row) -> Task:
    return Task(
        id=TaskId(row["id"]),
        message_id=MessageId(row["message_id"]),
        channel=row["channel"],
        recipient=row["recipient"],
        text=row["text"],
        subject=row["subject"],
        created_at=row["created_at"],
        expires_at=row["last_moment"],
        attempts=row["attempts"],
        ambiguous=row["ambiguous"],
        crashes=row["crashes"],
        epoch=row["epoch"],
        started_at=row["started_at"],
        html=row["html"],
        mailing_id=row["mailing_id"],
        client_id=row["client_id"],
        cancel_requested=bool(row["cancel_requested"]),
    )
