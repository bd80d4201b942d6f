"""Questions in a database, for the tests of what is done with them."""

from __future__ import annotations

import itertools
import sqlite3
from typing import Any

from vestnik.quiz.intake import Intake, TakeReport
from vestnik.quiz.model import Candidate, Origin, Question
from vestnik.quiz.store import counts, moderation
from vestnik.quiz.store.moderation import Filter
from vestnik.storage.database import Connection, Database

ORIGIN = Origin(name="first", url="https://first.test/", licence="CC-BY-SA-4.0", attribution="First", language="en")
OTHER = Origin(name="other", language="en")

_numbers = itertools.count(1)


def candidate(text: str | None = None, **parts: Any) -> Candidate:
    """A good one, with a text and an answer of its own unless they are given."""
    number = next(_numbers)
    values: dict[str, Any] = {"correct": (f"Answer {number}",), "incorrect": ("Rhine", "Elbe", "Oder"), **parts}
    return Candidate(text=text or f"What is the river number {number} called?", **values)


async def take(database: Database, *candidates: Candidate, origin: Origin = ORIGIN) -> TakeReport:
    return await Intake(database).take(origin, candidates)


async def questions(database: Database, wanted: Filter | None = None) -> list[Question]:
    return (await database.read(lambda c: moderation.page(c, wanted or Filter(), "", 200))).questions


async def taken(database: Database, *candidates: Candidate, origin: Origin = ORIGIN) -> list[Question]:
    """The questions that candidates became, in their order."""
    before = {question.id for question in await questions(database)}
    await take(database, *candidates, origin=origin)
    return [question for question in await questions(database) if question.id not in before]


async def past(database: Database) -> list[sqlite3.Row]:
    return await database.read(lambda c: c.execute("SELECT * FROM past_question").fetchall())


def counts_agree(connection: Connection) -> bool:
    """Whether the kept counts are what counting the rows gives."""
    real = dict.fromkeys(("raw", "ready", "exported", "rejected"), 0)
    real.update(connection.execute("SELECT status, count(*) FROM question GROUP BY 1").fetchall())
    [(real["exported"], real["rejected"])] = [
        tuple(row) for row in connection.execute("SELECT count(exported_at), count(rejected_at) FROM past_question")
    ]
    return counts.all_counts(connection) == real
