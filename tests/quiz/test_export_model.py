"""Any order of answers, losses and crashes: nothing is lost, nothing comes twice, the counter is right (Q9-Q11).

The server of this model knows batches by their key alone, so a second copy under another key would show.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections import Counter
from enum import Enum, auto
from typing import Any

from exports import add_ready, counts
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.quiz.export import batches
from vestnik.quiz.export.answers import Taken
from vestnik.quiz.export.batches import Batch
from vestnik.storage.migrations.upgrade import upgrade


class End(Enum):
    """How one try of a batch goes."""

    LOST_BEFORE = auto()  # the request never arrived, or the daemon died before it
    LOST_AFTER = auto()  # stored, and the answer lost, or the daemon died before it was written down
    YES = auto()
    SOME_INVALID = auto()
    SOME_SILENT = auto()
    REFUSED = auto()  # as a whole


class Server:
    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.stored: Counter[str] = Counter()
        self.answers: dict[str, Taken] = {}

    def post(self, batch: Batch, unwanted: frozenset[int]) -> Taken:
        """The first answer under a key is every answer under it."""
        assert self.bodies.setdefault(batch.id, batch.body) == batch.body
        if batch.id not in self.answers:
            hashes = [question["hash"] for question in json.loads(batch.body)["questions"]]
            gone = {n: "created" for n in range(len(hashes)) if n not in unwanted}
            self.answers[batch.id] = Taken(gone, {n: "invalid" for n in range(len(hashes)) if n in unwanted})
            self.stored.update(hashes[n] for n in gone)
        return self.answers[batch.id]


def database() -> sqlite3.Connection:
    found = sqlite3.connect(":memory:", isolation_level=None)
    found.row_factory = sqlite3.Row
    upgrade(found)
    return found


EMPTY = database()


@given(
    st.lists(st.tuples(st.sampled_from(End), st.frozensets(st.integers(0, 4))), max_size=30),
    st.integers(1, 5),
    st.integers(0, 25),
)
@settings(deadline=None)
def test_nothing_is_lost_and_nothing_comes_twice(tries: list[tuple[End, frozenset[int]]], size: int, more: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    EMPTY.backup(connection)
    connection.row_factory = sqlite3.Row
    server, ids = Server(), (f"key-{n}" for n in itertools.count())
    add_ready(connection, more)
    everything = {row["hash"].hex() for row in connection.execute("SELECT hash FROM question")}
    for now, (end, some) in enumerate(tries):
        batch = batches.take_up(connection, next(ids), size, frozenset(), float(now))
        if batch is None:
            break
        carry_out(connection, server, batch, end, some, (next(ids), next(ids)))
        check(connection, server, everything)


def carry_out(
    connection: sqlite3.Connection,
    server: Server,
    batch: Batch,
    end: End,
    some: frozenset[int],
    new_ids: tuple[str, str],
) -> None:
    if end is End.LOST_BEFORE:
        return
    if end is End.REFUSED and batch.id not in server.answers:
        batches.take_apart(connection, batch, "422", new_ids, 1.0)
        return
    answer = server.post(batch, some if end is End.SOME_INVALID else frozenset())
    if end is End.SOME_SILENT:
        answer = Taken({n: word for n, word in answer.gone.items() if n not in some}, answer.invalid)
    if end is not End.LOST_AFTER:
        batches.settle(connection, batch, answer, 1.0)


def check(connection: sqlite3.Connection, server: Server, everything: set[str]) -> None:
    here = hashes(connection, "SELECT hash FROM question")
    gone = hashes(connection, "SELECT hash FROM past_question")
    assert here | gone == everything
    assert not here & gone
    assert gone <= set(server.stored)
    assert all(count == 1 for count in server.stored.values())
    ready = connection.execute("SELECT count(*) FROM question WHERE status = 'ready'").fetchone()[0]
    assert counts(connection) == {"ready": ready, "raw": len(here) - ready, "exported": len(gone), "rejected": 0}
    in_batches = {row[0] for row in connection.execute("SELECT DISTINCT batch_id FROM question") if row[0]}
    assert in_batches == {row[0] for row in connection.execute("SELECT id FROM export_batch")}


def hashes(connection: sqlite3.Connection, query: str) -> set[str]:
    rows: list[Any] = connection.execute(query).fetchall()
    return {row["hash"].hex() for row in rows}
