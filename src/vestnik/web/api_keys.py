"""API keys of senders: made, listed and revoked at the command line; stored hashed, shown once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import sqlite3
from dataclasses import dataclass

from vestnik.errors import Conflict, NotFound
from vestnik.storage.database import Connection, Database

PREFIX = "vk"
CACHED = 1.0  # seconds; so soon does a revoked key stop working in a running daemon
_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    name: str
    created_at: float
    last_used_at: float | None
    revoked_at: float | None


def create(connection: Connection, name: str, now: float) -> tuple[ApiKey, str]:
    """The key's row, and the key itself, which is kept nowhere. Raises Conflict when the name is taken."""
    key_id = f"{PREFIX}_{secrets.token_hex(6)}"
    key = f"{key_id}.{secrets.token_urlsafe(32)}"
    try:
        connection.execute(
            "INSERT INTO api_key (id, name, hash, created_at) VALUES (?, ?, ?, ?)", (key_id, name, _hash(key), now)
        )
    except sqlite3.IntegrityError:
        raise Conflict(_taken(connection, name)) from None
    return ApiKey(key_id, name, now, None, None), key


def _taken(connection: Connection, name: str) -> str:
    row = connection.execute("SELECT revoked_at FROM api_key WHERE name = ?", (name,)).fetchone()
    if row and row["revoked_at"] is not None:
        return f"{name!r} is the name of a revoked key, and stays taken: choose another"
    return f"there is a key called {name!r} already"


def list_all(connection: Connection) -> list[ApiKey]:
    rows = connection.execute("SELECT id, name, created_at, last_used_at, revoked_at FROM api_key ORDER BY created_at")
    return [ApiKey(*row) for row in rows]


def revoke(connection: Connection, name_or_id: str, now: float) -> None:
    """Raises NotFound. A key that is revoked already stays so."""
    statement = "UPDATE api_key SET revoked_at = coalesce(revoked_at, ?) WHERE name = ? OR id = ?"
    if not connection.execute(statement, (now, name_or_id, name_or_id)).rowcount:
        raise NotFound(f"there is no key {name_or_id!r}")


def verify(connection: Connection, key: str) -> str | None:
    """The id of a key that is right and not revoked."""
    row = connection.execute(
        "SELECT id, hash FROM api_key WHERE id = ? AND revoked_at IS NULL", (key.partition(".")[0],)
    ).fetchone()
    # Hashes are compared in constant time, and the look-up is by the public half only.
    return row["id"] if row and hmac.compare_digest(row["hash"], _hash(key)) else None


def touch(connection: Connection, key_id: str, now: float) -> None:
    connection.execute("UPDATE api_key SET last_used_at = ? WHERE id = ?", (now, key_id))


def _hash(key: str) -> bytes:
    # 256 random bits need no slow hash: there is no dictionary to try.
    return hashlib.sha256(key.encode()).digest()


class KeyRing:
    """Verifies keys at the rate of requests: a right key is asked of the database once a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[str, float]] = {}

    def known(self, key: str, now: float) -> str | None:
        """The id of a key that was found right a moment ago."""
        if not key.isascii():  # bytes that are no UTF-8 come out of a header as what cannot be encoded again
            return None
        found = self._known.get(_hash(key))
        # A clock that was set back must not keep a revoked key alive.
        return found[0] if found and 0 < found[1] - now <= CACHED else None

    async def verify(self, key: str, now: float) -> str | None:
        """Its id, if it is right and not revoked."""
        if not key.isascii():
            return None
        if known := self.known(key, now):
            return known
        digest = _hash(key)
        key_id = await self._database.read(lambda c: verify(c, key))
        if key_id is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[digest] = (key_id, now + CACHED)
        # Nobody waits for it, nor is refused for it: a lock would be waited for here, and once more by the send.
        self._database.submit(lambda c: touch(c, key_id, now)).add_done_callback(_seen)
        return key_id


def _seen(writing: asyncio.Future[None]) -> None:
    """An error that nobody asks for is logged as one; the store says by itself what is wrong with it."""
    if not writing.cancelled():
        writing.exception()
