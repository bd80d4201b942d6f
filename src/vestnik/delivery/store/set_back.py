"""After the clock was set back: what was written down by the old time would wait until the new one comes there again.

An hour back, and everything in the queue waits for an hour; from a year that was wrong, for years. So the times of such
tasks are moved to the new clock, as if they had been accepted, or tried, now: later than asked for, never earlier.

The times of a mailing were given as times of the clock, not as seconds to wait, so its tasks keep theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vestnik.delivery.model import Priority, TaskId, Timestamp
from vestnik.storage.database import Connection

_WAITING_AFTER = """
SELECT task.id, task.epoch, task.due_at, task.expires_at,
  max(task.started_at, coalesce(attempt.finished_at, task.started_at)) AS tried_at,
  message.created_at, message.due_at AS first_due_at, message.expires_at AS first_expires_at
FROM task
  JOIN message ON message.id = task.message_id
  LEFT JOIN attempt ON attempt.task_id = task.id AND attempt.epoch = task.epoch
WHERE task.channel = :channel AND task.priority = :priority
  AND task.mailing_id IS NULL AND task.finished_at IS NULL AND task.owner IS NULL
  AND task.due_at > :now AND (task.due_at, task.id) > (:due_at, :id)
ORDER BY task.due_at, task.id LIMIT :limit
"""
_MOVE = """
UPDATE task SET due_at = :due_at, expires_at = :expires_at, started_at = min(started_at, :now) WHERE id = :id
"""
# So that the same try does not move its task a second time.
_MOVE_TRY = """
UPDATE attempt SET started_at = min(started_at, :now), finished_at = min(finished_at, :now)
WHERE task_id = :id AND epoch = :epoch
"""
# A message that was accepted before now has an expiry before the one that would begin now: `min` leaves it.
_MOVE_RUNNING = """
UPDATE task SET due_at = min(task.due_at, :now), started_at = min(started_at, :now),
  expires_at = min(task.expires_at, :now + message.expires_at - message.created_at)
FROM message WHERE message.id = task.message_id
  AND task.owner IS NOT NULL AND task.channel = :channel AND task.mailing_id IS NULL
  AND (task.due_at > :now OR task.started_at > :now)
"""
_NEWEST = "SELECT created_at FROM message ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Times:
    """Of a task that waits; the last three are its message's, as it was accepted."""

    due_at: Timestamp
    expires_at: Timestamp | None
    tried_at: Timestamp | None  # when the last try began, or ended
    created_at: Timestamp
    first_due_at: Timestamp
    first_expires_at: Timestamp | None


def moved(times: Times, now: Timestamp) -> Times:
    """The same task's times by a clock that says `now`; those that lie in the past already are right."""
    due, expires, tried = times.due_at, times.expires_at, times.tried_at
    if tried is not None and tried > now:
        due, tried = min(due, now + max(0.0, due - tried)), now
    elif tried is None and times.created_at > now:
        due = min(due, now + times.first_due_at - times.created_at)
    if expires is not None and times.first_expires_at is not None and times.created_at > now:
        expires = min(expires, now + times.first_expires_at - times.created_at)
    return replace(times, due_at=due, expires_at=expires, tried_at=tried)


Place = tuple[Timestamp, TaskId]


@dataclass(frozen=True, slots=True)
class Step:
    moved: int
    last: Place | None  # where the next step goes on; None when there is none


def move_running(connection: Connection, *, channel: str, now: Timestamp) -> int:
    """What is running was due; put off, it keeps the later one of its due times."""
    return connection.execute(_MOVE_RUNNING, {"channel": channel, "now": now}).rowcount


def first(now: Timestamp) -> Place | None:
    """Where the first step begins."""
    return now, TaskId(0)


def move(connection: Connection, *, channel: str, priority: Priority, now: Timestamp, after: Place, limit: int) -> Step:
    """Move up to `limit` of the waiting tasks that are due after `now`."""
    values = {"channel": channel, "priority": priority, "now": now, "due_at": after[0], "id": after[1], "limit": limit}
    rows = connection.execute(_WAITING_AFTER, values).fetchall()
    changes = []
    for row in rows:
        before = Times(*(row[name] for name in Times.__slots__))
        after_move = moved(before, now)
        if after_move != before:
            times = {"due_at": after_move.due_at, "expires_at": after_move.expires_at}
            changes.append({"id": row["id"], "epoch": row["epoch"], "now": now, **times})
    for statement in (_MOVE, _MOVE_TRY):
        connection.executemany(statement, changes)
    return Step(len(changes), (rows[-1]["due_at"], rows[-1]["id"]) if len(rows) == limit else None)


def ahead(connection: Connection, now: Timestamp) -> float:
    """By how many seconds the newest message is newer than `now`; 0 when it is not."""
    row = connection.execute(_NEWEST).fetchone()
    return max(0.0, row["created_at"] - now) if row else 0.0
