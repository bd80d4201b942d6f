"""Ready questions in a database, for the tests of the exporter."""

from __future__ import annotations

import itertools
import sqlite3

from vestnik.quiz.model import Content, QuestionId, QuestionType, Source
from vestnik.quiz.store import counts as question_counts
from vestnik.quiz.store import intake

_numbers = itertools.count(1)


def add_ready(connection: sqlite3.Connection, count: int, *, text: str = "How many is {}?") -> list[QuestionId]:
    new = [_question(next(_numbers), text) for _ in range(count)]
    stored = intake.store(connection, new)
    assert all(isinstance(outcome, intake.Stored) and not outcome.reasons for outcome in stored), stored
    return [question.id for question in new]


def _question(number: int, text: str) -> intake.NewQuestion:
    # An answer of its own keeps it from being a near duplicate.
    content = Content(
        text=text.format(number), type=QuestionType.MULTIPLE, correct=(str(number),), incorrect=("a", "b", "c")
    )
    id_ = QuestionId(f"00000000-0000-7000-8000-{number:012x}")
    return intake.NewQuestion.of(id_, content, (), Source(name="test", fetched_at=1.0), None)


def statuses(connection: sqlite3.Connection) -> dict[str, str]:
    """Of the questions that are still there."""
    return dict(connection.execute("SELECT id, status FROM question").fetchall())


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    return question_counts.all_counts(connection)
