from __future__ import annotations

import pytest
from deliveries import NOW, POLICY, claimed, ended, row, stored

from vestnik.delivery.model import TaskState, settle_crashed
from vestnik.delivery.store import recovery, settlements
from vestnik.storage.database import Connection

pytestmark = pytest.mark.usefixtures("counts_agree_in_the_end")


def recovered(connection: Connection, now: float = NOW) -> list[TaskState]:
    found = recovery.recover(connection, now, lambda task: settle_crashed(task, POLICY, now))
    return [settlement.state for settlement in found]


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
