"""Ending what waits past its time."""

from __future__ import annotations

from typing import NamedTuple

from vestnik.delivery.model import MAILING_ENDED, MessageId, TaskId, TaskState, Timestamp
from vestnik.delivery.store import counts
from vestnik.storage.database import Connection

PASSED_BY = 1_500  # held tasks that one look for expired ones gets past; who is behind more of them expires after these

# What is held follows a change of its mailing first, which may put its end off or cancel it.
_EXPIRED = """
SELECT id, message_id, channel, state, mailing_id
FROM (
  SELECT id, message_id, channel, state, mailing_id FROM task
  WHERE finished_at IS NULL AND owner IS NULL AND expires_at IS NOT NULL AND expires_at <= :now
  ORDER BY expires_at LIMIT :looked_at
) AS over
WHERE NOT EXISTS (SELECT 1 FROM mailing_now WHERE mailing_now.mailing_id = over.mailing_id AND held)
LIMIT :limit
"""
# What a try said tells more.
_EXPIRE = """
UPDATE task SET state = 'expired', finished_at = :now,
  error = CASE WHEN mailing_id IS NULL THEN error ELSE coalesce(error, :mailing_ended) END
WHERE id = :id
"""


class Expired(NamedTuple):
    """A task that was ended unsent."""

    channel: str
    message_id: MessageId
    task_id: TaskId


def expire(connection: Connection, now: Timestamp, limit: int) -> list[Expired]:
    """End waiting tasks whose time is over; returns them, at most `limit`. None also where all that it saw are held."""
    values = {"now": now, "looked_at": limit + PASSED_BY, "limit": limit}
    rows = connection.execute(_EXPIRED, values).fetchall()
    connection.executemany(_EXPIRE, [{"now": now, "id": row["id"], "mailing_ended": MAILING_ENDED} for row in rows])
    tally = counts.Tally()
    for row in rows:
        tally.moved(row["channel"], row["state"], TaskState.EXPIRED.value, mailing_id=row["mailing_id"], at=now)
    tally.write(connection)
    return [Expired(row["channel"], MessageId(row["message_id"]), TaskId(row["id"])) for row in rows]
