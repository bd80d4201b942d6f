"""Moving what waits past the end of its client's window to the next one, some tasks at a time.

What is held because its mailing was changed or deleted follows that first (`following`), which may cancel it.
"""

from __future__ import annotations

import sqlite3

from vestnik.delivery.model import TaskState
from vestnik.delivery.store import counts
from vestnik.mailings.model import Mailing, Timestamp
from vestnik.mailings.plan import Plan, Planner, planner, why_missed
from vestnik.mailings.store import mailings
from vestnik.storage.database import Connection

CHUNK = 250  # tasks of one transaction: some 10 ms
LOOKED_AT = 2_000  # tasks that it looks at, held or not: who is behind more held ones is moved when those have followed

_CLOSED = """
SELECT closed.*, client.timezone
FROM (
  SELECT id, channel, state, due_at, mailing_id, client_id FROM task
  WHERE closes_at IS NOT NULL AND finished_at IS NULL AND owner IS NULL AND closes_at <= :now
  ORDER BY closes_at LIMIT :looked_at
) AS closed LEFT JOIN client ON client.id = closed.client_id
WHERE NOT EXISTS (SELECT 1 FROM mailing_now WHERE mailing_now.mailing_id = closed.mailing_id AND held)
LIMIT :limit
"""
_NEXT = """
SELECT min(closes_at) AS next FROM task WHERE closes_at IS NOT NULL AND finished_at IS NULL AND owner IS NULL
"""
_MOVE = "UPDATE task SET state = :state, due_at = :due_at, closes_at = :closes_at WHERE id = :id"
# What a try said tells more.
_EXPIRE = """
UPDATE task SET state = 'expired', error = coalesce(error, :reason), finished_at = :now WHERE id = :id
"""


def next_closing(connection: Connection) -> Timestamp | None:
    """When a window closes on somebody who waits in it, held or not."""
    found: float | None = connection.execute(_NEXT).fetchone()["next"]
    return found


def move(connection: Connection, now: Timestamp) -> int:
    """Returns how many tasks that were, at most CHUNK; 0 also where all that it looked at are held.

    Who has no window before the end of the mailing expires now.
    """
    rows = connection.execute(_CLOSED, {"now": now, "looked_at": LOOKED_AT, "limit": CHUNK}).fetchall()
    found = {row["mailing_id"]: mailings.find(connection, row["mailing_id"]) for row in rows}
    planners = {id_: planner(mailing, now) for id_, mailing in found.items() if mailing}
    tally = counts.Tally()
    for row in rows:
        mailing = found[row["mailing_id"]]
        assert mailing is not None  # noqa: S101 - rows of mailings are never deleted
        plan = _plan(row, mailing, planners[mailing.id], now)
        if plan.misses(mailing):
            state = _expired(connection, row, why_missed(mailing, now), now)
        else:
            state = _moved(connection, row, plan, now)
        tally.moved(row["channel"], row["state"], state.value, mailing_id=mailing.id, at=now)
    tally.write(connection)
    return len(rows)


def _plan(row: sqlite3.Row, mailing: Mailing, at_once: Planner, now: Timestamp) -> Plan:
    zone = row["timezone"] or "UTC"  # the client was deleted in the middle of a try that has failed since
    return at_once(zone) if row["due_at"] <= now else planner(mailing, row["due_at"])(zone)


def _expired(connection: Connection, row: sqlite3.Row, reason: str, now: Timestamp) -> TaskState:
    connection.execute(_EXPIRE, {"reason": reason, "now": now, "id": row["id"]})
    return TaskState.EXPIRED


def _moved(connection: Connection, row: sqlite3.Row, plan: Plan, now: Timestamp) -> TaskState:
    state = TaskState.SCHEDULED if plan.due_at > now else TaskState(row["state"])
    values = {"state": state.value, "due_at": plan.due_at, "closes_at": plan.closes_at, "id": row["id"]}
    connection.execute(_MOVE, values)
    return state
