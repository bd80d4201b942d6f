"""What the exporter needs of the questions: how many are ready, the next ones, and the end of those that are sent.

A question in a batch keeps its status and its place in the count until the main server has acknowledged it (Q11). All
functions are to be called inside one write with what the exporter itself stores of the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vestnik.quiz.model import Question, QuestionId, Status, Timestamp
from vestnik.quiz.screening.rules import REFUSED_BY_SERVER
from vestnik.quiz.store import counts, rows
from vestnik.storage.database import Connection

_READY_COUNT = "SELECT count FROM question_count WHERE status = 'ready'"
_TAKE = "SELECT * FROM question WHERE status = 'ready' AND batch_id IS NULL ORDER BY id LIMIT ?"
_OF_BATCH = "SELECT * FROM question WHERE batch_id = ? ORDER BY id"
_ENTER = "UPDATE question SET batch_id = :batch WHERE id = :id AND status = 'ready' AND batch_id IS NULL"
_LEAVE = "UPDATE question SET batch_id = NULL WHERE batch_id = ?"
_REMEMBER = """
INSERT INTO past_question (hash_version, hash, source, exported_at, batch_id)
SELECT hash_version, hash, source, :now, batch_id FROM question WHERE id = :id AND batch_id = :batch
"""
_DELETE = "DELETE FROM question WHERE id = :id AND batch_id = :batch"
_TO_RAW = "UPDATE question SET status = 'raw', batch_id = NULL WHERE id = :id AND batch_id = :batch"
_FORGIVE = "DELETE FROM question_reason WHERE question_id = :id AND code = :code"
_TO_READY = """
UPDATE question SET status = 'ready'
WHERE id = :id AND status = 'raw' AND NOT EXISTS (SELECT 1 FROM question_reason WHERE question_id = :id)
"""
_REASON = "INSERT OR REPLACE INTO question_reason (question_id, code, detail) VALUES (?, ?, ?)"


def ready_count(connection: Connection) -> int:
    """Ready questions, those in a batch that is not acknowledged included. Reads one row."""
    return int(connection.execute(_READY_COUNT).fetchone()[0])


def take_ready(connection: Connection, n: int) -> list[Question]:
    """The `n` oldest that are in no batch. Changes nothing: `enter_batch` does."""
    return rows.questions(connection, connection.execute(_TAKE, (n,)).fetchall())


def enter_batch(connection: Connection, ids: Sequence[QuestionId], batch_id: str) -> None:
    """From here on the questions cannot be edited."""
    connection.executemany(_ENTER, [{"id": id_, "batch": batch_id} for id_ in ids])


def of_batch(connection: Connection, batch_id: str) -> list[Question]:
    """In the order in which `take_ready` gave them."""
    return rows.questions(connection, connection.execute(_OF_BATCH, (batch_id,)).fetchall())


def leave_batch(connection: Connection, batch_id: str) -> int:
    """What is left in a batch is ready for another one again; returns how many. Only for what cannot have arrived."""
    return connection.execute(_LEAVE, (batch_id,)).rowcount


def mark_exported(connection: Connection, ids: Sequence[QuestionId], batch_id: str, now: Timestamp) -> int:
    """Forget all but the hash of what was acknowledged; returns how many.

    An id that is not in the batch (any more) is left alone, so marking twice is harmless.
    """
    done = 0
    for id_ in ids:
        values = {"id": id_, "batch": batch_id, "now": now}
        if connection.execute(_REMEMBER, values).rowcount:
            done += connection.execute(_DELETE, {"id": id_, "batch": batch_id}).rowcount
    counts.moved(connection, Status.READY, "exported", done)
    return done


def mark_refused(connection: Connection, errors: Mapping[QuestionId, str], batch_id: str) -> list[QuestionId]:
    """What the main server called invalid goes back to the moderators, with what it said; returns which."""
    done = []
    for id_, error in errors.items():
        if connection.execute(_TO_RAW, {"id": id_, "batch": batch_id}).rowcount:
            connection.execute(_REASON, (id_, REFUSED_BY_SERVER.code, error))
            done.append(id_)
    counts.moved(connection, Status.READY, Status.RAW, len(done))
    return done


def take_back_refusals(connection: Connection, ids: Iterable[QuestionId]) -> int:
    """What was marked as refused is ready again; returns how many.

    Left alone is what a moderator has dealt with meanwhile, and what has become raw for another reason as well.
    """
    done = 0
    for id_ in ids:
        if connection.execute(_FORGIVE, {"id": id_, "code": REFUSED_BY_SERVER.code}).rowcount:
            done += connection.execute(_TO_READY, {"id": id_}).rowcount
    counts.moved(connection, Status.RAW, Status.READY, done)
    return done
