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
# Nothing else of the row changes.
_DELIVER = """
UPDATE task SET state = 'delivered', owner = NULL, recipient = ?, error = NULL, finished_at = ?
WHERE id = ? AND state = 'running' AND epoch = ?
"""
# Ended by that statement: what was settled before has its attempt in the journal already.
_ENDED_NOW = """
SELECT 1 FROM task WHERE id = ? AND epoch = ? AND state = 'delivered' AND finished_at = ?
  AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.task_id = task.id AND attempt.epoch = task.epoch)
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
    # In their order, unless all are the same: then it matters to none.
    delivered = all(settlement.state is TaskState.DELIVERED for settlement, _ in settlements)
    ended = _deliver_all(connection, settlements) if delivered else set()
    written: list[TaskState | None] = []
    attempts, tally = [], counts.Tally()
    for settlement, now in settlements:
        task, state, outcome, *_ = settlement
        claim = task.id, task.epoch
        if delivered:
            ours = claim in ended
            ended.discard(claim)  # who says it twice is told that it was not there any more
        else:
            state = _state(connection, settlement)
            ours = _write(connection, settlement, state, now)
        written.append(state if ours else None)
        if ours:
            attempts.append((*claim, task.started_at, now, outcome_name(outcome), outcome_detail(outcome)))
            reason = settlement.error if state is TaskState.FAILED else None
            tally.moved(task.channel, "running", state.value, mailing_id=task.mailing_id, at=now, reason=reason)
    _ATTEMPTS.run(connection, attempts)
    tally.write(connection)
    return written


def _deliver_all(connection: Connection, settlements: Sequence[tuple[Settlement, Timestamp]]) -> set[tuple[int, int]]:
    """As `_write` of each, a third faster; most groups are such. Returns task and epoch of those that were ours."""
    rows = [_delivery(task, now) for (task, *_), now in settlements]
    if connection.executemany(_DELIVER, rows).rowcount == len(rows):
        return {(task, epoch) for *_, task, epoch in rows}
    return {
        (task, epoch) for _, now, task, epoch in rows if connection.execute(_ENDED_NOW, (task, epoch, now)).fetchone()
    }


def _delivery(task: Task, now: Timestamp) -> tuple[str, Timestamp, int, int]:
    # The row may name another recipient by now: that is for further tries, this one went where its task said.
    return task.recipient, now, task.id, task.epoch


def _state(connection: Connection, settlement: Settlement) -> TaskState:
    if settlement.state is not TaskState.DEFERRED:
        return settlement.state
    return waiting_state(connection, settlement.task, settlement.due_at or 0.0, TaskState.DEFERRED)


def _write(connection: Connection, settlement: Settlement, state: TaskState, now: Timestamp) -> bool:
    task = settlement.task
    if state is TaskState.DELIVERED:
        return bool(connection.execute(_DELIVER, _delivery(task, now)).rowcount)
    recipient, finished_at = (task.recipient, now) if state in ENDED else (None, None)
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
