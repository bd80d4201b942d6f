from __future__ import annotations

from typing import Any

import pytest
from deliveries import NOW, counts_agree, message, states, stored

from vestnik.delivery.ids import RESERVE
from vestnik.delivery.model import MessageId, Priority
from vestnik.delivery.store import intake
from vestnik.delivery.store.intake import IDEMPOTENCY_KEPT, NewMessage, OtherContent, Registered
from vestnik.storage.database import Connection


def again(first: NewMessage, **changes: Any) -> NewMessage:
    """The same request, as it comes a second time: with new ids."""
    fresh = message(first.channel)
    return first._replace(**{"id": fresh.id, "recipients": fresh.recipients, **changes})


def test_a_message_becomes_one_task_for_each_recipient(connection: Connection) -> None:
    new = stored(connection, recipients=["a", "b", "c"], subject="News", sender="vk_1", expires_at=NOW + 60)
    assert states(connection, new) == ["queued"] * 3
    rows = connection.execute("SELECT * FROM task ORDER BY id").fetchall()
    assert [(r["id"], r["recipient"]) for r in rows] == list(new.recipients)
    assert {(r["due_at"], r["expires_at"], r["attempts"], r["owner"]) for r in rows} == {(NOW, NOW + 60, 0, None)}
    kept = connection.execute("SELECT * FROM message").fetchone()
    assert (kept["id"], kept["text"], kept["subject"], kept["sender"]) == (new.id, "Hello", "News", "vk_1")
    assert counts_agree(connection)


def test_a_delayed_message_is_scheduled(connection: Connection) -> None:
    assert states(connection, stored(connection, due_at=NOW + 1)) == ["scheduled"]
    assert counts_agree(connection)


def test_a_bulk_message_is_stored_as_such(connection: Connection) -> None:
    stored(connection, priority=Priority.BULK)
    assert connection.execute("SELECT priority FROM task").fetchone()[0] == Priority.BULK


def test_the_same_key_and_content_mean_the_same_message(connection: Connection) -> None:
    first = stored(connection, idempotency_key="k")
    second = intake.register(connection, again(first, created_at=NOW + 5, due_at=NOW + 5))
    assert second == Registered(first.id, new=False)
    assert connection.execute("SELECT count(*) FROM message").fetchone()[0] == 1
    assert counts_agree(connection)


@pytest.mark.parametrize(
    "changes",
    [{"text": "Other"}, {"channel": "other"}, {"subject": "S"}, {"due_at": NOW + 9}, {"expire": 9}],
)
def test_the_same_key_with_other_content_stores_nothing(connection: Connection, changes: dict[str, Any]) -> None:
    first = stored(connection, idempotency_key="k")
    assert intake.register(connection, again(first, **changes)) == OtherContent()
    assert connection.execute("SELECT count(*) FROM task").fetchone()[0] == 1
    assert counts_agree(connection)


def test_what_the_channel_adds_is_no_part_of_the_content(connection: Connection) -> None:
    first = stored(connection, idempotency_key="k", expires_at=NOW + 60)
    assert intake.register(connection, again(first, expires_at=NOW + 90)) == Registered(first.id, new=False)


def test_another_senders_key_is_another_key(connection: Connection) -> None:
    first = stored(connection, idempotency_key="k", sender="vk_1")
    assert intake.register(connection, again(first, sender="vk_2")) == Registered(MessageId(first.id + 2))


def test_without_a_key_the_same_content_is_another_message(connection: Connection) -> None:
    first = stored(connection)
    second = again(first)
    assert intake.register(connection, second) == Registered(second.id)


def test_a_key_outlives_its_message(connection: Connection) -> None:
    first = stored(connection, idempotency_key="k")
    connection.execute("DELETE FROM task")
    connection.execute("DELETE FROM message")
    assert intake.register(connection, again(first)) == Registered(first.id, new=False)


def test_a_key_means_nothing_after_its_time(connection: Connection) -> None:
    first = stored(connection, idempotency_key="k")
    later = NOW + IDEMPOTENCY_KEPT
    second = again(first, created_at=later, due_at=later)
    assert intake.register(connection, second) == Registered(second.id)
    assert intake.register(connection, again(second)) == Registered(second.id, new=False)


def test_old_keys_are_forgotten_and_new_ones_kept(connection: Connection) -> None:
    stored(connection, idempotency_key="old")
    stored(connection, idempotency_key="new", created_at=NOW + 10, due_at=NOW + 10)
    assert intake.forget_keys(connection, NOW + IDEMPOTENCY_KEPT, 10) == 1
    assert [r["key"] for r in connection.execute("SELECT key FROM idempotency")] == ["new"]


def test_keys_are_kept_for_the_promised_day_at_least() -> None:
    assert IDEMPOTENCY_KEPT >= 24 * 3600


def test_the_ceiling_lies_above_every_id_that_is_stored(connection: Connection) -> None:
    new = stored(connection, recipients=["a", "b"])
    assert intake.ceiling(connection) == max(id_ for id_, _ in new.recipients) + RESERVE


def test_the_ceiling_is_not_written_at_every_message_and_never_lowered(connection: Connection) -> None:
    stored(connection)
    ceiling = intake.ceiling(connection)
    stored(connection)
    intake.raise_ceiling(connection, 1)
    assert intake.ceiling(connection) == ceiling
    intake.raise_ceiling(connection, ceiling + 1)
    assert intake.ceiling(connection) == ceiling + 1 + RESERVE
