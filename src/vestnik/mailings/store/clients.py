"""Clients as rows. How many there are is kept in the very transaction that changes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vestnik.mailings.client_fields import Given, default_code
from vestnik.mailings.model import Client, Timestamp
from vestnik.storage.database import Connection

PAGE = 200
_EXAMINED = 2_000  # rows looked at for one page at most: a rare zone must not turn into a scan of everybody


@dataclass(frozen=True, slots=True)
class Wanted:
    """None is for all."""

    operator_code: str | None = None
    tag: str | None = None
    phone: str | None = None
    timezone: str | None = None

    def holds(self, client: Client) -> bool:
        return all(wanted in (None, found) for wanted, found in self._pairs(client))

    def _pairs(self, client: Client) -> tuple[tuple[str | None, str], ...]:
        return (
            (self.operator_code, client.operator_code),
            (self.tag, client.tag),
            (self.phone, client.phone),
            (self.timezone, client.timezone),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """In the order of their ids. `next` goes back as `after`; None when there is no more."""

    clients: list[Client]
    next: int | None


_COLUMNS = "id, phone, operator_code, tag, timezone"
_ALL = f"SELECT {_COLUMNS} FROM client WHERE id > :after ORDER BY id LIMIT :limit"  # noqa: S608 - names from our code
_BY_PHONE = f"SELECT {_COLUMNS} FROM client WHERE phone = :phone AND id > :after"  # noqa: S608
_BY_CODE = f"""
SELECT {_COLUMNS} FROM client WHERE operator_code = :operator_code AND id > :after ORDER BY id LIMIT :limit
"""  # noqa: S608
_BY_TAG = f"SELECT {_COLUMNS} FROM client WHERE tag = :tag AND id > :after ORDER BY id LIMIT :limit"  # noqa: S608


def _statement(wanted: Wanted) -> str:
    """That whose index leaves least to look at."""
    if wanted.phone is not None:
        return _BY_PHONE
    if wanted.tag is not None:
        return _BY_TAG
    return _ALL if wanted.operator_code is None else _BY_CODE


def page(connection: Connection, wanted: Wanted, after: int, limit: int) -> Page:
    """Up to `limit` clients after the one with the id `after`. A page can be short and still have a `next`."""
    examined = limit if wanted == Wanted() else max(limit, _EXAMINED)
    values = {
        "operator_code": wanted.operator_code,
        "tag": wanted.tag,
        "phone": wanted.phone,
        "after": after,
        "limit": examined + 1,
    }
    rows = [_client(row) for row in connection.execute(_statement(wanted), values)]
    last = rows[examined - 1].id if len(rows) > examined else None
    fitting = [client for client in rows[:examined] if wanted.holds(client)]
    if len(fitting) > limit:
        last = fitting[limit - 1].id
    return Page(fitting[:limit], last)


def find(connection: Connection, client_id: int) -> Client | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM client WHERE id = ?", (client_id,)).fetchone()  # noqa: S608
    return None if row is None else _client(row)


def _client(row: sqlite3.Row) -> Client:
    id_, phone, operator_code, tag, timezone = row
    return Client(id=id_, phone=phone, operator_code=operator_code, tag=tag, timezone=timezone)


def find_phone(connection: Connection, phone: str) -> int | None:
    """The id of the client who has it."""
    row = connection.execute("SELECT id FROM client WHERE phone = ?", (phone,)).fetchone()
    return None if row is None else int(row["id"])


_INSERT = """
INSERT INTO client (phone, operator_code, tag, timezone, created_at, changed_at)
VALUES (:phone, :operator_code, :tag, :timezone, :now, :now)
"""
_UPDATE = """
UPDATE client SET phone = :phone, operator_code = :operator_code, tag = :tag, timezone = :timezone, changed_at = :now
WHERE id = :id
"""
_COUNT = "UPDATE client_count SET count = count + ?"


def insert(connection: Connection, client: Client, now: Timestamp) -> Client:
    """With an id of its own; the one given means nothing. The phone must be nobody's."""
    id_ = connection.execute(_INSERT, _values(client, now)).lastrowid
    assert id_ is not None  # noqa: S101 - an INSERT has one
    connection.execute(_COUNT, (1,))
    return Client(
        id=id_, phone=client.phone, operator_code=client.operator_code, tag=client.tag, timezone=client.timezone
    )


def replace(connection: Connection, client: Client, now: Timestamp) -> None:
    """The phone must be nobody else's."""
    connection.execute(_UPDATE, {"id": client.id, **_values(client, now)})


def delete(connection: Connection, client_id: int) -> None:
    gone = connection.execute("DELETE FROM client WHERE id = ?", (client_id,)).rowcount
    connection.execute(_COUNT, (-gone,))


def count(connection: Connection) -> int:
    return int(connection.execute("SELECT count FROM client_count").fetchone()["count"])


def _values(client: Client, now: Timestamp) -> dict[str, str | float]:
    return {
        "phone": client.phone,
        "operator_code": client.operator_code,
        "tag": client.tag,
        "timezone": client.timezone,
        "now": now,
    }


@dataclass(slots=True)
class Taken:
    """What became of clients that were taken in."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    written: list[int] = field(default_factory=list[int])  # ids of those that were changed


_KNOWN_AT_ONCE = 250  # phones of one statement
_KNOWN = f"""
SELECT {_COLUMNS} FROM client WHERE phone IN ({", ".join("?" * _KNOWN_AT_ONCE)})
"""  # noqa: S608


def take(connection: Connection, given: Sequence[Given], timezone: str, now: Timestamp, *, write: bool) -> Taken:
    """Add those with a new phone, change those with a known one. `timezone` is for those who come without.

    When a phone comes twice, the second changes the first. `write` False only tells what would become of them.
    """
    known = _known(connection, [one.phone for one in given])
    before = dict(known)
    taken = Taken()
    for one in given:
        old = known.get(one.phone)
        new = known[one.phone] = merged(old, one, timezone)
        if old is None:
            taken.new += 1
        elif new == old:
            taken.unchanged += 1
        else:
            taken.changed += 1
    if write:
        taken.written = _write(connection, before, known, now)
        connection.execute(_COUNT, (taken.new,))
    return taken


def merged(old: Client | None, given: Given, timezone: str) -> Client:
    """A client as it is once what was given is true. `timezone` is a new one's, unless given."""
    if old is None:
        old = Client(id=0, phone=given.phone, operator_code=default_code(given.phone), timezone=timezone)
    return Client(
        id=old.id,
        phone=given.phone,
        operator_code=old.operator_code if given.operator_code is None else given.operator_code,
        tag=old.tag if given.tag is None else given.tag,
        timezone=old.timezone if given.timezone is None else given.timezone,
    )


def _known(connection: Connection, phones: Sequence[str]) -> dict[str, Client]:
    found: dict[str, Client] = {}
    for start in range(0, len(phones), _KNOWN_AT_ONCE):
        some = phones[start : start + _KNOWN_AT_ONCE]
        padded = [*some, *[""] * (_KNOWN_AT_ONCE - len(some))]  # one statement, which stays prepared
        found.update((row["phone"], _client(row)) for row in connection.execute(_KNOWN, padded))
    return found


def _write(
    connection: Connection, before: Mapping[str, Client], after: Mapping[str, Client], now: Timestamp
) -> list[int]:
    """Returns the ids of those that were changed."""
    new = [client for phone, client in after.items() if phone not in before]
    changed = [client for phone, client in after.items() if phone in before and client != before[phone]]
    connection.executemany(_INSERT, [_values(client, now) for client in new])
    connection.executemany(_UPDATE, [{"id": client.id, **_values(client, now)} for client in changed])
    return [client.id for client in changed]
