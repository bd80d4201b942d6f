from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

from administering import Administered, at
from deliveries import NOW, ended
from mailing_steps import claim, clients, end, settled, states, sweep

from vestnik.delivery.model import Deferred, RefusedForGood
from vestnik.delivery.store import counts, settlements
from vestnik.mailings.store import expansion
from vestnik.storage.database import Connection

HOUR = 3600.0


async def stats(admin: Administered, mailing: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await admin.done("GET", f"/mailings/{mailing['id']}/stats")
    return found


def some(by_status: dict[str, int]) -> dict[str, int]:
    return {status: count for status, count in by_status.items() if count}


@asynccontextmanager
async def committed_before(
    admin: Administered, statement: str, write: Callable[[Connection], object]
) -> AsyncIterator[None]:
    """Somebody else commits something just before a statement with these words is run for the first time."""
    assert admin.database.path
    written: list[str] = []
    with closing(sqlite3.connect(admin.database.path, isolation_level=None, check_same_thread=False)) as other:
        other.row_factory = sqlite3.Row

        def look(running: str) -> None:
            if statement in running and not written:
                written.append(running)
                write(other)

        await admin.database.read(lambda c: c.set_trace_callback(look))
        yield
        await admin.database.read(lambda c: c.set_trace_callback(None))
    assert written


async def test_a_mailing_without_messages_has_zeros(admin: Administered) -> None:
    mailing = await admin.mailing()
    found = await stats(admin, mailing)
    assert found["total"] == 0
    assert set(found["by_status"].values()) == {0}
    assert (found["over_time"], found["reasons"], found["state"]) == ([], [], "running")


async def test_figures_are_right_at_every_moment(admin: Administered) -> None:
    await clients(admin, 5)
    mailing = await admin.mailing()
    await settled(admin)
    tasks = await claim(admin, 4)
    assert some((await stats(admin, mailing))["by_status"]) == {"queued": 1, "running": 4}
    await end(admin, tasks[0])
    await end(admin, tasks[1], RefusedForGood("no such number 79990000001"))
    await end(admin, tasks[2], RefusedForGood("no such number 79990000002"))
    await end(admin, tasks[3], Deferred("down"))
    found = await stats(admin, mailing)
    assert found["total"] == 5
    assert some(found["by_status"]) == {"queued": 1, "deferred": 1, "delivered": 1, "failed": 2}
    assert found["reasons"] == [{"reason": "no such number …", "count": 2}], "the numbers are no reasons"
    admin.clock.now += HOUR
    await sweep(admin)
    found = await stats(admin, mailing)
    assert some(found["by_status"]) == {"expired": 2, "delivered": 1, "failed": 2}
    first = NOW // HOUR * HOUR
    none = dict.fromkeys(("delivered", "failed", "expired", "canceled"), 0)
    assert found["over_time"] == [
        {"hour": at(first), **none, "delivered": 1, "failed": 2},
        {"hour": at(first + HOUR), **none, "expired": 2},
    ]
    assert found["state"] == "ended"


async def test_figures_agree_while_messages_end(admin: Administered) -> None:
    await clients(admin, 1)
    mailing = await admin.mailing()
    await settled(admin)
    [task] = await claim(admin)
    refused = ended(task, RefusedForGood("no such number"))
    async with committed_before(admin, "FROM mailing_reason", lambda c: settlements.settle(c, refused, NOW)):
        found = await stats(admin, mailing)
    assert await states(admin, mailing) == {"failed": 1}
    assert (some(found["by_status"]), found["over_time"], found["reasons"]) == ({"running": 1}, [], [])


async def test_a_far_side_that_always_says_something_else_does_not_fill_the_disk(admin: Administered) -> None:
    await clients(admin, counts.MOST_REASONS + 3)
    mailing = await admin.mailing()
    await settled(admin)
    for number, task in enumerate(await claim(admin)):
        await end(admin, task, RefusedForGood(f"reason {number}"))

    rows = await admin.database.read(lambda c: c.execute("SELECT reason, count FROM mailing_reason").fetchall())
    assert {row["reason"]: row["count"] for row in rows}[counts.OTHER_REASONS] == 3
    assert (await stats(admin, mailing))["reasons"][0] == {"reason": counts.OTHER_REASONS, "count": 3}


async def test_the_figures_of_all_and_those_of_a_deleted_one_stay(admin: Administered) -> None:
    await clients(admin, 2)
    first, second = await admin.mailing(), await admin.mailing()
    await settled(admin)
    await admin.done("DELETE", f"/mailings/{first['id']}")
    await settled(admin)
    found = await admin.done("GET", "/mailings/stats")
    assert (found["mailings"], found["total"]) == (1, 4)
    assert some(found["by_status"]) == {"canceled": 2, "queued": 2}
    assert (await stats(admin, first))["state"] == "deleted"
    assert some((await stats(admin, second))["by_status"]) == {"queued": 2}


async def test_messages_are_listed_by_client_and_state(admin: Administered) -> None:
    ids = await clients(admin, 5)
    mailing = await admin.mailing()
    await settled(admin)
    [task, *_] = await claim(admin, 2)
    await end(admin, task, RefusedForGood("unknown"))
    path = f"/mailings/{mailing['id']}/messages"
    first = await admin.done("GET", path, limit="3")
    assert [message["client_id"] for message in first["messages"]] == ids[:3]
    assert first["messages"][0] == {
        "id": task.message_id,
        "mailing_id": mailing["id"],
        "client_id": ids[0],
        "phone": "79990000000",
        "status": "failed",
        "created_at": at(NOW),
        "due_at": at(NOW),
        "attempts": 1,
        "started_at": at(NOW),
        "finished_at": at(NOW),
        "maybe_sent": False,
        "error": "unknown",
    }
    rest = await admin.done("GET", path, limit="3", after=first["next"])
    assert ([message["client_id"] for message in rest["messages"]], rest["next"]) == (ids[3:], None)
    running = await admin.done("GET", path, state="running")
    assert [message["client_id"] for message in running["messages"]] == ids[1:2]
    queued = await admin.done("GET", path, state="queued", limit="1")
    assert [message["client_id"] for message in queued["messages"]] == ids[2:3]
    assert queued["next"] == str(ids[2])


async def test_a_forecast_before_the_start_and_while_it_runs(admin: Administered) -> None:
    await clients(admin, 3, tag="vip")
    await clients(admin, 1, first=10)
    mailing = await admin.mailing(**admin.an_hour(begins_in=1000), filter={"tags": ["vip"]})
    path, start = f"/mailings/{mailing['id']}/forecast", at(NOW + 1000)
    expected = {"clients": 3, "ended": 0, "first_at": start, "last_at": start, "expire": 0, "rate": None}
    assert await admin.done("GET", path) == expected
    admin.clock.now += 1000
    await settled(admin)
    assert await admin.done("GET", path) == expected
    [task] = await claim(admin, 1)
    await end(admin, task)
    admin.clock.now += HOUR
    assert await admin.done("GET", path) == {
        "clients": 3,
        "ended": 1,
        "first_at": None,
        "last_at": None,
        "expire": 2,
        "rate": None,
    }


async def test_a_forecast_counts_each_client_once_while_messages_are_made(admin: Administered) -> None:
    await clients(admin, 3)
    mailing, ids = await admin.mailing(), admin.delivery.service.reserve_ids(expansion.IDS)
    async with committed_before(admin, "FROM task JOIN client", lambda c: expansion.expand(c, mailing["id"], ids, NOW)):
        found = await admin.done("GET", f"/mailings/{mailing['id']}/forecast")
    assert await states(admin, mailing) == {"queued": 3}
    assert found["clients"] == 3


async def test_what_never_was_is_not_found(admin: Administered) -> None:
    for what in ("stats", "messages", "forecast"):
        assert await admin.refused("GET", f"/mailings/7/{what}") == (404, [])
    mailing = await admin.mailing()
    await admin.done("DELETE", f"/mailings/{mailing['id']}")
    assert await admin.refused("GET", f"/mailings/{mailing['id']}/forecast") == (404, [])
    assert (await admin.refused("GET", f"/mailings/{mailing['id']}/messages", state="odd"))[0] == 422
