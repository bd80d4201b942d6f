"""Writing how attempts ended: the task goes on or ends, and the attempt is kept for good."""

from __future__ import annotations

from collections.abc import Sequence

from vestnik.delivery.model import (
    ENDED,
    Deferred,
    Delivered,
    Outcome,
    RefusedForGood,
    Settlement,
    Task,
    TaskState,
    Timestamp,
)
from vestnik.delivery.store import counts
from vestnik.storage.database import Connection
from vestnik.storage.multi_row import MultiRowInsert

# A due time only ever grows: a clock that was set back must not bring a task before its time.
_SETTLE = """
UPDATE task SET state = ?, owner = NULL, due_at = max(due_at, coalesce(?, due_at)), attempts = ?,
  recipient = coalesce(?, recipient), ambiguous = ?, maybe_sent = maybe_sent OR ?, error = ?, finished_at = ?
WHERE id = ? AND state = 'running' AND epoch = ?
"""
# The same for most of all settlements, at two thirds of the price: nothing else of the row changes.
_SETTLE_DELIVERED = """
UPDATE task SET state = 'delivered', owner = NULL, recipient = ?, error = NULL, finished_at = ?
WHERE id = ? AND state = 'running' AND epoch = ?
"""
_ATTEMPTS = MultiRowInsert("attempt", ("task_id", "epoch", "started_at", "finished_at", "outcome", "detail"))
_MEANWHILE = "SELECT cancel_requested, due_at FROM task WHERE id = ? AND epoch = ?"


def settle(connection: Connection, settlement: Settlement, now: Timestamp) -> TaskState | None:
    """One settlement by itself, as `settle_all` does it."""
    return settle_all(connection, [(settlement, now)])[0]


def settle_all(connection: Connection, settlements: Sequence[tuple[Settlement, Timestamp]]) -> list[TaskState | None]:
    """Write how attempts ended, each with the time it ended. Returns the states that the tasks are in now.

    None for a task that is not ours any more; then nothing of it changed.
    """
    written: list[TaskState | None] = []
    attempts, tally = [], counts.Tally()
    for settlement, now in settlements:
        task, state = settlement.task, _state(connection, settlement)
        ours = _write(connection, settlement, state, now)
        written.append(state if ours else None)
        if ours:
            outcome = settlement.outcome
            attempts.append((task.id, task.epoch, task.started_at, now, outcome_name(outcome), outcome_detail(outcome)))
            reason = settlement.error if state is TaskState.FAILED else None
            tally.moved(task.channel, "running", state.value, mailing_id=task.mailing_id, at=now, reason=reason)
    _ATTEMPTS.run(connection, attempts)
    tally.write(connection)
    return written


def _state(connection: Connection, settlement: Settlement) -> TaskState:
    if settlement.state is not TaskState.DEFERRED:
        return settlement.state
    return waiting_state(connection, settlement.task, settlement.due_at or 0.0, TaskState.DEFERRED)


def _write(connection: Connection, settlement: Settlement, state: TaskState, now: Timestamp) -> bool:
    task = settlement.task
    # The row may name another recipient by now: that is for further tries, this one went where its task said.
    recipient, finished_at = (task.recipient, now) if state in ENDED else (None, None)
    if state is TaskState.DELIVERED:
        return bool(connection.execute(_SETTLE_DELIVERED, (recipient, finished_at, task.id, task.epoch)).rowcount)
    values = (
        state.value,
        settlement.due_at,
        settlement.attempts,
        recipient,
        settlement.ambiguous,
        settlement.maybe_sent,
        settlement.error,
        finished_at,
        task.id,
        task.epoch,
    )
    return bool(connection.execute(_SETTLE, values).rowcount)


def waiting_state(connection: Connection, task: Task, due_at: Timestamp, state: TaskState) -> TaskState:
    """What a task becomes that goes on in `state`, by what was asked for since it was claimed.

    It may have been canceled, or its mailing may have put it off further than to `due_at`.
    """
    row = connection.execute(_MEANWHILE, (task.id, task.epoch)).fetchone()
    if row and row["cancel_requested"]:
        return TaskState.CANCELED
    put_off = row and task.mailing_id is not None and row["due_at"] > max(due_at, task.started_at)
    return TaskState.SCHEDULED if put_off else state


def outcome_name(outcome: Outcome) -> str:
    match outcome:
        case Delivered():
            return "delivered"
        case RefusedForGood():
            return "refused"
        case Deferred(maybe_sent=True):
            return "ambiguous"
        case Deferred():
            return "deferred"


def outcome_detail(outcome: Outcome) -> str | None:
    return outcome.receipt if isinstance(outcome, Delivered) else outcome.reason
