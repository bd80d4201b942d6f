from __future__ import annotations

import sqlite3

import pytest
from deliveries import NOW, claimed, counts_agree, ended, message, stored

from vestnik.delivery.model import Deferred, RefusedForGood
from vestnik.delivery.store import cancellation, expiry, intake, settlements
from vestnik.delivery.store.retention import Forgotten, forget_ended
from vestnik.storage.database import Connection

LATER = NOW + 100  # when all that ends here has ended


def rows(connection: Connection) -> tuple[int, int, int]:
    """Of messages, tasks and attempts."""
    counted = "SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM task), (SELECT count(*) FROM attempt)"
    found = connection.execute(counted).fetchone()
    return found[0], found[1], found[2]


def delivered(connection: sqlite3.Connection, count: int = 1, now: float = NOW) -> None:
    for _ in range(count):
        stored(connection, created_at=now, due_at=now)
        settlements.settle(connection, ended(claimed(connection, now=now), now=now), now)


def test_what_ended_long_ago_goes_with_its_tasks_and_attempts(connection: Connection) -> None:
    delivered(connection, 3)
    assert forget_ended(connection, LATER, 0, 100) == Forgotten(3, None)
    assert rows(connection) == (0, 0, 0)
    assert counts_agree(connection)


def test_what_ended_lately_stays(connection: Connection) -> None:
    delivered(connection)
    assert forget_ended(connection, NOW, 0, 100) == Forgotten(0, None)
    assert rows(connection) == (1, 1, 1)


def test_a_message_stays_while_one_of_its_recipients_waits(connection: Connection) -> None:
    stored(connection, recipients=["a", "b"])
    settlements.settle(connection, ended(claimed(connection), RefusedForGood("no")), NOW)
    settlements.settle(connection, ended(claimed(connection), Deferred("down")), NOW)
    assert forget_ended(connection, LATER, 0, 100).messages == 0
    assert rows(connection) == (1, 2, 2)


@pytest.mark.parametrize("state", ["queued", "scheduled", "running"])
def test_what_is_open_stays_however_old(state: str, connection: Connection) -> None:
    stored(connection, due_at=NOW + 3600 if state == "scheduled" else NOW)
    if state == "running":
        claimed(connection)
    assert forget_ended(connection, NOW + 1e9, 0, 100).messages == 0
    assert rows(connection)[:2] == (1, 1)


def test_what_was_canceled_or_expired_goes_too(connection: Connection) -> None:
    canceled = stored(connection)
    cancellation.cancel(connection, canceled.id, NOW)
    stored(connection, expires_at=NOW + 1)
    expiry.expire(connection, NOW + 2, 10)
    assert forget_ended(connection, LATER, 0, 100).messages == 2
    assert rows(connection) == (0, 0, 0)
    assert counts_agree(connection)


@pytest.mark.parametrize(("ends_at", "forgotten"), [(LATER - 1, 1), (LATER, 0), (None, 1)])
def test_of_a_mailing_that_runs_nothing_goes_whatever_its_tasks_say(
    connection: Connection, ends_at: float | None, forgotten: int
) -> None:
    stored(connection, mailing_id=1, client_id=1, expires_at=LATER + 1 if forgotten else NOW + 1)
    if ends_at is not None:
        connection.execute("INSERT INTO mailing_now (mailing_id, text, ends_at) VALUES (1, 'Hello', ?)", (ends_at,))
    settlements.settle(connection, ended(claimed(connection)), NOW)
    assert forget_ended(connection, LATER, 0, 100).messages == forgotten


def test_it_goes_on_where_the_last_step_ended(connection: Connection) -> None:
    stored(connection)  # open: it must not be looked at for ever
    delivered(connection, 4, now=NOW + 1)
    seen, after = [], 0
    while True:
        step = forget_ended(connection, LATER, after, 2)
        seen.append(step.messages)
        if step.next_after is None:
            break
        after = step.next_after
    assert (len(seen), sum(seen)) == (3, 4)
    assert rows(connection)[0] == 1


def test_what_a_wrong_clock_made_in_the_future_does_not_hide_what_is_older(connection: Connection) -> None:
    stored(connection, created_at=NOW + 1e9, due_at=NOW + 1e9)
    delivered(connection, 2)
    first = forget_ended(connection, LATER, 0, 1, now=LATER + 100)
    assert first.next_after is not None
    assert forget_ended(connection, LATER, first.next_after, 100, now=LATER + 100).messages == 2


def test_an_idempotency_key_outlives_its_message(connection: Connection) -> None:
    first = message(idempotency_key="k")
    intake.register(connection, first)
    settlements.settle(connection, ended(claimed(connection)), NOW)
    assert forget_ended(connection, LATER, 0, 100).messages == 1
    again = message(idempotency_key="k")
    assert intake.register(connection, again) == intake.Registered(first.id, new=False)
