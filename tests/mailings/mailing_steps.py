"""What happens to mailings, step by step: the loops are not started, and delivery is asked for its tasks directly."""

from __future__ import annotations

import sqlite3
from typing import Any

from administering import Administered
from deliveries import ended

from vestnik.delivery.model import Outcome, Task
from vestnik.delivery.store import claims, counts, expiry
from vestnik.delivery.store.settlements import settle_all

ZONE = "Europe/Moscow"  # three hours ahead of UTC, all year


async def clients(admin: Administered, number: int, **fields: Any) -> list[int]:
    first = 79990000000 + int(fields.pop("first", 0))
    return [(await admin.client(str(first + n), timezone=ZONE, **fields))["id"] for n in range(number)]


async def settled(admin: Administered) -> None:
    """Until the loops would have nothing to do."""
    sending = admin.part.sending
    while any([await sending.expand(), await sending.follow(), await sending.close()]):
        pass


async def states(admin: Administered, mailing: dict[str, Any]) -> dict[str, int]:
    return await admin.database.read(lambda c: counts.of_mailing(c, mailing["id"]))


async def rows(admin: Administered, mailing: dict[str, Any]) -> list[sqlite3.Row]:
    query = """
        SELECT task.*, message.text FROM task JOIN message ON message.id = message_id
        WHERE task.mailing_id = ? ORDER BY task.client_id
    """
    return await admin.database.read(lambda c: c.execute(query, (mailing["id"],)).fetchall())


async def claim(admin: Administered, number: int = 1000, channel: str = "sms") -> list[Task]:
    now = admin.clock.now
    found = await admin.database.write(lambda c: claims.claim(c, channel, "owner", now, number))
    return found.tasks


async def end(admin: Administered, task: Task, outcome: Outcome | None = None) -> None:
    now = admin.clock.now
    await admin.database.write(lambda c: settle_all(c, [(ended(task, outcome, now=now), now)]))


async def sweep(admin: Administered) -> None:
    now = admin.clock.now
    await admin.database.write(lambda c: expiry.expire(c, now, 1000))
