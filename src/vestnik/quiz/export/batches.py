"""The batches that are open: composed and stored before they are sent, and the same bytes at every try (Q11).

Each function is one short transaction's work. A question's way out of a batch is `store.sending`'s.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence, Set
from dataclasses import dataclass

from vestnik.quiz.export.answers import Taken
from vestnik.quiz.export.pace import Backlog
from vestnik.quiz.model import Question, QuestionId, Timestamp, canonical
from vestnik.quiz.store import sending
from vestnik.storage.database import Connection

#: Tries after which other batches go before this one: it may be what the main server stumbles over.
STUCK = 5

_WAITING = "SELECT * FROM export_batch WHERE (sends >= :stuck) = :is_stuck ORDER BY created_at, id"
_ADD = "INSERT INTO export_batch (id, body, members, created_at) VALUES (:id, :body, :members, :created_at)"
_COUNT_SEND = "UPDATE export_batch SET sends = sends + 1 WHERE id = ?"
_KEEP = "UPDATE export_batch SET error = :error WHERE id = :id"
_IN_BATCHES = """
SELECT (SELECT count(*) FROM question WHERE batch_id IS NOT NULL), (SELECT count(*) FROM export_batch)
"""
_CLOSE = "DELETE FROM export_batch WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Member:
    id: QuestionId
    hash: str


@dataclass(frozen=True, slots=True)
class Batch:
    """`sends` counts the one that is about to begin."""

    id: str
    body: bytes
    members: tuple[Member, ...]
    sends: int


@dataclass(frozen=True, slots=True)
class Settled:
    """How many questions are gone, which went back to the moderators, and how many are in the batch still."""

    gone: int
    refused: tuple[QuestionId, ...]
    left: int


def take_up(connection: Connection, new_id: str, size: int, aside: Set[str], now: Timestamp) -> Batch | None:
    """The batch to send next, its try counted already; None when there is nothing to send.

    One that is open comes first, then a new one under `new_id` of up to `size` ready questions, then one that is
    stuck. Those in `aside` are left out.
    """
    found = (
        _waiting(connection, aside, stuck=False)
        or _compose(connection, new_id, sending.take_ready(connection, size), now)
        or _waiting(connection, aside, stuck=True)
    )
    if found is None:
        return None
    connection.execute(_COUNT_SEND, (found.id,))
    return Batch(found.id, found.body, found.members, found.sends + 1)


def _waiting(connection: Connection, aside: Set[str], *, stuck: bool) -> Batch | None:
    for row in connection.execute(_WAITING, {"stuck": STUCK, "is_stuck": stuck}):
        if row["id"] not in aside:
            return _batch(row)
    return None


def _batch(row: sqlite3.Row) -> Batch:
    members = tuple(Member(QuestionId(id_), text_hash) for id_, text_hash in json.loads(row["members"]))
    return Batch(row["id"], row["body"], members, row["sends"])


def _compose(connection: Connection, batch_id: str, questions: Sequence[Question], now: Timestamp) -> Batch | None:
    if not questions:
        return None
    body = {"batch_id": batch_id, "questions": [canonical(question) for question in questions]}
    batch = Batch(
        batch_id,
        json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        tuple(Member(question.id, question.hash) for question in questions),
        sends=0,
    )
    members = json.dumps([[member.id, member.hash] for member in batch.members])
    connection.execute(_ADD, {"id": batch_id, "body": batch.body, "members": members, "created_at": now})
    sending.enter_batch(connection, [question.id for question in questions], batch_id)
    return batch


def settle(connection: Connection, batch: Batch, taken: Taken, now: Timestamp) -> Settled:
    """Forget what is gone, hand back what is invalid; close the batch when nothing in it is open any more (Q11)."""
    gone = sending.mark_exported(connection, [batch.members[n].id for n in taken.gone], batch.id, now)
    errors = {batch.members[n].id: error for n, error in taken.invalid.items()}
    refused = sending.mark_refused(connection, errors, batch.id)
    left = len(sending.of_batch(connection, batch.id))
    if not left:
        connection.execute(_CLOSE, (batch.id,))
    return Settled(gone, tuple(refused), left)


def keep(connection: Connection, batch: Batch, error: str) -> None:
    """It is to be sent again as it is."""
    connection.execute(_KEEP, {"id": batch.id, "error": error})


def take_apart(connection: Connection, batch: Batch, reason: str, new_ids: tuple[str, str], now: Timestamp) -> Settled:
    """What was refused as a whole goes on as two halves under keys of their own, until the one question that is not
    wanted is alone: that one goes back to the moderators.
    """
    questions = sending.of_batch(connection, batch.id)
    refused: list[QuestionId] = []
    if len(questions) == 1:
        refused = sending.mark_refused(connection, {questions[0].id: reason}, batch.id)
    sending.leave_batch(connection, batch.id)
    connection.execute(_CLOSE, (batch.id,))
    middle = (len(questions) + 1) // 2
    for new_id, half in zip(new_ids, (questions[:middle], questions[middle:]), strict=True):
        if not refused:
            _compose(connection, new_id, half, now)
    return Settled(0, tuple(refused), 0)


def backlog(connection: Connection) -> Backlog:
    """Reads as many index entries as questions are in open batches."""
    in_batches, open_batches = connection.execute(_IN_BATCHES).fetchone()
    return Backlog(sending.ready_count(connection) - in_batches, open_batches)
