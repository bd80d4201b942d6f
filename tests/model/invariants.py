"""What holds at every moment, by number, and how the rows of a store are held against the books.

I12 is about replayed batches of questions, which are no part of delivery.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from truth import MAILING_IN_MEMORY, Books, MessageTruth, TaskTruth

from vestnik.delivery.model import ENDED, MAX_AMBIGUOUS, MAX_CRASHES, WAITING, TaskState
from vestnik.storage.database import Connection


class Invariant(Enum):
    I1 = "a message that was accepted is in the store until its time to leave has come"
    I2 = "what is called delivered was confirmed by the far side"
    I3 = "what has ended stays as it ended"
    I4 = "a task is claimed once at a time, and its holder can end it"
    I5 = "nothing goes before it is due, and no due time moves back"
    I6 = "no attempt begins at or after the expiry"
    I7 = "nothing stays with an owner that is gone"
    I8 = "who lost a claim changes nothing"
    I9 = "housekeeping never takes what is running"
    I10 = "every attempt counts from its claim, and there are never more than the policy allows"
    I11 = f"every crash counts, and no task survives {MAX_CRASHES} of them"
    I13 = "who may have got a second copy is marked"
    I14 = "what may have been sent never says that it was not"
    I15 = "there are no more copies than one and the ends nobody saw"
    I16 = "a task has an owner exactly while it is running"
    I17 = "the same idempotency key and content mean the same message"
    I18 = "an id is never given out twice"
    CLAIMS = "what is due is handed out, all of it, in its order"
    COUNTS = "the kept counts are what counting the rows gives"
    FORGOTTEN = "what ended long ago leaves, with all that belongs to it"
    HELD = "a held channel hands nothing out"
    JOURNAL = "every attempt that ended is in the journal once, with its outcome"
    STATES = "tasks move as docs/states.md says"


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: Invariant, detail: str) -> None:
        super().__init__(f"{invariant.name} ({invariant.value}) is broken: {detail}")
        self.invariant = invariant


def must(holds: bool, invariant: Invariant, detail: object = "") -> None:
    if not holds:
        raise Broken(invariant, str(detail))


@dataclass(frozen=True, slots=True)
class Rows:
    """Everything that a store keeps about its messages."""

    messages: Mapping[int, sqlite3.Row]
    tasks: Mapping[int, sqlite3.Row]
    journal: Mapping[int, list[tuple[int, str]]]
    counts: Mapping[tuple[str, str], int]
    mailings: Mapping[tuple[int, str], int]

    def __or__(self, other: Rows) -> Rows:
        return Rows(
            {**self.messages, **other.messages},
            {**self.tasks, **other.tasks},
            {**self.journal, **other.journal},
            {**self.counts, **other.counts},
            {**self.mailings, **other.mailings},
        )


def read_rows(connection: Connection) -> Rows:
    journal: dict[int, list[tuple[int, str]]] = {}
    for task_id, epoch, outcome in connection.execute("SELECT task_id, epoch, outcome FROM attempt ORDER BY 1, 2"):
        journal.setdefault(task_id, []).append((epoch, outcome))
    return Rows(
        {row["id"]: row for row in connection.execute("SELECT * FROM message")},
        {row["id"]: row for row in connection.execute("SELECT * FROM task")},
        journal,
        {(row[0], row[1]): row[2] for row in connection.execute("SELECT channel, state, count FROM task_count")},
        {(row[0], row[1]): row[2] for row in connection.execute("SELECT mailing_id, state, count FROM mailing_count")},
    )


class Audit:
    """Holds the rows against the books after each step; remembers how everything ended."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._ends: dict[int, tuple[object, ...]] = {}
        self._left: Counter[tuple[int, str]] = Counter()  # tasks of mailings whose rows are gone

    def left(self, rows: Rows, messages: Collection[int]) -> None:
        """These messages were among the rows, and are forgotten."""
        self._left += _of_mailings(row for row in rows.tasks.values() if row["message_id"] in messages)

    def memory_lost(self) -> None:
        self._left = Counter({key: count for key, count in self._left.items() if key[0] != MAILING_IN_MEMORY})

    def check(self, rows: Rows, owner: str) -> None:
        """`owner` is who claims now."""
        for message in self._books.messages.values():
            _check_message(message, rows)
        for task in self._books.tasks.values():
            row = rows.tasks[task.id]
            self._check_end(row)
            _check_claim(task, row, owner)
            _check_marks(task, row)
            _check_numbers(task, row)
            _check_state(task, row)
        self._check_nothing_else(rows)
        _check_counts(rows)
        mailings = {key: count for key, count in rows.mailings.items() if count}
        real = _of_mailings(rows.tasks.values()) + self._left
        must(mailings == real, Invariant.COUNTS, f"mailings have {mailings}, not {real}")

    def _check_end(self, row: sqlite3.Row) -> None:
        if row["id"] in self._ends:
            must(tuple(row) == self._ends[row["id"]], Invariant.I3, f"{self._ends[row['id']]} became {tuple(row)}")
        elif row["state"] in ENDED:
            self._ends[row["id"]] = tuple(row)

    def _check_nothing_else(self, rows: Rows) -> None:
        strangers = (rows.messages.keys() - self._books.messages.keys()) | (
            rows.tasks.keys() - self._books.tasks.keys()
        )
        must(not strangers, Invariant.I15, f"nobody accepted {strangers}")
        journal = {task.id: task.journal for task in self._books.tasks.values() if task.journal}
        must(rows.journal == journal, Invariant.JOURNAL, f"{rows.journal}, not {journal}")


def _check_message(message: MessageTruth, rows: Rows) -> None:
    must(message.id in rows.messages, Invariant.I1, f"message {message.id} is gone")
    row, send = rows.messages[message.id], message.send
    kept = (row["channel"], row["text"], row["subject"], row["sender"], row["parent_id"])
    given = (send.channel, send.text, send.subject, send.sender, message.parent_id)
    must(kept == given, Invariant.I1, f"kept is {kept}, not {given}")
    times = (row["created_at"], row["due_at"], row["expires_at"])
    due = (message.created_at, message.due_at, message.expires_at)
    must(times == due, Invariant.I1, f"its times are {times}, not {due}")
    for task in message.tasks:
        must(task.id in rows.tasks, Invariant.I1, f"task {task.id} of message {message.id} is gone")
        kept_task = tuple(rows.tasks[task.id][name] for name in ("message_id", "channel", "recipient", "priority"))
        given_task = (task.message_id, task.channel, task.recipient, task.priority)
        must(kept_task == given_task, Invariant.I1, f"kept is {kept_task}, not {given_task}")


def _check_claim(task: TaskTruth, row: sqlite3.Row, owner: str) -> None:
    running = row["state"] == TaskState.RUNNING
    must(running == (row["owner"] is not None), Invariant.I16, tuple(row))
    must(not running or row["owner"] == owner, Invariant.I7, f"{tuple(row)}, and {owner} claims now")
    must(running or task.state is not TaskState.RUNNING, Invariant.I9, f"{task} became {row['state']}")
    must(not running or task.state is TaskState.RUNNING, Invariant.I4, f"nobody claimed {tuple(row)}")
    must(row["epoch"] == task.epoch, Invariant.I8, f"epoch {row['epoch']}, not {task.epoch}")


def _check_numbers(task: TaskTruth, row: sqlite3.Row) -> None:
    must(row["attempts"] == task.attempts, Invariant.I10, f"{row['attempts']} attempts, not {task.attempts}")
    must(row["crashes"] == task.crashes < MAX_CRASHES, Invariant.I11, f"{row['crashes']} crashes, not {task.crashes}")
    must(row["ambiguous"] == task.ambiguous <= MAX_AMBIGUOUS, Invariant.I15, f"{tuple(row)}, not {task}")
    must(task.copies <= 1 + task.unseen, Invariant.I15, task)
    must(row["expires_at"] == task.expires_at, Invariant.I6, f"expires at {row['expires_at']}, not {task.expires_at}")
    if row["state"] in WAITING:
        must(row["due_at"] >= task.due_at, Invariant.I5, f"due at {row['due_at']}, not {task.due_at}")


def _check_marks(task: TaskTruth, row: sqlite3.Row) -> None:
    if row["state"] == TaskState.DELIVERED:
        must(task.said_yes, Invariant.I2, task)
    if task.unseen:
        must(bool(row["maybe_sent"]), Invariant.I13 if task.said_yes else Invariant.I14, task)
    must(bool(row["maybe_sent"]) == task.maybe_sent, Invariant.STATES, f"{task} is marked though its ends were seen")


def _check_state(task: TaskTruth, row: sqlite3.Row) -> None:
    must(row["state"] == task.state, Invariant.STATES, f"{row['state']}, not {task}")
    must(row["started_at"] == task.started_at, Invariant.STATES, f"started at {row['started_at']}, not {task}")
    must(row["finished_at"] == task.finished_at, Invariant.STATES, f"finished at {row['finished_at']}, not {task}")
    if not task.ended:
        must(row["due_at"] == task.due_at, Invariant.STATES, f"due at {row['due_at']}, not {task.due_at}")
        asked = bool(row["cancel_requested"])
        must(asked == task.cancel_requested, Invariant.STATES, f"cancel asked for: {asked}, not {task}")


def _check_counts(rows: Rows) -> None:
    real = Counter((row["channel"], row["state"]) for row in rows.tasks.values())
    kept = {key: count for key, count in rows.counts.items() if count}
    must(kept == real, Invariant.COUNTS, f"{kept}, not {real}")


def _of_mailings(rows: Iterable[sqlite3.Row]) -> Counter[tuple[int, str]]:
    return Counter((row["mailing_id"], row["state"]) for row in rows if row["mailing_id"] is not None)
