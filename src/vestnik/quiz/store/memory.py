"""The memory of sources, in the database."""

from __future__ import annotations

from vestnik.errors import StoreUnavailable
from vestnik.quiz.sources.memory import Memory
from vestnik.runtime.log import get_logger
from vestnik.storage.database import Connection, Database

log = get_logger(__name__)

_RECALL = "SELECT value FROM source_memory WHERE key = ?"
_REMEMBER = "INSERT OR REPLACE INTO source_memory (key, value) VALUES (?, ?)"
_FORGET = "DELETE FROM source_memory WHERE key = ?"


class StoredMemory(Memory):
    """What the disk does not take stands until the daemon ends."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._forgotten: set[str] = set()  # what the disk may still have

    async def recall(self, key: str) -> str | None:
        found = await super().recall(key)
        if found or key in self._forgotten:
            return found
        try:
            return await self._database.read(lambda c: _value(c, key))
        except StoreUnavailable as error:
            log.warning("cannot be recalled: %s", error)
            return None

    async def remember(self, key: str, value: str | None) -> None:
        await super().remember(key, value)
        if value is None:
            self._forgotten.add(key)
        try:
            await self._database.write(lambda c: _keep(c, key, value))
        except StoreUnavailable as error:
            log.warning("cannot be remembered: %s", error)
        else:
            self._forgotten.discard(key)


def _value(connection: Connection, key: str) -> str | None:
    row = connection.execute(_RECALL, (key,)).fetchone()
    return None if row is None else str(row["value"])


def _keep(connection: Connection, key: str, value: str | None) -> None:
    if value is None:
        connection.execute(_FORGET, (key,))
    else:
        connection.execute(_REMEMBER, (key, value))
