"""After a change: what waits follows the mailing, some tasks at a time. Until all have, none of them is handed out."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from vestnik.delivery.model import TaskState
from vestnik.delivery.store import counts
from vestnik.mailings.model import Client, Mailing, Timestamp
from vestnik.mailings.plan import NO_WINDOW, NOT_MEANT, Ends, Follows, Open, follow, planner
from vestnik.mailings.store import mailings
from vestnik.storage.database import Connection

CHUNK = 250  # tasks of one transaction: some 10 ms

_BEGIN = "UPDATE mailing SET follow_after = 0 WHERE id = :id"
_AGAIN = "UPDATE mailing SET expanded_to = 0, complete = 0 WHERE id = :id"
_HOLD = "UPDATE mailing_now SET held = :held WHERE mailing_id = :id"
_TEXT = "UPDATE mailing_now SET text = :text WHERE mailing_id = :id"
_BEHIND = "SELECT id FROM mailing WHERE follow_after IS NOT NULL ORDER BY id"
_AFTER = "SELECT follow_after FROM mailing WHERE id = :id"
_MOVE_CURSOR = "UPDATE mailing SET follow_after = :after WHERE id = :id"
_TASKS = """
SELECT task.id, task.message_id, task.client_id, task.channel, task.state, task.due_at, task.finished_at,
  task.epoch, task.error, EXISTS (SELECT 1 FROM message WHERE parent_id = task.message_id) AS resent,
  client.phone, client.operator_code, client.tag, client.timezone
FROM task LEFT JOIN client ON client.id = task.client_id
WHERE task.mailing_id = :mailing AND task.client_id > :after ORDER BY task.client_id LIMIT :limit
"""
_PLAN = """
UPDATE task SET state = :state, channel = :channel, due_at = :due_at, closes_at = :closes_at, expires_at = :expires_at
WHERE id = :id
"""
_PLAN_RUNNING = """
UPDATE task SET due_at = :due_at, closes_at = :closes_at, expires_at = :expires_at WHERE id = :id
"""
_PLAN_MESSAGE = "UPDATE message SET channel = :channel, expires_at = :expires_at WHERE id = :message_id"
# What a try said tells more than that the time was over; a cancellation says in any case that it was one.
_END = """
UPDATE task SET state = :state, finished_at = :now,
  error = CASE WHEN :state = 'expired' THEN coalesce(error, :reason) ELSE :reason END
WHERE id = :id
"""
# The reason tells it from a cancellation that somebody asked for, which stays.
_CANCEL_RUNNING = """
UPDATE task SET cancel_requested = 1, error = :reason WHERE id = :id AND NOT cancel_requested
"""
_UNCANCEL_RUNNING = """
UPDATE task SET cancel_requested = 0, error = NULL WHERE id = :id AND cancel_requested AND error = :reason
"""
_REOPEN = "UPDATE task SET finished_at = NULL, error = NULL, recipient = :phone WHERE id = :id"
_TRIED = (TaskState.RUNNING, TaskState.DEFERRED, TaskState.DELIVERED, TaskState.FAILED)


@dataclass(frozen=True, slots=True)
class Followed:
    """What one transaction did. `more`: there are tasks that have not followed yet."""

    channel: str = ""
    more: bool = False


def say(connection: Connection, mailing_id: int, text: str) -> None:
    """What is claimed from now on carries this text."""
    connection.execute(_TEXT, {"text": text, "id": mailing_id})


def begin(connection: Connection, mailing_id: int) -> None:
    """Hold all that waits, until `step` has gone through it."""
    connection.execute(_BEGIN, {"id": mailing_id})
    connection.execute(_HOLD, {"held": True, "id": mailing_id})


def expand_again(connection: Connection, mailing_id: int) -> None:
    """Look at every client once more: who has a task keeps it."""
    connection.execute(_AGAIN, {"id": mailing_id})


def behind(connection: Connection) -> list[int]:
    """Mailings with tasks that have not followed yet."""
    return [row["id"] for row in connection.execute(_BEHIND)]


def step(connection: Connection, mailing_id: int, now: Timestamp) -> Followed:
    mailing = mailings.find(connection, mailing_id)
    after = connection.execute(_AFTER, {"id": mailing_id}).fetchone()
    if mailing is None or after is None or after["follow_after"] is None:
        return Followed()
    values = {"mailing": mailing_id, "after": after["follow_after"], "limit": CHUNK}
    rows = connection.execute(_TASKS, values).fetchall()
    bring_up_to_date(connection, mailing, [row for row in rows if row["finished_at"] is None], now)
    _reopen(connection, mailing, [row for row in rows if row["finished_at"] is not None], now)
    more = len(rows) == CHUNK
    connection.execute(_MOVE_CURSOR, {"after": rows[-1]["client_id"] if more else None, "id": mailing_id})
    if not more:
        connection.execute(_HOLD, {"held": False, "id": mailing_id})
    return Followed(mailing.channel, more)


def bring_up_to_date(connection: Connection, mailing: Mailing, rows: list[sqlite3.Row], now: Timestamp) -> None:
    """Open tasks of a mailing, with their clients."""
    at_once, tally = planner(mailing, now), counts.Tally()
    for row in rows:
        found = follow(Open(TaskState(row["state"]), row["due_at"]), _client(row), mailing, now, at_once)
        if row["state"] == TaskState.RUNNING:
            _follow_running(connection, mailing, row, found, now)
        elif isinstance(found, Ends):
            _end(connection, row, found, now)
            tally.moved(row["channel"], row["state"], found.state.value, mailing_id=mailing.id, at=now)
        else:
            _plan(connection, mailing, row, found)
            tally.add(row["channel"], row["state"], -1, mailing_id=mailing.id)
            tally.add(mailing.channel, found.state.value, mailing_id=mailing.id)
    tally.write(connection)


def _client(row: sqlite3.Row) -> Client | None:
    if row["phone"] is None:
        return None
    return Client(
        id=row["client_id"],
        phone=row["phone"],
        operator_code=row["operator_code"],
        tag=row["tag"],
        timezone=row["timezone"],
    )


def _follow_running(
    connection: Connection, mailing: Mailing, row: sqlite3.Row, found: Follows | Ends, now: Timestamp
) -> None:
    """The try under way goes on; what is decided here is for the time after it. It stays with its channel."""
    if found.plan is None:
        connection.execute(_CANCEL_RUNNING, {"id": row["id"], "reason": found.reason})
        return
    connection.execute(_UNCANCEL_RUNNING, {"id": row["id"], "reason": NOT_MEANT})
    # Without a window before the end it has expired already; as it is due after that end, in no case does it go out.
    expires_at = now if isinstance(found, Ends) else mailing.end_at
    values = {"due_at": found.plan.due_at, "closes_at": found.plan.closes_at, "expires_at": expires_at}
    connection.execute(_PLAN_RUNNING, {**values, "id": row["id"]})


def _reopen(connection: Connection, mailing: Mailing, rows: list[sqlite3.Row], now: Timestamp) -> None:
    """Take back what ended for want of a match or a window, as long as nothing of the mailing was tried."""
    rows = [row for row in rows if row["epoch"] == 0 and row["error"] in (NOT_MEANT, NO_WINDOW) and not row["resent"]]
    if not rows or _was_tried(connection, mailing):
        return
    at_once, tally = planner(mailing, now), counts.Tally()
    for row in rows:
        found = follow(Open(TaskState.SCHEDULED, row["due_at"]), _client(row), mailing, now, at_once)
        if isinstance(found, Follows):
            connection.execute(_REOPEN, {"id": row["id"], "phone": row["phone"]})
            _plan(connection, mailing, row, found)
            tally.add(row["channel"], row["state"], -1, mailing_id=mailing.id)
            tally.add(mailing.channel, found.state.value, mailing_id=mailing.id)
            tally.reopened(mailing.id, row["state"], row["finished_at"])
    tally.write(connection)


def _was_tried(connection: Connection, mailing: Mailing) -> bool:
    by_state = counts.of_mailing(connection, mailing.id)
    return any(state.value in by_state for state in _TRIED)


def _end(connection: Connection, row: sqlite3.Row, end: Ends, now: Timestamp) -> None:
    values = {"state": end.state.value, "reason": end.reason, "now": now, "id": row["id"]}
    connection.execute(_END, values)


def _plan(connection: Connection, mailing: Mailing, row: sqlite3.Row, follows: Follows) -> None:
    values = {
        "state": follows.state.value,
        "channel": mailing.channel,
        "due_at": follows.plan.due_at,
        "closes_at": follows.plan.closes_at,
        "expires_at": mailing.end_at,
        "id": row["id"],
        "message_id": row["message_id"],
    }
    connection.execute(_PLAN, values)
    connection.execute(_PLAN_MESSAGE, values)
