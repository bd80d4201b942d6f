from __future__ import annotations

import pytest
from deliveries import NOW, claimed, ended, stored

from vestnik.delivery.model import Deferred, Priority, RefusedForGood, TaskState
from vestnik.delivery.store import counts, lookup, pauses, settlements
from vestnik.delivery.store.intake import NewMessage
from vestnik.delivery.store.lookup import MessageView, Page, message_state
from vestnik.storage.database import Connection


def page(
    connection: Connection,
    *,
    channel: str | None = None,
    state: str | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Page:
    return lookup.page(connection, channel=channel, state=state, after=after, limit=limit)


def all_pages(connection: Connection, *, channel: str | None = None, state: str | None = None, limit: int) -> list[int]:
    """Following `next` to the end."""
    found: list[int] = []
    after: int | None = None
    for _ in range(1000):
        one = page(connection, channel=channel, state=state, after=after, limit=limit)
        assert len(one.messages) <= limit
        found += ids(one)
        if one.next is None:
            return found
        assert after is None or one.next < after
        after = one.next
    raise AssertionError("the pages have no end")


def ids(one: Page) -> list[int]:
    return [view.id for view in one.messages]


def failed(connection: Connection, channel: str = "alerts", *, recipients: int = 1) -> NewMessage:
    """A message whose first task was refused, and the others delivered."""
    new = stored(connection, channel, recipients=[str(n) for n in range(recipients)])
    for n in range(recipients):
        task = claimed(connection, channel)
        settlements.settle(connection, ended(task, RefusedForGood("no") if n == 0 else None), NOW)
    return new


def found(connection: Connection, new: NewMessage) -> MessageView:
    view = lookup.find(connection, new.id)
    assert view
    return view


def test_a_message_is_found_with_its_tasks(connection: Connection) -> None:
    new = stored(connection, recipients=["a", "b"], subject="S", sender="vk_1", expires_at=NOW + 9)
    settlements.settle(connection, ended(claimed(connection), Deferred("cut", maybe_sent=True)), NOW + 1)
    view = found(connection, new)
    assert (view.id, view.channel, view.text, view.subject, view.sender) == (new.id, "alerts", "Hello", "S", "vk_1")
    assert (view.created_at, view.due_at, view.expires_at, view.parent_id) == (NOW, NOW, NOW + 9, None)
    assert [(t.recipient, t.state, t.attempts, t.maybe_sent, t.error) for t in view.tasks] == [
        ("a", TaskState.DEFERRED, 1, True, "cut"),
        ("b", TaskState.QUEUED, 0, False, None),
    ]
    assert (view.tasks[0].started_at, view.tasks[0].finished_at) == (NOW, None)


def test_what_is_not_there_is_not_found(connection: Connection) -> None:
    assert lookup.find(connection, 1) is None


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["queued"], "queued"),
        (["scheduled", "queued"], "scheduled"),
        (["running", "deferred"], "deferred"),
        (["running", "queued", "delivered"], "queued"),
        (["running", "failed"], "running"),
        (["delivered", "delivered"], "delivered"),
        (["expired", "expired"], "expired"),
        (["delivered", "failed"], "partial"),
        (["failed", "canceled"], "partial"),
    ],
)
def test_a_message_is_as_far_as_its_last_open_task(states: list[str], expected: str) -> None:
    assert message_state([TaskState(state) for state in states]) == expected


def test_pages_go_from_the_newest_to_the_oldest(connection: Connection) -> None:
    new = [stored(connection).id for _ in range(7)]
    first = page(connection, limit=3)
    assert (ids(first), first.next) == (new[:3:-1], new[4])
    assert all_pages(connection, limit=3) == new[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
def test_the_last_page_has_no_next(connection: Connection, limit: int) -> None:
    new = [stored(connection).id for _ in range(6)]
    assert all_pages(connection, limit=limit) == new[::-1]
    assert page(connection, limit=6).next is None


def test_an_empty_store_has_an_empty_page(connection: Connection) -> None:
    assert page(connection) == Page([], None)
    assert page(connection, state="failed") == Page([], None)


def test_nothing_lies_before_the_first_id(connection: Connection) -> None:
    stored(connection)
    assert page(connection, after=0) == Page([], None)


def test_a_page_shows_one_channel_only_when_asked(connection: Connection) -> None:
    ours = [stored(connection, "alerts").id, stored(connection, "other").id, stored(connection, "alerts").id]
    assert ids(page(connection, channel="alerts")) == [ours[2], ours[0]]
    assert all_pages(connection, channel="alerts", limit=1) == [ours[2], ours[0]]
    assert page(connection, channel="nobody") == Page([], None)


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_a_page_shows_one_state_only_when_asked(connection: Connection, limit: int) -> None:
    bad = [failed(connection).id for _ in range(3)]
    mixed = [failed(connection, recipients=2).id for _ in range(3)]
    waiting = [stored(connection, due_at=NOW + 5).id for _ in range(3)]
    assert all_pages(connection, state="failed", limit=limit) == bad[::-1]
    assert all_pages(connection, state="partial", limit=limit) == mixed[::-1]
    assert all_pages(connection, state="scheduled", limit=limit) == waiting[::-1]
    assert all_pages(connection, state="delivered", limit=limit) == []


def test_channel_and_state_can_be_asked_for_together(connection: Connection) -> None:
    failed(connection, "other")
    ours = failed(connection, "alerts").id
    assert all_pages(connection, channel="alerts", state="failed", limit=1) == [ours]


@pytest.mark.parametrize("state", ["delivered", "failed"])
def test_a_rare_state_ends_a_page_early_with_a_cursor(
    connection: Connection, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_EXAMINED", 4)
    old = failed(connection) if state == "failed" else stored(connection)
    if state == "delivered":
        settlements.settle(connection, ended(claimed(connection)), NOW)
    for _ in range(9):
        failed(connection, recipients=2)
    first = page(connection, state=state)
    assert first.messages == []
    assert first.next is not None
    assert all_pages(connection, state=state, limit=50) == [old.id]


def test_the_oldest_due_task_is_that_of_any_priority(connection: Connection) -> None:
    assert lookup.oldest_due(connection, "alerts") is None
    stored(connection, due_at=NOW + 5)
    assert lookup.oldest_due(connection, "alerts") == NOW + 5
    stored(connection, due_at=NOW + 3, priority=Priority.BULK)
    assert lookup.oldest_due(connection, "alerts") == NOW + 3
    assert lookup.oldest_due(connection, "other") is None


def test_what_runs_does_not_wait(connection: Connection) -> None:
    stored(connection)
    claimed(connection)
    assert lookup.oldest_due(connection, "alerts") is None


def test_counts_leave_out_states_that_no_task_is_in(connection: Connection) -> None:
    stored(connection, recipients=["a", "b"])
    stored(connection, "other", due_at=NOW + 1)
    settlements.settle(connection, ended(claimed(connection)), NOW)
    assert counts.all_counts(connection) == {"alerts": {"delivered": 1, "queued": 1}, "other": {"scheduled": 1}}


def test_moving_nothing_or_nowhere_changes_no_count(connection: Connection) -> None:
    tally = counts.Tally()
    tally.write(connection)
    tally.moved("alerts", "queued", "queued", mailing_id=7)
    tally.add("alerts", "queued", 0)
    tally.write(connection)
    assert counts.of_mailing(connection, 7) == {}
    assert connection.execute("SELECT count(*) FROM task_count").fetchone()[0] == 0


def test_pauses_are_kept_changed_and_dropped(connection: Connection) -> None:
    pauses.keep(connection, "alerts", "one", NOW)
    pauses.keep(connection, "alerts", "two", NOW)
    pauses.keep(connection, "other", "three", NOW)
    assert pauses.all_pauses(connection) == {"alerts": "two", "other": "three"}
    pauses.drop(connection, "alerts")
    pauses.drop(connection, "alerts")
    assert pauses.all_pauses(connection) == {"other": "three"}
