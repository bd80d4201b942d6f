"""The clock is set back: nothing waits for the old time to come again, and nothing goes earlier than asked for."""

from __future__ import annotations

import pytest
from deliveries import NOW, claimed, ended, row, stored
from hypothesis import given
from hypothesis import strategies as st

from vestnik.delivery.model import Deferred, Priority
from vestnik.delivery.store import claims, settlements
from vestnik.delivery.store.set_back import Times, ahead, first, move, move_running, moved
from vestnik.storage.database import Connection

BACK = 3600.0
seconds = st.floats(0, 1e9).map(round)


def move_all(connection: Connection, now: float, *, limit: int = 500) -> int:
    tasks, after = 0, first(now)
    while after:
        step = move(connection, channel="alerts", priority=Priority.SINGLE, now=now, after=after, limit=limit)
        tasks, after = tasks + step.moved, step.last
    return tasks


def test_what_was_due_at_once_is_due_at_once_again(connection: Connection) -> None:
    for _ in range(7):
        stored(connection)
    assert claims.claim(connection, "alerts", "owner", NOW - BACK, 10).tasks == []
    assert move_all(connection, NOW - BACK, limit=3) == 7
    assert len(claims.claim(connection, "alerts", "owner", NOW - BACK, 10).tasks) == 7


def test_a_delay_begins_anew_and_the_expiry_moves_with_it(connection: Connection) -> None:
    [(task, _)] = stored(connection, due_at=NOW + 600, expires_at=NOW + 700).recipients
    move_all(connection, NOW - BACK)
    assert (row(connection, task)["due_at"], row(connection, task)["expires_at"]) == (
        NOW - BACK + 600,
        NOW - BACK + 700,
    )


def test_a_retry_waits_as_long_as_it_was_to(connection: Connection) -> None:
    stored(connection)
    task = claimed(connection)
    settlements.settle(connection, ended(task, Deferred("down", 40.0), now=NOW + 1), NOW + 1)
    move_all(connection, NOW - BACK)
    assert row(connection, task)["due_at"] == NOW - BACK + 40


def test_a_try_that_began_before_a_wrong_decade_and_ended_in_it_moves_once(connection: Connection) -> None:
    stored(connection)
    task, decade = claimed(connection), NOW + 315e6
    settlements.settle(connection, ended(task, Deferred("down", 40.0), now=decade), decade)
    assert row(connection, task)["due_at"] == decade + 40
    assert move_all(connection, NOW + 1) == 1
    assert row(connection, task)["due_at"] == NOW + 41
    assert move_all(connection, NOW + 31) == 0


def test_what_is_running_then_can_be_put_off_by_the_new_clock(connection: Connection) -> None:
    stored(connection)
    task, now = claimed(connection), NOW - BACK
    assert move_running(connection, channel="alerts", now=now) == 1
    settlements.settle(connection, ended(task, Deferred("down", 40.0), now=now), now)
    assert row(connection, task)["due_at"] == now + 40
    assert move_all(connection, now) == 0


def test_what_was_accepted_by_the_right_clock_stays(connection: Connection) -> None:
    """A year that was wrong for a while, and what had been scheduled before."""
    [(task, _)] = stored(connection, due_at=NOW + 600).recipients
    assert move_all(connection, NOW + 60) == 0
    assert row(connection, task)["due_at"] == NOW + 600


def test_other_channels_and_what_ended_stay(connection: Connection) -> None:
    [(other, _)] = stored(connection, "mail").recipients
    stored(connection)
    done = claimed(connection)
    settlements.settle(connection, ended(done), NOW)
    assert move_all(connection, NOW - BACK) == 0
    assert row(connection, other)["due_at"] == NOW
    assert row(connection, done)["due_at"] == NOW


def test_a_newest_message_from_the_future_tells_that_the_clock_is_behind(connection: Connection) -> None:
    assert ahead(connection, NOW) == 0
    stored(connection)
    assert ahead(connection, NOW + 1) == 0
    assert ahead(connection, NOW - BACK) == BACK


@given(created=seconds, delay=seconds, lifetime=st.none() | seconds, now=seconds)
def test_a_new_task_goes_no_earlier_than_asked_and_no_later_than_by_the_delay(
    created: int, delay: int, lifetime: int | None, now: int
) -> None:
    due, expires = created + delay, None if lifetime is None else created + delay + lifetime
    before = Times(due, expires, None, created, due, expires)
    found = moved(before, now)
    assert min(due, now + delay) <= found.due_at <= due
    if created > now:
        assert found.due_at == now + delay
    if found.expires_at is not None:
        assert found.expires_at - found.due_at == lifetime
    assert moved(found, now) == found
    assert moved(found, now + 30).due_at == found.due_at


@given(started=seconds, wait=seconds, now=seconds)
def test_a_tried_task_waits_no_longer_than_it_was_to_and_moves_once(started: int, wait: int, now: int) -> None:
    before = Times(started + wait, None, started, started, started, None)
    found = moved(before, now)
    assert found.due_at == (now + wait if started > now else started + wait)
    for later in (now, now + 30):
        assert moved(found, later) == found


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_steps_of_any_size_meet_every_task_once(limit: int, connection: Connection) -> None:
    for number in range(10):
        stored(connection, due_at=NOW + number % 3)
    assert move_all(connection, NOW - BACK, limit=limit) == 10
