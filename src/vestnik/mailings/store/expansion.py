"""Making tasks of an audience, some clients at a time; the cursor moves in the transaction that makes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from vestnik.delivery.model import MessageId, Priority, TaskId, TaskState
from vestnik.delivery.store import counts, intake
from vestnik.delivery.store.intake import NewMessage
from vestnik.mailings.model import Mailing, Timestamp
from vestnik.mailings.plan import Plan, planner, why_missed
from vestnik.mailings.store import audience, mailings
from vestnik.storage.database import Connection

CHUNK = 250  # clients that one transaction makes tasks for: some 10 ms, for which sends wait
LOOKED_AT = 2_000  # clients that it looks at, whether the mailing is for them or not
IDS = 2 * CHUNK  # that it needs: each client's message and task

_UNFINISHED = """
SELECT id, end_at FROM mailing
WHERE NOT complete AND deleted_at IS NULL AND start_at <= :until
  AND (end_at <= :now OR expanded_to < (SELECT coalesce(max(id), 0) FROM client))
ORDER BY start_at, id
"""
_LOOKED_AT = "SELECT max(id) AS last FROM (SELECT id FROM client WHERE id > :after ORDER BY id LIMIT :looked_at)"
_MEANT = f"""
SELECT id, phone, timezone FROM client
WHERE {audience.TO_COME} AND id <= :upto
ORDER BY id LIMIT :limit
"""  # noqa: S608 - SQL from our code
_MOVE_CURSOR = "UPDATE mailing SET expanded_to = :to WHERE id = :id"
_COMPLETE = "UPDATE mailing SET complete = 1 WHERE id = :id"
_SET_WINDOW = "UPDATE task SET closes_at = :closes_at WHERE id = :id"
_EXPIRE = "UPDATE task SET state = 'expired', error = :reason, finished_at = :now WHERE id = :id"
_NOW = "INSERT OR IGNORE INTO mailing_now (mailing_id, text, ends_at) VALUES (:id, :text, :ends_at)"
_LAG = """
SELECT coalesce(max(:now - start_at), 0) AS lag FROM mailing
WHERE NOT complete AND deleted_at IS NULL AND start_at <= :now AND end_at > :now
  AND expanded_to < (SELECT coalesce(max(id), 0) FROM client)
"""


@dataclass(frozen=True, slots=True)
class Expanded:
    """What one transaction did. `more`: there are clients that were not looked at."""

    channel: str = ""
    tasks: int = 0
    expired: int = 0  # of them, at once: no window before the end
    more: bool = False


def unfinished(connection: Connection, now: Timestamp, ahead: float) -> list[tuple[int, Timestamp]]:
    """Mailings that begin within `ahead` seconds, or have begun, and have clients to look at; with their ends."""
    rows = connection.execute(_UNFINISHED, {"now": now, "until": now + ahead})
    return [(row["id"], row["end_at"]) for row in rows]


def lag(connection: Connection, now: Timestamp) -> float:
    """Seconds since the start of a mailing that still has clients to look at; 0 when there is none."""
    return float(connection.execute(_LAG, {"now": now}).fetchone()["lag"])


def expand(connection: Connection, mailing_id: int, ids: Sequence[int], now: Timestamp) -> Expanded:
    """The next clients of a mailing. `ids` are IDS new ones."""
    mailing = mailings.find(connection, mailing_id)
    if mailing is None or mailing.deleted_at is not None:  # meanwhile
        return Expanded()
    looked_at = {"after": mailing.expanded_to, "looked_at": LOOKED_AT}
    upto = connection.execute(_LOOKED_AT, looked_at).fetchone()["last"]
    if upto is None:
        if mailing.end_at <= now:
            connection.execute(_COMPLETE, {"id": mailing_id})
        return Expanded(mailing.channel)
    clients = _meant(connection, mailing, upto)
    expired = _make_tasks(connection, mailing, clients, ids, now)
    to = clients[-1]["id"] if len(clients) == CHUNK else upto
    connection.execute(_MOVE_CURSOR, {"to": to, "id": mailing_id})
    return Expanded(mailing.channel, len(clients), expired, more=True)


def _meant(connection: Connection, mailing: Mailing, upto: int) -> list[sqlite3.Row]:
    values = {**audience.values(mailing), "upto": upto, "limit": CHUNK}
    return connection.execute(_MEANT, values).fetchall()


def _make_tasks(
    connection: Connection, mailing: Mailing, clients: Sequence[sqlite3.Row], ids: Sequence[int], now: Timestamp
) -> int:
    """Returns how many of them expired at once."""
    if not clients:
        return 0
    connection.execute(_NOW, {"id": mailing.id, "text": mailing.text, "ends_at": mailing.end_at})
    plan_in = planner(mailing, now)
    plans = [plan_in(client["timezone"]) for client in clients]
    pairs = zip(ids[::2], ids[1::2], strict=True)
    messages = [_message(mailing, *made, now) for made in zip(clients, plans, pairs, strict=False)]
    intake.register_all(connection, messages)
    planned = list(zip(messages, plans, strict=True))
    if mailing.interval is not None:
        windows = [{"id": message.recipients[0][0], "closes_at": plan.closes_at} for message, plan in planned]
        connection.executemany(_SET_WINDOW, windows)
    missed = [message for message, plan in planned if plan.misses(mailing)]
    _expire(connection, missed, why_missed(mailing, now), now)
    return len(missed)


def _message(mailing: Mailing, client: sqlite3.Row, plan: Plan, ids: tuple[int, int], now: Timestamp) -> NewMessage:
    message, task = ids
    return NewMessage(
        id=MessageId(message),
        channel=mailing.channel,
        text=mailing.text,
        subject=None,
        sender=None,
        created_at=now,
        due_at=plan.due_at,
        expires_at=mailing.end_at,
        recipients=[(TaskId(task), client["phone"])],
        priority=Priority.BULK,
        mailing_id=mailing.id,
        client_id=client["id"],
    )


def _expire(connection: Connection, messages: Sequence[NewMessage], reason: str, now: Timestamp) -> None:
    rows = [{"id": message.recipients[0][0], "reason": reason, "now": now} for message in messages]
    connection.executemany(_EXPIRE, rows)
    tally = counts.Tally()
    for message in messages:
        old, new = message.state.value, TaskState.EXPIRED.value
        tally.moved(message.channel, old, new, mailing_id=message.mailing_id, at=now)
    tally.write(connection)
