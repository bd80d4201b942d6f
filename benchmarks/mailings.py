"""How long the figures of mailings take: 100,000 clients, ten mailings to all of them, a million tasks.

    python -m benchmarks.mailings [--clients 100000] [--mailings 10]

The store does what the daemon lets it do: expansion, claims and ends with their counts, in a database file. Then each
question is asked a hundred times as its route asks it, while nothing else goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from benchmarks.figures import percentile
from benchmarks.options import folder
from vestnik.delivery.channel import ChannelRegistry
from vestnik.delivery.model import Delivered, Outcome, RefusedForGood, RetryPolicy, TaskState, settle
from vestnik.delivery.store import claims
from vestnik.delivery.store.settlements import settle_all
from vestnik.mailings.figures import Figures
from vestnik.mailings.store import expansion
from vestnik.storage.database import Connection, Database
from vestnik.storage.migrations.upgrade import upgrade

NOW = 1_800_000_000.0
ZONES = ("Europe/Moscow", "Europe/Samara", "Asia/Yekaterinburg", "Asia/Omsk", "Asia/Irkutsk", "Asia/Vladivostok")
_CLIENTS = """
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :clients)
INSERT INTO client (phone, operator_code, tag, timezone, created_at, changed_at)
SELECT 79000000000 + n, 900 + n % 100, 't' || (n % 10), json_extract(:zones, '$[' || (n % 6) || ']'), 0, 0 FROM number
"""
_MAILING = """
INSERT INTO mailing (channel, text, start_at, end_at, operator_codes, tags, opens, closes, created_at, changed_at)
VALUES ('sms', 'Hello', :start, :end, '[]', '[]', '00:00', '23:59', 0, 0)
"""


def prepare(connection: Connection, clients: int, mailings: int) -> float:
    """All but the last mailing have ended, most of their messages delivered. Returns the seconds of all expansions."""
    connection.execute(_CLIENTS, {"clients": clients, "zones": json.dumps(ZONES)})
    ids, spent = iter(range(1, 1 << 40)), 0.0
    for number in range(1, mailings + 1):
        connection.execute(_MAILING, {"start": NOW, "end": NOW + 864_000})
        began, more = time.perf_counter(), True
        while more:
            connection.execute("BEGIN IMMEDIATE")
            more = expansion.expand(connection, number, [next(ids) for _ in range(expansion.IDS)], NOW).more
            connection.execute("COMMIT")
        spent += time.perf_counter() - began
        if number < mailings:
            _deliver(connection)
    return spent


def _deliver(connection: Connection) -> None:
    now, policy = NOW + 1, RetryPolicy()
    while tasks := claims.claim(connection, "sms", "owner", now, 1_000).tasks:
        connection.execute("BEGIN IMMEDIATE")
        settle_all(connection, [(settle(task, _outcome(task.id), policy, now), now) for task in tasks])
        connection.execute("COMMIT")
        now += 30


def _outcome(number: int) -> Outcome:
    return RefusedForGood(f"no such number, reason {number % 7}") if number % 50 == 1 else Delivered()


async def measure(name: str, ask: Callable[[], Awaitable[object]], times: int = 100) -> None:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        spent.append((time.perf_counter() - began) * 1000)
    print(f"| {name} | {percentile(sorted(spent), 0.5):.2f} | {percentile(sorted(spent), 0.99):.2f} |")


async def main(clients: int, mailings: int) -> None:
    with folder("mailings") as path:
        database = Database(path / "vestnik.db")
        await database.open()
        await database.maintain(upgrade)
        spent = await database.maintain(lambda connection: prepare(connection, clients, mailings))
        print(f"{clients:,} clients, {clients * mailings:,} tasks; an expansion took {spent / mailings:.1f} s\n")
        print("| | p50, ms | p99, ms |\n| --- | --- | --- |")
        figures = Figures(database, ChannelRegistry(), lambda: NOW + 1)
        await measure("/mailings/stats", figures.of_all)
        await measure("/mailings/{id}/stats", lambda: figures.of_mailing(1))
        await measure("/mailings/{id}/messages", lambda: figures.messages(1, None, clients // 2, 200))
        await measure("… of a rare state", lambda: figures.messages(1, TaskState.EXPIRED, clients // 2, 200))
        await measure("/mailings/{id}/forecast, while it runs", lambda: figures.forecast(mailings), 10)
        await database.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--mailings", type=int, default=10)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.clients, chosen.mailings))
