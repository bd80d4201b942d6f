from __future__ import annotations

import pytest
from deliveries import NOW, claimed, ended, row, stored

from vestnik.delivery.model import Deferred, Delivered, Outcome, RefusedForGood
from vestnik.delivery.store import claims, settlements
from vestnik.storage.database import Connection

pytestmark = pytest.mark.usefixtures("counts_agree_in_the_end")

DOWN = Deferred("down")


@pytest.mark.parametrize(
    ("outcome", "state", "name", "detail"),
    [
        (Delivered("r-1"), "delivered", "delivered", "r-1"),
        (Delivered(), "delivered", "delivered", None),
        (RefusedForGood("no"), "failed", "refused", "no"),
        (DOWN, "deferred", "deferred", "down"),
        (Deferred("cut", maybe_sent=True), "deferred", "ambiguous", "cut"),
    ],
)
def test_an_end_is_written_with_its_attempt(
    connection: Connection, outcome: Outcome, state: str, name: str, detail: str | None
) -> None:
    stored(connection)
    task = claimed(connection)
    assert settlements.settle(connection, ended(task, outcome), NOW + 3)
    kept = row(connection, task)
    assert (kept["state"], kept["owner"]) == (state, None)
    assert kept["finished_at"] == (None if state == "deferred" else NOW + 3)
    assert kept["due_at"] == (NOW + 30 if state == "deferred" else NOW)
    attempt = connection.execute("SELECT * FROM attempt").fetchone()
    assert (attempt["outcome"], attempt["detail"]) == (name, detail)
    assert (attempt["started_at"], attempt["finished_at"]) == (NOW, NOW + 3)


def test_a_task_settles_once(connection: Connection) -> None:
    stored(connection)
    task = claimed(connection)
    assert settlements.settle(connection, ended(task), NOW)
    assert not settlements.settle(connection, ended(task, RefusedForGood("no")), NOW)
    assert row(connection, task)["state"] == "delivered"
    assert connection.execute("SELECT count(*) FROM attempt").fetchone()[0] == 1


@pytest.mark.parametrize("outcome", [Delivered(), RefusedForGood("no"), DOWN, Deferred("cut", maybe_sent=True)])
def test_a_stale_holder_changes_nothing(connection: Connection, outcome: Outcome) -> None:
    stored(connection)
    stale = claimed(connection)
    assert claims.give_back(connection, stale, NOW, NOW)
    claimed(connection)
    before = tuple(row(connection, stale))
    assert not settlements.settle(connection, ended(stale, outcome), NOW)
    assert not claims.give_back(connection, stale, NOW + 5, NOW)
    assert tuple(row(connection, stale)) == before


def test_a_mark_of_a_possible_copy_stays_when_a_later_try_succeeds(connection: Connection) -> None:
    stored(connection)
    settlements.settle(connection, ended(claimed(connection), Deferred("cut", maybe_sent=True)), NOW)
    task = claimed(connection, now=NOW + 30)
    assert task.ambiguous == 1
    settlements.settle(connection, ended(task), NOW + 30)
    assert (row(connection, task)["state"], row(connection, task)["maybe_sent"]) == ("delivered", 1)


def test_a_clock_that_was_set_back_brings_no_task_before_its_time(connection: Connection) -> None:
    stored(connection)
    task = claimed(connection)
    back = NOW - 3600
    settlements.settle(connection, ended(task, DOWN, now=back), back)
    assert row(connection, task)["due_at"] == NOW
    task = claimed(connection)
    claims.give_back(connection, task, back, back)
    assert row(connection, task)["due_at"] == NOW
