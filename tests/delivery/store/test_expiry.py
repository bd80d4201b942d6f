from __future__ import annotations

import pytest
from deliveries import NOW, claimed, ended, row, states, stored

from vestnik.delivery.model import Deferred
from vestnik.delivery.store import expiry, settlements
from vestnik.storage.database import Connection

pytestmark = pytest.mark.usefixtures("counts_agree_in_the_end")

DOWN = Deferred("down")


def test_what_waits_past_its_time_expires(connection: Connection) -> None:
    queued = stored(connection, expires_at=NOW + 10)
    scheduled = stored(connection, due_at=NOW + 5, expires_at=NOW + 10)
    later = stored(connection, expires_at=NOW + 11)
    for_ever = stored(connection, "other")
    ended_now = expiry.expire(connection, NOW + 10, 100)
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
    assert len(expiry.expire(connection, NOW + 10, 100)) == 1
    assert (row(connection, task)["state"], row(connection, task)["error"]) == ("expired", "down")


def test_what_is_running_does_not_expire_under_its_executor(connection: Connection) -> None:
    stored(connection, expires_at=NOW + 10)
    task = claimed(connection)
    assert expiry.expire(connection, NOW + 100, 100) == []
    assert settlements.settle(connection, ended(task), NOW + 100)


def test_expiry_goes_in_batches_over_all_channels(connection: Connection) -> None:
    for channel in ("a", "b"):
        stored(connection, channel, recipients=["1", "2", "3"], expires_at=NOW + 1)
    assert [len(expiry.expire(connection, NOW + 1, 4)) for _ in range(3)] == [4, 2, 0]


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
    ended_now = expiry.expire(connection, NOW + 1, 100)
    assert {task.message_id for task in ended_now} == {other.id, alone.id}
    assert states(connection, changed) == ["queued"]
    hold(connection, 7, held=False)
    assert [task.message_id for task in expiry.expire(connection, NOW + 2, 100)] == [changed.id]


@pytest.mark.parametrize(("held", "expired"), [(3, 2), (4, 1), (5, 0)])
def test_who_is_behind_many_that_are_held_expires_after_them(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, held: int, expired: int
) -> None:
    monkeypatch.setattr(expiry, "PASSED_BY", 3)
    for client in range(held):
        stored(connection, mailing_id=7, client_id=client, expires_at=NOW + 1)
    for _ in range(3):
        stored(connection, expires_at=NOW + 2)
    hold(connection, 7)
    assert len(expiry.expire(connection, NOW + 2, 2)) == expired, "a large mailing must not cost a long look"
    hold(connection, 7, held=False)
    assert len(expiry.expire(connection, NOW + 2, 100)) == held + 3 - expired
