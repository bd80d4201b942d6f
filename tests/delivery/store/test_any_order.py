from __future__ import annotations

import random
import sqlite3

import pytest
from deliveries import NOW, POLICY, counts_agree, ended, message, stored

from vestnik.delivery.model import (
    ENDED,
    Deferred,
    Delivered,
    Outcome,
    Priority,
    RefusedForGood,
    Task,
    TaskState,
    settle_crashed,
)
from vestnik.delivery.store import cancellation, claims, counts, expiry, intake, recovery, settlements
from vestnik.delivery.store.claims import Claimed
from vestnik.storage.database import Connection

pytestmark = pytest.mark.usefixtures("counts_agree_in_the_end")

DOWN = Deferred("down")
OUTCOMES: list[Outcome] = [Delivered(), RefusedForGood("no"), DOWN, Deferred("cut", maybe_sent=True)]


def claim(connection: Connection, limit: int = 10, *, now: float = NOW, channel: str = "alerts") -> Claimed:
    return claims.claim(connection, channel, "owner", now, limit)


def recovered(connection: Connection, now: float = NOW) -> list[TaskState]:
    found = recovery.recover(connection, now, lambda task: settle_crashed(task, POLICY, now))
    return [settlement.state for settlement in found]


@pytest.mark.parametrize("seed", range(12))
def test_counts_and_invariants_hold_after_any_run_of_operations(connection: Connection, seed: int) -> None:
    chance, now = random.Random(seed), NOW
    running: list[Task] = []
    stale: list[Task] = []
    messages = []
    terminal: dict[int, str] = {}
    for _ in range(150):
        now += chance.choice([0, 0, 1, 30, -10])
        match chance.choice("pcccsssgexrt"):
            case "p":
                lifetime = chance.choice([None, 20, 300])
                new = message(
                    chance.choice(["alerts", "other"]),
                    recipients=["a", "b", "c"][: chance.randint(1, 3)],
                    created_at=now,
                    due_at=now + chance.choice([0, 0, 15]),
                    expires_at=None if lifetime is None else now + 15 + lifetime,
                    priority=chance.choice(list(Priority)),
                )
                intake.register(connection, new)
                messages.append(new)
            case "c":
                running += claim(connection, 2, now=now, channel=chance.choice(["alerts", "other"])).tasks
            case "s" if running:
                task = running.pop(chance.randrange(len(running)))
                outcome: Outcome = chance.choice(OUTCOMES)
                assert settlements.settle(connection, ended(task, outcome, now=now), now)
                stale.append(task)
            case "g" if running:
                task = running.pop()
                assert claims.give_back(connection, task, now + chance.choice([0, 5]), now)
                stale.append(task)
            case "e":
                expiry.expire(connection, now, 3)
            case "x" if messages:
                cancellation.cancel(connection, chance.choice(messages).id, now)
            case "r" if chance.random() < 0.2:
                recovered(connection, now)
                stale += running
                running.clear()
            case "t" if stale:
                assert not settlements.settle(connection, ended(chance.choice(stale)), now)
        assert counts_agree(connection)
        for kept in connection.execute("SELECT * FROM task"):
            assert (kept["state"] == "running") == (kept["owner"] is not None)
            assert kept["attempts"] >= 0
            assert (kept["finished_at"] is not None) == (kept["state"] in ENDED)
            assert terminal.get(kept["id"], kept["state"]) == kept["state"]
            assert kept["ambiguous"] <= 2
            assert kept["maybe_sent"] == (kept["ambiguous"] > 0)
            if kept["state"] in ENDED:
                terminal[kept["id"]] = kept["state"]
        assert {t.id for t in running} == {
            r["id"] for r in connection.execute("SELECT id FROM task WHERE state = 'running'")
        }


def test_a_task_of_a_mailing_is_counted_there_in_every_state(connection: Connection) -> None:
    for client in range(6):
        stored(connection, mailing_id=7, client_id=client, priority=Priority.BULK, expires_at=NOW + 500)
    assert counts.of_mailing(connection, 7) == {"queued": 6}
    delivered, refused, deferred, back = claims.claim(connection, "alerts", "owner", NOW, 4).tasks
    assert (delivered.mailing_id, delivered.client_id) == (7, 0)
    settlements.settle(connection, ended(delivered), NOW)
    settlements.settle(connection, ended(refused, RefusedForGood("no")), NOW)
    settlements.settle(connection, ended(deferred, DOWN), NOW)
    claims.give_back(connection, back, 0.0, NOW)
    cancellation.cancel(connection, back.message_id, NOW)
    expected = {"delivered": 1, "failed": 1, "deferred": 1, "canceled": 1, "queued": 2}
    assert counts.of_mailing(connection, 7) == expected
    assert counts_agree(connection)
    expiry.expire(connection, NOW + 501, 10)
    assert counts.of_mailing(connection, 7) == {"delivered": 1, "failed": 1, "canceled": 1, "expired": 3}
    assert counts_agree(connection)


def test_a_client_gets_a_mailing_once(connection: Connection) -> None:
    stored(connection, mailing_id=7, client_id=1)
    with pytest.raises(sqlite3.IntegrityError):
        stored(connection, mailing_id=7, client_id=1)
    stored(connection, mailing_id=8, client_id=1)
