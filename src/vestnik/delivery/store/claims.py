"""Claiming tasks, and giving back what was not begun. Each is a guarded UPDATE: whoever lost the race changes no row.

A task has an owner exactly while it is running, and a `finished_at` exactly when it has ended; so it waits while it has
neither. The statements ask for these columns and not for states, as the indexes do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from vestnik.delivery.model import Priority, Task, TaskState, Timestamp
from vestnik.delivery.store import counts
from vestnik.delivery.store.settlements import waiting_state
from vestnik.storage.database import Connection

_CLAIM = """
UPDATE task SET state = 'running', owner = :owner, epoch = epoch + 1, attempts = attempts + 1, started_at = :now
WHERE id IN (SELECT value FROM json_each(:ids))
"""
# What may not go just now is not left out by the statement: it is read row by row, no further than need be. The columns
# before `state` are those of a Task, in its order, as it is once it is claimed.
_DUE = """
SELECT task.id, task.message_id, task.channel, task.recipient, coalesce(mailing_now.text, message.text),
  message.subject, message.created_at, coalesce(min(task.expires_at, task.closes_at), task.expires_at, task.closes_at),
  task.attempts + 1, task.ambiguous, task.crashes, task.epoch + 1, :now, message.html, task.mailing_id, task.client_id,
  task.cancel_requested, task.state, task.due_at, mailing_now.text <> message.text AS other_text,
  (task.expires_at IS NULL OR task.expires_at > :now) AND (task.closes_at IS NULL OR task.closes_at > :now)
    AND coalesce(mailing_now.held, 0) = 0 AS may_go
FROM task JOIN message ON message.id = task.message_id
  LEFT JOIN mailing_now ON mailing_now.mailing_id = task.mailing_id
WHERE task.channel = :channel AND task.priority = :priority AND task.finished_at IS NULL AND task.owner IS NULL
  AND task.due_at <= :now AND (task.due_at, task.id) > (:due_at, :id)
ORDER BY task.due_at, task.id LIMIT :examined
"""
_OF_TASK = len(Task._fields)  # columns of that
_FOLLOW_TEXT = "UPDATE message SET text = ? WHERE id = ?"
_NEXT_DUE = """
SELECT due_at FROM task
WHERE channel = :channel AND priority = :priority AND finished_at IS NULL AND owner IS NULL AND due_at > :now
ORDER BY due_at LIMIT 1
"""
_GIVE_BACK = """
UPDATE task SET state = :state, owner = NULL, due_at = max(due_at, :due_at), attempts = attempts - 1,
  finished_at = :finished_at
WHERE id = :id AND state = 'running' AND epoch = :epoch
"""

EXAMINED = 200  # due tasks that a claim looks at beyond those it takes: thousands may have expired a moment ago
LATEST = 1.0  # seconds before now; what was due then is committed, so nothing comes in before it any more
LOOK_AGAIN = 0.05  # seconds; where thousands that may not go became due within the last second
#: A due time, and the id of a task with it.
Place = tuple[Timestamp, int]
#: Up to where nobody may go just now, by priority.
Blocked = Mapping[Priority, Place]
_START = -math.inf, 0


@dataclass(frozen=True, slots=True)
class Claimed:
    """`next_due` is when the next task that was not claimed becomes due; None when none is known to wait.

    `blocked` is where the next claim should begin, so that it does not look at the same ones again.
    """

    tasks: list[Task]
    next_due: Timestamp | None
    blocked: Blocked = field(default_factory=dict, compare=False)


def claim(
    connection: Connection,
    channel: str,
    owner: str,
    now: Timestamp,
    limit: int,
    blocked: Blocked = MappingProxyType({}),
) -> Claimed:
    """Take up to `limit` due tasks, single sends before bulk. The attempt counts from here, before any I/O.

    Those up to `blocked` are passed by. `next_due` is `now` where it looked at many, found too few, and there are more.
    """
    due: list[_Due] = []
    more = False
    before, blocked = blocked, dict(blocked)
    for priority in Priority:
        found = _ready(connection, channel, priority, now, limit - len(due), before.get(priority, _START))
        due += found.due
        more |= found.more
        blocked[priority] = found.blocked
        if len(due) >= limit:
            break
    if due:
        _take(connection, owner, now, due)
    tasks = [task for task, *_ in due]
    if len(tasks) >= limit:
        return Claimed(tasks, None, blocked)
    if more:
        return Claimed(tasks, now if tasks or blocked != before else now + LOOK_AGAIN, blocked)
    return Claimed(tasks, _next_due(connection, channel, now), blocked)


class _Due(NamedTuple):
    task: Task
    state: str
    other_text: int | None  # true when its mailing has another text by now


class _Ready(NamedTuple):
    due: list[_Due]  # that may go
    blocked: Place  # the last of those before them that may not
    more: bool  # others may be behind


def _ready(
    connection: Connection, channel: str, priority: Priority, now: Timestamp, limit: int, blocked: Place
) -> _Ready:
    wanted = {"channel": channel, "priority": int(priority), "now": now, "examined": limit + EXAMINED}
    wanted |= {"due_at": blocked[0], "id": blocked[1]}
    ready: list[_Due] = []
    examined = 0
    with closing(connection.cursor()) as rows:
        rows.row_factory = None  # columns by name cost more than the statement
        for row in rows.execute(_DUE, wanted):
            examined += 1
            state, due_at, other_text, may_go = row[_OF_TASK:]
            if may_go:
                ready.append(_Due(Task._make(row[:_OF_TASK]), state, other_text))
                if len(ready) == limit:
                    return _Ready(ready, blocked, more=False)
            elif not ready and due_at < now - LATEST:
                blocked = due_at, row[0]
    return _Ready(ready, blocked, more=examined == limit + EXAMINED)


def _take(connection: Connection, owner: str, now: Timestamp, due: Sequence[_Due]) -> None:
    ids = ",".join([str(task.id) for task, *_ in due])
    connection.execute(_CLAIM, {"owner": owner, "now": now, "ids": f"[{ids}]"})
    tally = counts.Tally()
    for task, state, _ in due:
        tally.moved(task.channel, state, "running", mailing_id=task.mailing_id)
    tally.write(connection)
    changed = [(task.text, task.message_id) for task, _, other_text in due if other_text]
    connection.executemany(_FOLLOW_TEXT, changed)


def _next_due(connection: Connection, channel: str, now: Timestamp) -> Timestamp | None:
    found = []
    for priority in Priority:
        row = connection.execute(_NEXT_DUE, {"channel": channel, "priority": priority, "now": now}).fetchone()
        found += [row["due_at"]] if row else []
    return min(found, default=None)


def give_back(connection: Connection, task: Task, due_at: Timestamp, now: Timestamp) -> bool:
    """Put a claimed task back as if it had not been claimed: it was not begun, so no try is used up.

    One that was to be canceled meanwhile is.
    """
    state = TaskState.DEFERRED if due_at > now or task.attempts > 1 else TaskState.QUEUED
    state = waiting_state(connection, task, max(due_at, now), state)
    ended = now if state is TaskState.CANCELED else None
    values = {"state": state, "due_at": due_at, "finished_at": ended, "id": task.id, "epoch": task.epoch}
    written = connection.execute(_GIVE_BACK, values).rowcount
    if written:
        tally = counts.Tally()
        tally.moved(task.channel, TaskState.RUNNING.value, state.value, mailing_id=task.mailing_id, at=now)
        tally.write(connection)
    return bool(written)
