"""The SQL of jobs: one row each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from sqlite3 import Row
from typing import Any

from vestnik.errors import VestnikError
from vestnik.runtime.log import get_logger
from vestnik.scheduler.job import Start
from vestnik.scheduler.state import JobState, Outcome, State
from vestnik.scheduler.triggers import Cron, Timer, Trigger
from vestnik.storage.database import Connection

log = get_logger(__name__)

_SAVE = """
INSERT OR REPLACE INTO job (
    name, state, mode, schedule, interval_ms, timezone, changed, planned_at, next_run_at, start_at, running_since,
    running_because, interruptions, last_run_at, last_outcome, last_success_at, last_error, last_error_at, last_result
) VALUES (
    :name, :state, :mode, :schedule, :interval_ms, :timezone, :changed, :planned_at, :next_run_at, :start_at,
    :running_since, :running_because, :interruptions, :last_run_at, :last_outcome, :last_success_at, :last_error,
    :last_error_at, :last_result
)
"""


def save_all(connection: Connection, states: Iterable[JobState]) -> None:
    connection.executemany(_SAVE, map(_row, states))


def load_all(connection: Connection) -> dict[str, JobState]:
    """By name. A row that says nothing sound (edited by hand, a time zone that is gone) is left out, and logged."""
    found = {}
    for row in connection.execute("SELECT * FROM job"):
        try:
            found[row["name"]] = _state(row)
        except (VestnikError, ValueError, TypeError) as error:
            log.warning("what is kept of a job cannot be used, it begins anew", job=row["name"], error=str(error))
    return found


def _row(state: JobState) -> dict[str, Any]:
    trigger = state.trigger
    return {
        "name": state.name,
        "state": state.state,
        "mode": trigger.mode,
        "schedule": trigger.expression if isinstance(trigger, Cron) else None,
        "interval_ms": trigger.interval_ms if isinstance(trigger, Timer) else None,
        "timezone": state.timezone,
        "changed": state.changed,
        "planned_at": state.planned_at,
        "next_run_at": state.next_run_at,
        "start_at": state.start_at,
        "running_since": state.running_since,
        "running_because": state.running_because,
        "interruptions": state.interruptions,
        "last_run_at": state.last_run_at,
        "last_outcome": state.last_outcome,
        "last_success_at": state.last_success_at,
        "last_error": state.last_error,
        "last_error_at": state.last_error_at,
        "last_result": None if state.last_result is None else json.dumps(state.last_result),
    }


def _state(row: Row) -> JobState:
    """Raises BadTrigger, ValueError, TypeError."""
    return JobState(
        name=row["name"],
        state=State(row["state"]),
        trigger=_trigger(row),
        timezone=row["timezone"],
        changed=bool(row["changed"]),
        planned_at=row["planned_at"],
        next_run_at=row["next_run_at"],
        start_at=row["start_at"],
        running_since=row["running_since"],
        running_because=Start(row["running_because"]) if row["running_because"] else None,
        interruptions=row["interruptions"],
        last_run_at=row["last_run_at"],
        last_outcome=Outcome(row["last_outcome"]) if row["last_outcome"] else None,
        last_success_at=row["last_success_at"],
        last_error=row["last_error"],
        last_error_at=row["last_error_at"],
        last_result=json.loads(row["last_result"]) if row["last_result"] else None,
    )


def _trigger(row: Row) -> Trigger:
    if row["mode"] == "CRON":
        return Cron(row["schedule"], row["timezone"])
    return Timer(row["interval_ms"])
