"""After the trouble: is everything that was promised in the database or with its recipient, and are copies marked?"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

_TASKS = """
SELECT message.id AS message_id, text, state, ambiguous, maybe_sent
FROM message JOIN task ON task.message_id = message.id
"""
_COUNTS = "SELECT channel, state, count(*) FROM task GROUP BY channel, state"
_KEPT_COUNTS = "SELECT channel, state, count FROM task_count WHERE count != 0"
_OPEN = "SELECT count(*) FROM task WHERE state IN ('queued', 'scheduled', 'deferred', 'running')"
_ABANDONED = "SELECT count(*) FROM task WHERE state = 'running' AND started_at < ?"


@dataclass(frozen=True)
class Audit:
    """The lists name texts of messages; a sound outcome has none of them."""

    acknowledged: int
    stored_unanswered: int  # on disk, though the client saw no 204: why there is Idempotency-Key
    copies: int  # hand-overs beyond the first
    marked: int  # tasks that may have been sent without our having seen it
    lost: list[str] = field(default_factory=list)  # answered 204, and neither stored nor delivered
    never_arrived: list[str] = field(default_factory=list)  # said to be delivered, and unknown to the gateway
    given_up: list[str] = field(default_factory=list)  # not delivered, and not for an end that nobody saw
    unannounced: list[str] = field(default_factory=list)  # more copies than ends that nobody saw
    wrong: list[str] = field(default_factory=list)  # about the database as a whole

    def assert_sound(self) -> None:
        for what in ("wrong", "lost", "never_arrived", "given_up", "unannounced"):
            found = getattr(self, what)
            assert not found, f"{what}: {len(found)}, such as {found[:5]}; of {self.acknowledged} acknowledged"


def audit(database: Path, acknowledged: Mapping[str, int], handed_over: Counter[str]) -> Audit:
    """`acknowledged` maps text to message id, `handed_over` text to how often the gateway was given it."""
    with closing(opened(database)) as connection:
        tasks = {row["text"]: row for row in connection.execute(_TASKS)}
        wrong = _wrong(connection)
    wrong += [
        f"{text} has another id"
        for text, row in tasks.items()
        if acknowledged.get(text, row["message_id"]) != row["message_id"]
    ]
    if len(set(acknowledged.values())) < len(acknowledged):
        wrong.append("an id was given out twice")
    ends = {text: row["ambiguous"] if row["maybe_sent"] else 0 for text, row in tasks.items()}
    return Audit(
        acknowledged=len(acknowledged),
        stored_unanswered=len(tasks.keys() - acknowledged.keys()),
        copies=sum(count - 1 for count in handed_over.values()),
        marked=sum(row["maybe_sent"] for row in tasks.values()),
        lost=[text for text in acknowledged if text not in tasks and text not in handed_over],
        never_arrived=[text for text, row in tasks.items() if row["state"] == "delivered" and text not in handed_over],
        given_up=[text for text, row in tasks.items() if row["state"] == "failed" and not row["maybe_sent"]],
        unannounced=[text for text, count in handed_over.items() if count > 1 + ends.get(text, 0)],
        wrong=wrong,
    )


def _wrong(connection: sqlite3.Connection) -> list[str]:
    found = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    counted = {tuple(row) for row in connection.execute(_COUNTS)}
    kept = {tuple(row) for row in connection.execute(_KEPT_COUNTS)}
    if counted != kept:
        found.append(f"task_count says {sorted(kept)}, the rows are {sorted(counted)}")
    return found


def opened(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


async def drained(database: Path, patience: float = 60.0) -> None:
    """Return when every task has ended."""
    async with asyncio.timeout(patience):
        with closing(opened(database)) as connection:
            while connection.execute(_OPEN).fetchone()[0]:
                await asyncio.sleep(0.05)


def abandoned(database: Path, before: float) -> int:
    """How many tasks are `running` since before that moment, in seconds since the epoch."""
    with closing(opened(database)) as connection:
        count: int = connection.execute(_ABANDONED, (before,)).fetchone()[0]
        return count
