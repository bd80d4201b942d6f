"""A question as a row and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from vestnik.quiz.model import (
    Content,
    Difficulty,
    Licence,
    Media,
    Question,
    QuestionId,
    QuestionType,
    Reason,
    Source,
    Status,
)
from vestnik.storage.database import Connection

_REASONS = "SELECT code, detail FROM question_reason WHERE question_id = ? ORDER BY code"


def questions(connection: Connection, rows: Iterable[sqlite3.Row]) -> list[Question]:
    """Of rows with all columns of `question`."""
    return [_question(row, _reasons(connection, row)) for row in rows]


def _reasons(connection: Connection, row: sqlite3.Row) -> tuple[Reason, ...]:
    if row["status"] != Status.RAW:
        return ()
    return tuple(Reason(reason["code"], reason["detail"]) for reason in connection.execute(_REASONS, (row["id"],)))


def _question(row: sqlite3.Row, reasons: tuple[Reason, ...]) -> Question:
    return Question(
        id=QuestionId(row["id"]),
        hash=row["hash"].hex(),
        hash_version=row["hash_version"],
        status=Status(row["status"]),
        reasons=reasons,
        content=content(row),
        source=_source(row),
        licence=Licence(spdx=row["licence"], attribution=row["attribution"]) if row["licence"] else None,
        batch_id=row["batch_id"],
    )


def content(row: sqlite3.Row) -> Content:
    return Content(
        text=row["text"],
        type=QuestionType(row["type"]),
        correct=tuple(json.loads(row["correct"])),
        incorrect=tuple(json.loads(row["incorrect"])),
        accepted=tuple(json.loads(row["accepted"])),
        language=row["language"],
        category=row["category"],
        difficulty=Difficulty(row["difficulty"]) if row["difficulty"] else None,
        explanation=row["explanation"],
        tags=tuple(json.loads(row["tags"])),
        media=tuple(Media(**media) for media in json.loads(row["media"])),
    )


def _source(row: sqlite3.Row) -> Source:
    return Source(
        name=row["source"],
        url=row["source_url"],
        external_id=row["external_id"],
        author=row["author"],
        references=tuple(json.loads(row["source_references"])),
        fetched_at=row["fetched_at"],
    )


def content_values(content: Content) -> dict[str, Any]:
    """The columns that hold a question's content."""
    return {
        "text": content.text,
        "type": content.type.value,
        "correct": listed(content.correct),
        "incorrect": listed(content.incorrect),
        "accepted": listed(content.accepted),
        "language": content.language,
        "category": content.category,
        "difficulty": content.difficulty and content.difficulty.value,
        "explanation": content.explanation,
        "tags": listed(content.tags),
        "media": listed([asdict(media) for media in content.media]),
    }


def listed(values: Sequence[Any]) -> str:
    return json.dumps(values, ensure_ascii=False) if values else "[]"
