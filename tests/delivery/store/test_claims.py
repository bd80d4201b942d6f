from __future__ import annotations

import pytest
from deliveries import NOW, claimed, ended, row, stored

from vestnik.delivery.model import Deferred, Priority
from vestnik.delivery.store import cancellation, claims, settlements
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.claims import Claimed
from vestnik.storage.database import Connection

pytestmark = pytest.mark.usefixtures("counts_agree_in_the_end")

DOWN = Deferred("down")


def claim(connection: Connection, limit: int = 10, *, now: float = NOW, channel: str = "alerts") -> Claimed:
    return claims.claim(connection, channel, "owner", now, limit)


def test_a_claim_counts_the_attempt_and_names_its_owner(connection: Connection) -> None:
    stored(connection, recipients=["a"], subject="S", expires_at=NOW + 9)
    task = claimed(connection)
    assert (task.attempts, task.epoch, task.recipient, task.text, task.subject) == (1, 1, "a", "Hello", "S")
    assert (task.created_at, task.expires_at) == (NOW, NOW + 9)
    kept = row(connection, task)
    assert (kept["state"], kept["owner"], kept["attempts"], kept["epoch"]) == ("running", "owner", 1, 1)
    assert kept["started_at"] == NOW


def test_what_is_claimed_is_not_claimed_again(connection: Connection) -> None:
    stored(connection, recipients=["a", "b"])
    assert len(claim(connection).tasks) == 2
    assert claim(connection).tasks == []


def test_tasks_come_in_the_order_they_are_due(connection: Connection) -> None:
    stored(connection, recipients=["late"], due_at=NOW)
    stored(connection, recipients=["early"], due_at=NOW - 5)
    stored(connection, recipients=["later"], due_at=NOW)
    assert [t.recipient for t in claim(connection).tasks] == ["early", "late", "later"]


def test_single_sends_overtake_a_mailing(connection: Connection) -> None:
    stored(connection, recipients=["b1", "b2"], due_at=NOW - 100, priority=Priority.BULK)
    stored(connection, recipients=["single"])
    assert [t.recipient for t in claim(connection, 2).tasks] == ["single", "b1"]


def test_only_what_is_due_is_claimed_and_the_next_time_told(connection: Connection) -> None:
    stored(connection, due_at=NOW + 20)
    stored(connection, due_at=NOW + 10, priority=Priority.BULK)
    assert claim(connection) == Claimed([], NOW + 10)
    found = claim(connection, now=NOW + 10)
    assert (len(found.tasks), found.next_due) == (1, NOW + 20)


def test_nothing_is_told_of_the_next_when_the_limit_is_reached_or_nothing_waits(connection: Connection) -> None:
    assert claim(connection) == Claimed([], None)
    stored(connection, recipients=["a", "b"])
    assert claim(connection, 1).next_due is None


def test_what_is_past_its_time_is_not_claimed(connection: Connection) -> None:
    stored(connection, expires_at=NOW)
    assert claim(connection) == Claimed([], None)


def test_channels_do_not_take_each_others_tasks(connection: Connection) -> None:
    stored(connection, "other")
    assert claim(connection).tasks == []
    assert len(claim(connection, channel="other").tasks) == 1


def test_what_is_given_back_is_as_if_it_had_not_been_claimed(connection: Connection) -> None:
    stored(connection)
    task = claimed(connection)
    assert claims.give_back(connection, task, NOW, NOW)
    kept = row(connection, task)
    assert (kept["state"], kept["owner"], kept["attempts"], kept["due_at"]) == ("queued", None, 0, NOW)
    assert connection.execute("SELECT count(*) FROM attempt").fetchone()[0] == 0


def test_given_back_for_later_it_is_deferred(connection: Connection) -> None:
    stored(connection)
    task = claimed(connection)
    claims.give_back(connection, task, NOW + 5, NOW)
    assert (row(connection, task)["state"], row(connection, task)["due_at"]) == ("deferred", NOW + 5)


def test_a_second_try_that_is_given_back_stays_deferred(connection: Connection) -> None:
    stored(connection)
    settlements.settle(connection, ended(claimed(connection), DOWN), NOW)
    task = claimed(connection, now=NOW + 30)
    claims.give_back(connection, task, NOW + 30, NOW + 30)
    assert (row(connection, task)["state"], row(connection, task)["attempts"]) == ("deferred", 1)


def test_giving_back_twice_takes_off_one_attempt(connection: Connection) -> None:
    stored(connection)
    task = claimed(connection)
    assert claims.give_back(connection, task, NOW, NOW)
    assert not claims.give_back(connection, task, NOW, NOW)
    assert row(connection, task)["attempts"] == 0


def test_what_was_canceled_before_it_began_is_not_given_back_but_ended(connection: Connection) -> None:
    new = stored(connection)
    task = claimed(connection)
    assert cancellation.cancel(connection, new.id, NOW) is Cancellation.TOO_LATE_TO_PROMISE
    assert claims.give_back(connection, task, NOW, NOW + 1)
    kept = row(connection, task)
    assert (kept["state"], kept["finished_at"], kept["attempts"]) == ("canceled", NOW + 1, 0)
