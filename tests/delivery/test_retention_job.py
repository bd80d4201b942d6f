from __future__ import annotations

from datetime import timedelta

from deliveries import NOW, SetClock, claimed, ended, message, stored
from prometheus_client import CollectorRegistry, Counter

from vestnik.delivery.retention import STEP, Retention
from vestnik.delivery.store import intake, settlements
from vestnik.storage.database import Connection, Database


def retention(database: Database, clock: SetClock, *, held: bool = False) -> Retention:
    forgotten = Counter("forgotten", "", registry=CollectorRegistry())
    return Retention([database], timedelta(days=2), held=lambda: held, forgotten=forgotten, clock=clock)


def deliver(connection: Connection, count: int) -> None:
    intake.register_all(connection, [message() for _ in range(count)])
    for _ in range(count):
        settlements.settle(connection, ended(claimed(connection)), NOW)


async def messages(database: Database) -> int:
    return await database.read(lambda c: int(c.execute("SELECT count(*) FROM message").fetchone()[0]))


async def test_a_round_takes_as_many_steps_as_it_needs(durable: Database, clock: SetClock) -> None:
    await durable.write(lambda c: deliver(c, STEP + 5))
    await durable.write(lambda c: stored(c) and None)
    assert await retention(durable, clock).forget(durable) == 0
    clock.now += 2 * 86_400 + 1
    assert await retention(durable, clock).forget(durable) == STEP + 5
    assert await messages(durable) == 1


async def test_in_maintenance_nothing_is_deleted(durable: Database, clock: SetClock) -> None:
    await durable.write(lambda c: deliver(c, 1))
    clock.now += 1e7
    assert await retention(durable, clock, held=True).forget(durable) == 0
    assert await messages(durable) == 1
