"""Mailings as rows. A deleted one stays, for the figures, and is found by nobody who asks for mailings."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import time
from typing import Any

from vestnik.mailings.model import Audience, Mailing, MailingState, Timestamp
from vestnik.mailings.windows import LocalInterval
from vestnik.storage.database import Connection


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `next` goes back as `after`; None when there is no more."""

    mailings: list[Mailing]
    next: int | None


_NEWEST = 1 << 62
_PAGE = """
SELECT * FROM mailing
WHERE deleted_at IS NULL AND id < :after AND (:channel IS NULL OR channel = :channel)
  AND (:state IS NULL OR :state = CASE
    WHEN :now < start_at THEN 'scheduled' WHEN :now < end_at THEN 'running' ELSE 'ended' END)
ORDER BY id DESC LIMIT :limit
"""


def page(
    connection: Connection,
    *,
    channel: str | None,
    state: MailingState | None,
    after: int | None,
    limit: int,
    now: Timestamp,
) -> Page:
    values = {
        "channel": channel,
        "state": state and state.value,
        "after": _NEWEST if after is None else after,
        "limit": limit + 1,
        "now": now,
    }
    found = [mailing_of(row) for row in connection.execute(_PAGE, values)]
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


def find(connection: Connection, mailing_id: int) -> Mailing | None:
    """Also a deleted one."""
    row = connection.execute("SELECT * FROM mailing WHERE id = ?", (mailing_id,)).fetchone()
    return None if row is None else mailing_of(row)


_INSERT = """
INSERT INTO mailing (
  channel, text, start_at, end_at, operator_codes, tags, opens, closes, expanded_to, created_at, changed_at)
VALUES (
  :channel, :text, :start_at, :end_at, :operator_codes, :tags, :opens, :closes, :expanded_to, :created_at, :changed_at)
"""
_UPDATE = """
UPDATE mailing SET
  channel = :channel, text = :text, start_at = :start_at, end_at = :end_at, operator_codes = :operator_codes,
  tags = :tags, opens = :opens, closes = :closes, changed_at = :changed_at
WHERE id = :id
"""
_END_NOW = "UPDATE mailing_now SET ends_at = :end_at WHERE mailing_id = :id"


def insert(connection: Connection, mailing: Mailing) -> Mailing:
    """With an id of its own; the one given means nothing."""
    id_ = connection.execute(_INSERT, _values(mailing)).lastrowid
    assert id_ is not None  # noqa: S101 - an INSERT has one
    return replace(mailing, id=id_)


def update(connection: Connection, mailing: Mailing) -> None:
    """All that an administrator may change; not how far it is expanded."""
    connection.execute(_UPDATE, {"id": mailing.id, **_values(mailing)})
    connection.execute(_END_NOW, {"id": mailing.id, "end_at": mailing.end_at})


def delete(connection: Connection, mailing_id: int, now: Timestamp) -> None:
    connection.execute("UPDATE mailing SET deleted_at = :now WHERE id = :id", {"now": now, "id": mailing_id})


BY_STATE = """
SELECT CASE WHEN :now < start_at THEN 'scheduled' WHEN :now < end_at THEN 'running' ELSE 'ended' END AS state,
  count(*) AS count
FROM mailing WHERE deleted_at IS NULL GROUP BY 1
"""


def by_state(connection: Connection, now: Timestamp) -> dict[str, int]:
    """How many there are; mailings are few, so they are counted."""
    return {row["state"]: row["count"] for row in connection.execute(BY_STATE, {"now": now})}


def mailing_of(row: sqlite3.Row) -> Mailing:
    """Of a row with all columns of `mailing`."""
    return Mailing(
        id=row["id"],
        channel=row["channel"],
        text=row["text"],
        start_at=row["start_at"],
        end_at=row["end_at"],
        audience=Audience(tuple(json.loads(row["operator_codes"])), tuple(json.loads(row["tags"]))),
        interval=_interval(row["opens"], row["closes"]),
        expanded_to=row["expanded_to"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        deleted_at=row["deleted_at"],
    )


def _interval(opens: str | None, closes: str | None) -> LocalInterval | None:
    if opens is None or closes is None:
        return None
    return LocalInterval(time.fromisoformat(opens), time.fromisoformat(closes))


def _values(mailing: Mailing) -> dict[str, Any]:
    interval = mailing.interval
    return {
        "channel": mailing.channel,
        "text": mailing.text,
        "start_at": mailing.start_at,
        "end_at": mailing.end_at,
        "operator_codes": _listed(mailing.audience.operator_codes),
        "tags": _listed(mailing.audience.tags),
        "opens": interval and interval.opens.isoformat("minutes"),
        "closes": interval and interval.closes.isoformat("minutes"),
        "expanded_to": mailing.expanded_to,
        "created_at": mailing.created_at,
        "changed_at": mailing.changed_at,
    }


def _listed(values: Sequence[str]) -> str:
    return json.dumps(values, ensure_ascii=False)
