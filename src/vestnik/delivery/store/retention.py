"""Forgetting what ended long ago, a few messages at a time."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from vestnik.delivery.model import Timestamp
from vestnik.delivery.store import counts
from vestnik.storage.database import Connection

_OLDEST = "SELECT id, created_at FROM message WHERE id > :after ORDER BY id LIMIT :limit"
# While a mailing runs, its tasks keep their clients from getting it twice. Its end may have been put off since.
_STILL_NEEDED = """
SELECT DISTINCT message_id FROM task
WHERE message_id IN (SELECT value FROM json_each(:ids)) AND (
  finished_at IS NULL OR finished_at >= :before
  OR EXISTS (SELECT 1 FROM mailing_now WHERE mailing_now.mailing_id = task.mailing_id AND ends_at >= :before))
"""
_TASKS = "SELECT id, channel, state FROM task WHERE message_id IN (SELECT value FROM json_each(:ids))"
_DELETE_ATTEMPTS = "DELETE FROM attempt WHERE task_id IN (SELECT value FROM json_each(:ids))"
_DELETE_TASKS = "DELETE FROM task WHERE id IN (SELECT value FROM json_each(:ids))"
_DELETE_MESSAGES = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(:ids))"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`next_after` is where to go on; None when all that is old enough was looked at."""

    messages: int
    next_after: int | None


def forget_ended(
    connection: Connection, before: Timestamp, after: int, limit: int, *, now: Timestamp = math.inf
) -> Forgotten:
    """Of the `limit` oldest messages with ids above `after`, delete those that ended before `before`.

    Their tasks and attempts go with them. Idempotency keys have a time of their own. A message from later than `now`
    was accepted by a wrong clock.
    """
    rows = connection.execute(_OLDEST, {"after": after, "limit": limit}).fetchall()
    ids = [row["id"] for row in rows if row["created_at"] < before]
    needed = {row[0] for row in connection.execute(_STILL_NEEDED, {"ids": json.dumps(ids), "before": before})}
    ended = [id_ for id_ in ids if id_ not in needed]
    if ended:
        _delete(connection, ended)
    # Ids are made in the order of time, and those that a wrong clock made in the future come before what is older.
    goes_on = len(rows) == limit and not before <= rows[-1]["created_at"] <= now
    return Forgotten(len(ended), rows[-1]["id"] if goes_on else None)


def _delete(connection: Connection, messages: list[int]) -> None:
    tasks = connection.execute(_TASKS, {"ids": json.dumps(messages)}).fetchall()
    task_ids = {"ids": json.dumps([task["id"] for task in tasks])}
    connection.execute(_DELETE_ATTEMPTS, task_ids)
    connection.execute(_DELETE_TASKS, task_ids)
    connection.execute(_DELETE_MESSAGES, {"ids": json.dumps(messages)})
    tally = counts.Tally()
    for task in tasks:
        tally.forgotten(task["channel"], task["state"])
    tally.write(connection)
