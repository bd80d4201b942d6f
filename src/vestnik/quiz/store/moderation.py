"""Looking questions up, and what moderators decide of them (Q13)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import Enum, auto

from vestnik.quiz.model import Question, QuestionId, Reason, Status, Timestamp
from vestnik.quiz.store import counts, rows
from vestnik.quiz.store.intake import NewQuestion, add_reasons
from vestnik.quiz.text_hash import CURRENT
from vestnik.storage.database import Connection

PAGE = 200
_EXAMINED = 2_000  # questions looked at for one page at most: a rare source must not turn into a scan of everything


@dataclass(frozen=True, slots=True)
class Filter:
    """None is for all. `reason` is a rule's code."""

    status: Status | None = None
    source: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Oldest first. `next` goes back as `after`; None when there is no more."""

    questions: list[Question]
    next: QuestionId | None


_ALL = "SELECT * FROM question WHERE id > :after ORDER BY id LIMIT :limit"
_BY_STATUS = "SELECT * FROM question WHERE status = :status AND id > :after ORDER BY id LIMIT :limit"
_BY_BOTH = """
SELECT * FROM question WHERE source = :source AND status = :status AND id > :after ORDER BY id LIMIT :limit
"""
# One index serves both halves in the order of ids; asked for at once they would have to be sorted as a whole.
_BY_SOURCE = """
SELECT * FROM (
  SELECT * FROM question WHERE source = :source AND status = 'raw' AND id > :after ORDER BY id LIMIT :limit)
UNION ALL
SELECT * FROM (
  SELECT * FROM question WHERE source = :source AND status = 'ready' AND id > :after ORDER BY id LIMIT :limit)
ORDER BY id LIMIT :limit
"""
_BY_REASON = """
SELECT question.* FROM question_reason JOIN question ON question.id = question_reason.question_id
WHERE code = :reason AND question_id > :after ORDER BY question_id LIMIT :limit
"""


def _statement(wanted: Filter) -> str:
    if wanted.reason:
        return _BY_REASON
    if wanted.source:
        return _BY_BOTH if wanted.status else _BY_SOURCE
    return _BY_STATUS if wanted.status else _ALL


def page(connection: Connection, wanted: Filter, after: str, limit: int) -> Page:
    """Up to `limit` questions after the one with the id `after` ("" for the first page).

    A page can be short and still have a `next`: of those with a reason, so many are looked at for the source.
    """
    examined = _EXAMINED if wanted.reason and wanted.source else limit
    values = {
        "status": wanted.status and wanted.status.value,
        "source": wanted.source,
        "reason": wanted.reason,
        "after": after,
        "limit": examined + 1,
    }
    rows_ = connection.execute(_statement(wanted), values).fetchall()
    fitting = [row for row in rows_[:examined] if _fits(row, wanted)]
    last = rows_[examined - 1] if len(rows_) > examined else None
    if len(fitting) > limit:
        last = fitting[limit - 1]
    return Page(rows.questions(connection, fitting[:limit]), QuestionId(last["id"]) if last else None)


def _fits(row: sqlite3.Row, wanted: Filter) -> bool:
    return wanted.source in (None, row["source"]) and wanted.status in (None, row["status"])


_FIND = "SELECT * FROM question WHERE id = ?"


def find(connection: Connection, question_id: str) -> Question | None:
    row = _row(connection, question_id)
    return None if row is None else rows.questions(connection, [row])[0]


def _row(connection: Connection, question_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(_FIND, (question_id,)).fetchone()
    return row


class Decided(Enum):
    DONE = auto()
    MISSING = auto()  # sent or rejected by now, or it never was
    ON_ITS_WAY = auto()  # in a batch: too late


_APPROVE = "UPDATE question SET status = 'ready', moderated = 1 WHERE id = ?"
_NO_REASONS = "DELETE FROM question_reason WHERE question_id = ?"


def approve(connection: Connection, question_id: str) -> Decided:
    """Ready, whatever the reasons were. Approving again changes nothing."""
    row = _row(connection, question_id)
    if row is None:
        return Decided.MISSING
    if row["batch_id"] is None:
        connection.execute(_APPROVE, (question_id,))
        connection.execute(_NO_REASONS, (question_id,))
        counts.moved(connection, row["status"], Status.READY)
    return Decided.DONE


_REMEMBER = """
INSERT INTO past_question (hash_version, hash, source, rejected_at)
SELECT hash_version, hash, source, :now FROM question WHERE id = :id
"""
_DELETE = "DELETE FROM question WHERE id = ?"


def reject(connection: Connection, question_id: str, now: Timestamp) -> Decided:
    """Forget all but the hash, so that it never comes again."""
    row = _row(connection, question_id)
    if row is None:
        return Decided.MISSING
    if row["batch_id"] is not None:
        return Decided.ON_ITS_WAY
    connection.execute(_REMEMBER, {"id": question_id, "now": now})
    connection.execute(_DELETE, (question_id,))
    counts.moved(connection, row["status"], "rejected")
    return Decided.DONE


_REPLACE = """
UPDATE question SET
  hash_version = :hash_version, hash = :hash, status = :status, text = :text, type = :type, correct = :correct,
  incorrect = :incorrect, accepted = :accepted, language = :language, category = :category, difficulty = :difficulty,
  explanation = :explanation, tags = :tags, media = :media, near_key = :near_key, near_length = :near_length
WHERE id = :id
"""


def replace(connection: Connection, old: Question, new: NewQuestion, reasons: tuple[Reason, ...]) -> Question:
    """Give a question other content. Raw stays raw until it is approved; ready becomes raw when there are reasons."""
    status = Status.RAW if reasons else old.status
    values = {
        "id": old.id,
        "hash_version": CURRENT,
        "hash": new.hashes[CURRENT],
        "status": status.value,
        **rows.content_values(new.content),
        "near_key": new.near_key.key,
        "near_length": new.near_key.length,
    }
    connection.execute(_REPLACE, values)
    connection.execute(_NO_REASONS, (old.id,))
    add_reasons(connection, old.id, reasons)
    counts.moved(connection, old.status, status)
    return rows.questions(connection, connection.execute(_FIND, (old.id,)))[0]
