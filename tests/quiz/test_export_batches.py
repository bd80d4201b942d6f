"""Batches in the database: composed once, the same at every try, closed by what was said of each question."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest
from exports import add_ready, counts, statuses

from vestnik.quiz.export import batches
from vestnik.quiz.export.answers import Taken
from vestnik.quiz.export.batches import STUCK, Batch, take_up
from vestnik.quiz.export.pace import Backlog
from vestnik.quiz.store import sending
from vestnik.storage.migrations.upgrade import upgrade

NOBODY: frozenset[str] = frozenset()


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    found = sqlite3.connect(":memory:", isolation_level=None)
    found.row_factory = sqlite3.Row
    found.execute("PRAGMA foreign_keys=ON")
    upgrade(found)
    yield found
    found.close()


def taken_up(connection: sqlite3.Connection, new_id: str = "b1", size: int = 3) -> Batch:
    found = take_up(connection, new_id, size, NOBODY, now=1.0)
    assert found is not None
    return found


def all_gone(batch: Batch) -> Taken:
    return Taken(dict.fromkeys(range(len(batch.members)), "created"), {})


def test_a_batch_is_of_the_oldest_ready_questions_in_the_wire_shape(connection: sqlite3.Connection) -> None:
    ids = add_ready(connection, 5)
    batch = taken_up(connection)
    assert [member.id for member in batch.members] == ids[:3]
    body = json.loads(batch.body)
    assert body["batch_id"] == batch.id == "b1"
    assert [question["hash"] for question in body["questions"]] == [member.hash for member in batch.members]
    assert set(body["questions"][0]) == {
        "hash", "hash_version", "text", "type", "language", "category", "difficulty", "correct_answers",
        "incorrect_answers", "explanation", "tags", "media", "source", "licence",
    }  # fmt: skip
    assert set(body["questions"][0]["source"]) == {"name", "url", "external_id"}


def test_with_nothing_ready_there_is_no_batch(connection: sqlite3.Connection) -> None:
    assert take_up(connection, "b1", 5, NOBODY, now=1.0) is None
    assert batches.backlog(connection).open_batches == 0


def test_an_open_batch_comes_again_as_the_same_bytes_whatever_has_become_ready(connection: sqlite3.Connection) -> None:
    add_ready(connection, 2)
    first = taken_up(connection, "b1")
    add_ready(connection, 5)
    again = taken_up(connection, "b2", size=7)
    assert (again.id, again.body, again.members) == (first.id, first.body, first.members)
    assert (first.sends, again.sends) == (1, 2)


def test_acknowledged_questions_are_forgotten_but_for_the_hash(connection: sqlite3.Connection) -> None:
    add_ready(connection, 4)
    batch = taken_up(connection)
    settled = batches.settle(connection, batch, all_gone(batch), now=9.0)
    assert (settled.gone, settled.refused, settled.left) == (3, (), 0)
    assert counts(connection) == {"raw": 0, "ready": 1, "exported": 3, "rejected": 0}
    past = connection.execute("SELECT hash, source, exported_at, batch_id FROM past_question").fetchall()
    assert {row["hash"].hex() for row in past} == {member.hash for member in batch.members}
    assert {tuple(row)[1:] for row in past} == {("test", 9.0, "b1")}
    assert batches.backlog(connection).open_batches == 0


def test_settling_twice_counts_once(connection: sqlite3.Connection) -> None:
    add_ready(connection, 3)
    batch = taken_up(connection)
    batches.settle(connection, batch, all_gone(batch), now=9.0)
    batches.settle(connection, batch, all_gone(batch), now=9.0)
    assert counts(connection) == {"raw": 0, "ready": 0, "exported": 3, "rejected": 0}


def test_an_invalid_question_goes_back_to_the_moderators_with_the_servers_words(
    connection: sqlite3.Connection,
) -> None:
    ids = add_ready(connection, 3)
    batch = taken_up(connection)
    settled = batches.settle(connection, batch, Taken({0: "created", 2: "duplicate"}, {1: "too long"}), now=9.0)
    assert (settled.gone, settled.refused, settled.left) == (2, (ids[1],), 0)
    assert statuses(connection) == {ids[1]: "raw"}
    reason = connection.execute("SELECT code, detail FROM question_reason").fetchone()
    assert tuple(reason) == ("R40", "too long")
    assert batches.backlog(connection).open_batches == 0


def test_what_nothing_was_said_of_stays_in_the_batch_which_comes_again_as_it_was(
    connection: sqlite3.Connection,
) -> None:
    ids = add_ready(connection, 3)
    batch = taken_up(connection)
    settled = batches.settle(connection, batch, Taken({0: "created"}, {}), now=9.0)
    assert (settled.gone, settled.left) == (1, 2)
    again = taken_up(connection)
    assert again.body == batch.body
    assert batches.settle(connection, again, all_gone(again), now=10.0).gone == 2
    assert statuses(connection) == {}
    assert counts(connection)["exported"] == len(ids)


def test_a_refused_batch_is_halved_until_the_unwanted_question_is_alone(connection: sqlite3.Connection) -> None:
    ids = add_ready(connection, 5)
    unwanted, sent, number = ids[3], [], 0
    while (batch := take_up(connection, f"n{number}", 5, NOBODY, now=float(number))) is not None:
        sent.append(batch.id)
        if unwanted in [member.id for member in batch.members]:
            batches.take_apart(connection, batch, "422", (f"l{number}", f"r{number}"), now=float(number))
        else:
            batches.settle(connection, batch, all_gone(batch), now=float(number))
        number += 1
    assert statuses(connection) == {unwanted: "raw"}
    assert counts(connection) == {"raw": 1, "ready": 0, "exported": 4, "rejected": 0}
    assert len(sent) == len(set(sent))
    assert connection.execute("SELECT batch_id FROM question").fetchone()[0] is None


def test_only_what_is_left_of_a_refused_batch_is_taken_apart(connection: sqlite3.Connection) -> None:
    ids = add_ready(connection, 3)
    batch = taken_up(connection)
    batches.settle(connection, batch, Taken({0: "created", 1: "created"}, {}), now=2.0)
    settled = batches.take_apart(connection, batch, "422", ("l", "r"), now=3.0)
    assert settled.refused == (ids[2],)
    assert statuses(connection) == {ids[2]: "raw"}
    assert batches.backlog(connection).open_batches == 0


def test_a_batch_that_never_ends_lets_others_go_first(connection: sqlite3.Connection) -> None:
    add_ready(connection, 2)
    for _ in range(STUCK):
        batch = taken_up(connection, "stuck", size=2)
        batches.keep(connection, batch, "500")
    add_ready(connection, 2)
    fresh = taken_up(connection, "fresh", size=2)
    assert fresh.id == "fresh"
    batches.settle(connection, fresh, all_gone(fresh), now=2.0)
    assert taken_up(connection, "none").id == "stuck"
    assert take_up(connection, "none", 2, frozenset({"stuck"}), now=3.0) is None
    error = connection.execute("SELECT error FROM export_batch").fetchone()[0]
    assert error == "500"


def test_a_question_in_a_batch_stays_in_the_count_and_in_no_second_batch(connection: sqlite3.Connection) -> None:
    add_ready(connection, 5)
    first = taken_up(connection, "b1")
    other = take_up(connection, "b2", 3, frozenset({"b1"}), now=2.0)
    assert other is not None
    assert not {m.id for m in first.members} & {m.id for m in other.members}
    assert sending.ready_count(connection) == 5
    assert batches.backlog(connection) == Backlog(ready=0, open_batches=2)
