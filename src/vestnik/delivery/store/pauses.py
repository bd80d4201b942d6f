"""Which channels are held, so that they stay held over a restart."""

from __future__ import annotations

from vestnik.delivery.model import Timestamp
from vestnik.storage.database import Connection


def keep(connection: Connection, channel: str, reason: str, now: Timestamp) -> None:
    connection.execute("INSERT OR REPLACE INTO channel_pause VALUES (?, ?, ?)", (channel, reason, now))


def drop(connection: Connection, channel: str) -> None:
    connection.execute("DELETE FROM channel_pause WHERE channel = ?", (channel,))


def all_pauses(connection: Connection) -> dict[str, str]:
    """Channel to reason."""
    return {row["channel"]: row["reason"] for row in connection.execute("SELECT channel, reason FROM channel_pause")}
