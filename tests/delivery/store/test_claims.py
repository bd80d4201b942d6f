from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator

import pytest
from deliveries import NOW, POLICY, claimed, counts_agree, ended, message, row, states, stored

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
from vestnik.delivery.store import claims, counts, intake, settlements
from vestnik.delivery.store.claims import Cancellation, Claimed
from vestnik.storage.database import Connection

DOWN = Deferred("down")
OUTCOMES: list[Outcome] = [Delivered(), RefusedForGood("no"), DOWN, Deferred("cut", maybe_sent=True)]


@pytest.fixture(autouse=True)
def _counts_agree_in_the_end(connection: Connection) -> Iterator[None]:
    yield
    assert counts_agree(connection)


def claim(connection: Connection, limit: int = 10, *, now: float = NOW, channel: str = "alerts") -> Claimed:
    return claims.claim(connection, channel, "owner", now, limit)


def recovered(connection: Connection, now: float = NOW) -> list[TaskState]:
    found = claims.recover(connection, now, lambda task: settle_crashed(task, POLICY, now))
    return [settlement.state for settlement in found]


# -- claim


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


# -- settle


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


# -- give back


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
    assert claims.cancel(connection, new.id, NOW) is Cancellation.TOO_LATE_TO_PROMISE
    assert claims.give_back(connection, task, NOW, NOW + 1)
    kept = row(connection, task)
    assert (kept["state"], kept["finished_at"], kept["attempts"]) == ("canceled", NOW + 1, 0)


# -- expire


def test_what_waits_past_its_time_expires(connection: Connection) -> None:
    queued = stored(connection, expires_at=NOW + 10)
    scheduled = stored(connection, due_at=NOW + 5, expires_at=NOW + 10)
    later = stored(connection, expires_at=NOW + 11)
    for_ever = stored(connection, "other")
    ended_now = claims.expire(connection, NOW + 10, 100)
    assert sorted((task.channel, task.message_id) for task in ended_now) == [
        ("alerts", queued.id),
        ("alerts", scheduled.id),
    ]
    assert {task.task_id for task in ended_now} == {queued.recipients[0][0], scheduled.recipients[0][0]}
    found = [states(connection, new) for new in (queued, scheduled, later, for_ever)]
    assert found == [["expired"], ["expired"], ["queued"], ["queued"]]
    assert row(connection, queued.recipients[0][0])["finished_at"] == NOW + 10


def test_a_deferred_task_expires_and_keeps_its_last_error(connection: Connection) -> None:
    stored(connection, expires_at=NOW + 10)
    task = claimed(connection)
    settlements.settle(connection, ended(task, DOWN), NOW)
    assert len(claims.expire(connection, NOW + 10, 100)) == 1
    assert (row(connection, task)["state"], row(connection, task)["error"]) == ("expired", "down")


def test_what_is_running_does_not_expire_under_its_executor(connection: Connection) -> None:
    stored(connection, expires_at=NOW + 10)
    task = claimed(connection)
    assert claims.expire(connection, NOW + 100, 100) == []
    assert settlements.settle(connection, ended(task), NOW + 100)


def test_expiry_goes_in_batches_over_all_channels(connection: Connection) -> None:
    for channel in ("a", "b"):
        stored(connection, channel, recipients=["1", "2", "3"], expires_at=NOW + 1)
    assert [len(claims.expire(connection, NOW + 1, 4)) for _ in range(3)] == [4, 2, 0]


def hold(connection: Connection, mailing_id: int, held: bool = True) -> None:
    """As a change of the mailing does, until all that waits has followed it."""
    values = {"id": mailing_id, "held": held}
    connection.execute(
        "INSERT INTO mailing_now (mailing_id, text, held) VALUES (:id, 'Hello', :held) "
        "ON CONFLICT DO UPDATE SET held = :held",
        values,
    )


def test_what_is_held_expires_only_when_it_is_let_go(connection: Connection) -> None:
    changed, other = [stored(connection, mailing_id=id_, client_id=1, expires_at=NOW + 1) for id_ in (7, 8)]
    alone = stored(connection, expires_at=NOW + 1)
    hold(connection, 7)
    hold(connection, 8, held=False)
    ended_now = claims.expire(connection, NOW + 1, 100)
    assert {task.message_id for task in ended_now} == {other.id, alone.id}
    assert states(connection, changed) == ["queued"]
    hold(connection, 7, held=False)
    assert [task.message_id for task in claims.expire(connection, NOW + 2, 100)] == [changed.id]


@pytest.mark.parametrize(("held", "expired"), [(3, 2), (4, 1), (5, 0)])
def test_who_is_behind_many_that_are_held_expires_after_them(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, held: int, expired: int
) -> None:
    monkeypatch.setattr(claims, "PASSED_BY", 3)
    for client in range(held):
        stored(connection, mailing_id=7, client_id=client, expires_at=NOW + 1)
    for _ in range(3):
        stored(connection, expires_at=NOW + 2)
    hold(connection, 7)
    assert len(claims.expire(connection, NOW + 2, 2)) == expired, "a large mailing must not cost a long look"
    hold(connection, 7, held=False)
    assert len(claims.expire(connection, NOW + 2, 100)) == held + 3 - expired


# -- cancel


def test_what_waits_is_canceled_at_once(connection: Connection) -> None:
    new = stored(connection, recipients=["a", "b"], due_at=NOW + 100)
    assert claims.cancel(connection, new.id, NOW + 1) is Cancellation.CANCELED
    assert states(connection, new) == ["canceled"] * 2
    assert row(connection, new.recipients[0][0])["finished_at"] == NOW + 1


def test_while_one_delivery_runs_the_rest_is_canceled_and_nothing_promised(connection: Connection) -> None:
    new = stored(connection, recipients=["a", "b"])
    claimed(connection)
    assert claims.cancel(connection, new.id, NOW) is Cancellation.TOO_LATE_TO_PROMISE
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
    claims.cancel(connection, new.id, NOW)
    assert settlements.settle(connection, ended(task, outcome), NOW + 2)
    kept = row(connection, task)
    assert (kept["state"], kept["maybe_sent"], kept["finished_at"]) == (state, maybe_sent, NOW + 2)


def test_what_has_ended_cannot_be_canceled(connection: Connection) -> None:
    new = stored(connection)
    task = claimed(connection)
    settlements.settle(connection, ended(task), NOW)
    assert claims.cancel(connection, new.id, NOW) is Cancellation.ENDED
    assert states(connection, new) == ["delivered"]


# -- recover


def test_what_a_dead_daemon_left_running_is_marked_and_tried_again(connection: Connection) -> None:
    stored(connection, recipients=["a", "b"])
    task = claimed(connection)
    assert recovered(connection) == [TaskState.DEFERRED]
    kept = row(connection, task)
    assert (kept["state"], kept["owner"], kept["maybe_sent"], kept["crashes"], kept["ambiguous"]) == (
        "deferred",
        None,
        1,
        1,
        1,
    )
    assert connection.execute("SELECT outcome FROM attempt").fetchone()[0] == "ambiguous"
    assert recovered(connection) == []


def test_a_message_that_kills_the_daemon_is_ended(connection: Connection) -> None:
    stored(connection)
    now = NOW
    found = []
    for _ in range(2):
        claimed(connection, now=now)
        found += recovered(connection, now)
        now += 1000
    assert found == [TaskState.DEFERRED, TaskState.FAILED]


def test_a_late_end_from_the_dead_daemon_changes_nothing(connection: Connection) -> None:
    stored(connection)
    task = claimed(connection)
    recovered(connection)
    assert not settlements.settle(connection, ended(task), NOW)


# -- all of it at random


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
                claims.expire(connection, now, 3)
            case "x" if messages:
                claims.cancel(connection, chance.choice(messages).id, now)
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
    claims.cancel(connection, back.message_id, NOW)
    expected = {"delivered": 1, "failed": 1, "deferred": 1, "canceled": 1, "queued": 2}
    assert counts.of_mailing(connection, 7) == expected
    assert counts_agree(connection)
    claims.expire(connection, NOW + 501, 10)
    assert counts.of_mailing(connection, 7) == {"delivered": 1, "failed": 1, "canceled": 1, "expired": 3}
    assert counts_agree(connection)


def test_a_client_gets_a_mailing_once(connection: Connection) -> None:
    stored(connection, mailing_id=7, client_id=1)
    with pytest.raises(sqlite3.IntegrityError):
        stored(connection, mailing_id=7, client_id=1)
    stored(connection, mailing_id=8, client_id=1)
