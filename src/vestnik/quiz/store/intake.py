"""Storing what screening let through, unless its text is known. Looked up and stored in one transaction (Q9).

The caller gives ids and hashes: these functions may run more than once for one write, and must say the same each time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vestnik.quiz.model import Content, Licence, QuestionId, Reason, Source, Status
from vestnik.quiz.screening import near, rules
from vestnik.quiz.screening.near import NearKey, near_key
from vestnik.quiz.store import counts, rows
from vestnik.quiz.text_hash import CURRENT, all_hashes
from vestnik.storage.database import Connection

_COMPARED = 32  # questions of at least, and as many of less than the new one's length


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuestion:
    """Screened, and worked out as far as it can be without the others. `hashes` are by version."""

    id: QuestionId
    content: Content
    reasons: tuple[Reason, ...]
    source: Source
    licence: Licence | None
    hashes: Mapping[int, bytes]
    near_key: NearKey
    off: frozenset[rules.Rule] = frozenset()  # of those that need the others

    @classmethod
    def of(
        cls,
        id_: QuestionId,
        content: Content,
        reasons: tuple[Reason, ...],
        source: Source,
        licence: Licence | None,
        off: frozenset[rules.Rule] = frozenset(),
    ) -> NewQuestion:
        return cls(
            id=id_,
            content=content,
            reasons=reasons,
            source=source,
            licence=licence,
            hashes=all_hashes(content.text),
            near_key=near_key(content),
            off=off,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    reasons: tuple[Reason, ...]  # with what the others gave cause for

    @property
    def status(self) -> Status:
        return Status.RAW if self.reasons else Status.READY


@dataclass(frozen=True, slots=True)
class Known:
    """The text is kept, or was sent or rejected. `demoted`: its answer differs, so the one that is kept became raw."""

    demoted: bool = False


@dataclass(slots=True)
class Counted:
    """Changes to the counts, written once for a whole slice."""

    by_status: dict[str, int] = field(default_factory=dict)

    def add(self, status: str, by: int) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + by


_INSERT = """
INSERT INTO question (
  id, hash_version, hash, status, text, type, correct, incorrect, accepted, language, category, difficulty, explanation,
  tags, media, source, source_url, external_id, author, source_references, licence, attribution, fetched_at, near_key,
  near_length)
VALUES (
  :id, :hash_version, :hash, :status, :text, :type, :correct, :incorrect, :accepted, :language, :category, :difficulty,
  :explanation, :tags, :media, :source, :source_url, :external_id, :author, :source_references, :licence, :attribution,
  :fetched_at, :near_key, :near_length)
"""
_INSERT_REASON = "INSERT OR IGNORE INTO question_reason (question_id, code, detail) VALUES (?, ?, ?)"


def store(connection: Connection, new: Sequence[NewQuestion]) -> list[Stored | Known]:
    """What became of each, in their order."""
    counted = Counted()
    outcomes = [_store(connection, question, counted) for question in new]
    for status, by in counted.by_status.items():
        counts.add(connection, status, by)
    return outcomes


def _store(connection: Connection, new: NewQuestion, counted: Counted) -> Stored | Known:
    if is_past(connection, new.hashes):
        return Known()
    kept = find_kept(connection, new.hashes)
    if kept is not None:
        return Known(demoted=_demote_if_conflicting(connection, kept, new, counted))
    stored = Stored(new.reasons + near_reasons(connection, new))
    _insert(connection, new, stored)
    counted.add(stored.status, 1)
    return stored


def _insert(connection: Connection, new: NewQuestion, stored: Stored) -> None:
    source, licence = new.source, new.licence
    values = {
        "id": new.id,
        "hash_version": CURRENT,
        "hash": new.hashes[CURRENT],
        "status": stored.status.value,
        **rows.content_values(new.content),
        "source": source.name,
        "source_url": source.url,
        "external_id": source.external_id,
        "author": source.author,
        "source_references": rows.listed(source.references),
        "licence": licence and licence.spdx,
        "attribution": licence and licence.attribution,
        "fetched_at": source.fetched_at,
        "near_key": new.near_key.key,
        "near_length": new.near_key.length,
    }
    connection.execute(_INSERT, values)
    add_reasons(connection, new.id, stored.reasons)


def add_reasons(connection: Connection, question_id: str, reasons: Sequence[Reason]) -> None:
    connection.executemany(_INSERT_REASON, [(question_id, reason.code, reason.detail) for reason in reasons])


_PAST = "SELECT 1 FROM past_question WHERE hash_version = ? AND hash = ?"
_KEPT = "SELECT * FROM question WHERE hash_version = ? AND hash = ?"


def is_past(connection: Connection, hashes: Mapping[int, bytes]) -> bool:
    """Whether the text was sent or rejected, under any version that its hash was taken in."""
    return any(connection.execute(_PAST, key).fetchone() for key in hashes.items())


def find_kept(connection: Connection, hashes: Mapping[int, bytes]) -> sqlite3.Row | None:
    """The question with the same text, which may have been hashed by an older version."""
    found = (connection.execute(_KEPT, key).fetchone() for key in hashes.items())
    return next((row for row in found if row is not None), None)


_DEMOTE = "UPDATE question SET status = 'raw' WHERE id = ? AND status = 'ready'"


def _demote_if_conflicting(connection: Connection, kept: sqlite3.Row, new: NewQuestion, counted: Counted) -> bool:
    """One text, two answers: somebody has to look, unless somebody has, or it is on its way out."""
    if kept["moderated"] or kept["batch_id"] or rules.OTHER_ANSWER in new.off:
        return False
    if not near.answers_conflict(rows.content(kept), new.content):
        return False
    if connection.execute(_DEMOTE, (kept["id"],)).rowcount:
        counted.add(Status.READY, -1)
        counted.add(Status.RAW, 1)
    detail = f"{' / '.join(new.content.correct)[:80]} ({new.source.name})"
    add_reasons(connection, kept["id"], [Reason(rules.OTHER_ANSWER.code, detail)])
    return True


_NOT_SHORTER = """
SELECT id, text FROM question
WHERE near_key = :key AND near_length >= :length AND near_length <= :longest AND id <> :id
ORDER BY near_length LIMIT :limit
"""
_SHORTER = """
SELECT id, text FROM question
WHERE near_key = :key AND near_length < :length AND near_length >= :shortest AND id <> :id
ORDER BY near_length DESC LIMIT :limit
"""


def near_reasons(connection: Connection, new: NewQuestion) -> tuple[Reason, ...]:
    """Looks at the few that are closest in length, so it costs the same however many share the answer."""
    if rules.NEAR_DUPLICATE in new.off:
        return ()
    shortest, longest = new.near_key.lengths
    values = {
        "key": new.near_key.key,
        "length": new.near_key.length,
        "shortest": shortest,
        "longest": longest,
        "id": new.id,
        "limit": _COMPARED,
    }
    for statement in (_NOT_SHORTER, _SHORTER):
        for row in connection.execute(statement, values):
            if near.alike(row["text"], new.content.text):
                return (Reason(rules.NEAR_DUPLICATE.code, row["id"]),)
    return ()
