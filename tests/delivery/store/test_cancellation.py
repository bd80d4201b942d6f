from __future__ import annotations

import pytest
from deliveries import NOW, claimed, ended, row, states, stored

from vestnik.delivery.model import Deferred, Delivered, Outcome, RefusedForGood
from vestnik.delivery.store import cancellation, settlements
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.storage.database import Connection

pytestmark = pytest.mark.usefixtures("counts_agree_in_the_end")

DOWN = Deferred("down")


def test_what_waits_is_canceled_at_once(connection: Connection) -> None:
    new = stored(connection, recipients=["a", "b"], due_at=NOW + 100)
    assert cancellation.cancel(connection, new.id, NOW + 1) is Cancellation.CANCELED
    assert states(connection, new) == ["canceled"] * 2
    assert row(connection, new.recipients[0][0])["finished_at"] == NOW + 1


def test_while_one_delivery_runs_the_rest_is_canceled_and_nothing_promised(connection: Connection) -> None:
    new = stored(connection, recipients=["a", "b"])
    claimed(connection)
    assert cancellation.cancel(connection, new.id, NOW) is Cancellation.TOO_LATE_TO_PROMISE
    assert states(connection, new) == ["running", "canceled"]


@pytest.mark.parametrize(
    ("outcome", "state", "maybe_sent"),
    [
        (Delivered(), "delivered", 0),
        (RefusedForGood("no"), "failed", 0),
        (DOWN, "canceled", 0),
        (Deferred("cut", maybe_sent=True), "canceled", 1),
    ],
)
def test_a_cancel_during_a_delivery_prevents_another_try(
    connection: Connection, outcome: Outcome, state: str, maybe_sent: int
) -> None:
    new = stored(connection)
    task = claimed(connection)
    cancellation.cancel(connection, new.id, NOW)
    assert settlements.settle(connection, ended(task, outcome), NOW + 2)
    kept = row(connection, task)
    assert (kept["state"], kept["maybe_sent"], kept["finished_at"]) == (state, maybe_sent, NOW + 2)


def test_what_has_ended_cannot_be_canceled(connection: Connection) -> None:
    new = stored(connection)
    task = claimed(connection)
    settlements.settle(connection, ended(task), NOW)
    assert cancellation.cancel(connection, new.id, NOW) is Cancellation.ENDED
    assert states(connection, new) == ["delivered"]
