"""Taking a message back: what waits ends, what is running is not tried again."""

from __future__ import annotations

from enum import Enum, auto

from vestnik.delivery.model import MessageId, TaskState, Timestamp
from vestnik.delivery.store import counts
from vestnik.storage.database import Connection


class Cancellation(Enum):
    CANCELED = auto()  # everything that was still open
    TOO_LATE_TO_PROMISE = auto()  # some delivery was running; what can be stopped, is
    ENDED = auto()  # nothing was open any more


_OPEN = """
SELECT id, channel, state, mailing_id FROM task
WHERE message_id = :id AND finished_at IS NULL
"""
_CANCEL = "UPDATE task SET state = 'canceled', finished_at = :now WHERE id = :id"
# Without an `error` it is somebody's word, which no change of a mailing takes back.
_REQUEST_CANCEL = "UPDATE task SET cancel_requested = 1, error = NULL WHERE id = :id"


def cancel(connection: Connection, message_id: MessageId, now: Timestamp) -> Cancellation:
    rows = connection.execute(_OPEN, {"id": message_id}).fetchall()
    tally = counts.Tally()
    for row in rows:
        if row["state"] == TaskState.RUNNING:
            connection.execute(_REQUEST_CANCEL, {"id": row["id"]})
        else:
            connection.execute(_CANCEL, {"now": now, "id": row["id"]})
            mailing_id = row["mailing_id"]
            tally.moved(row["channel"], row["state"], TaskState.CANCELED.value, mailing_id=mailing_id, at=now)
    tally.write(connection)
    if any(row["state"] == TaskState.RUNNING for row in rows):
        return Cancellation.TOO_LATE_TO_PROMISE
    return Cancellation.CANCELED if rows else Cancellation.ENDED
