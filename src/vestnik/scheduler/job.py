"""A job as the parts of the daemon define it, and a run of it as they are given it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from vestnik.scheduler.triggers import Trigger

LONGEST_RESULT = 64 << 10  # characters, as JSON


class Start(StrEnum):
    """Why a run begins."""

    PLANNED = "planned"
    BY_HAND = "by hand"
    EARLY = "early"  # the job asked for it; if it succeeds, it takes the place of the next planned run
    RETRY = "retry"  # the job asked for it, to go on with what a run left undone; the plan stays as it is


@dataclass(frozen=True, slots=True)
class Wish:
    """A job's, to run before its time."""

    reason: str
    start: Literal[Start.EARLY, Start.RETRY] = Start.EARLY


class JobRun:
    """What a run is given: why it began, when it should end, and where its result goes."""

    def __init__(self, name: str, start: Start, *, started_at: float, ending: Callable[[], bool]) -> None:
        self.name = name
        self.start = start
        self.started_at = started_at  # seconds since the epoch
        self.result: Mapping[str, Any] | None = None
        self._ending = ending

    @property
    def ending(self) -> bool:
        """True in maintenance and while the daemon stops: finish what is in hand, and return."""
        return self._ending()

    def report(self, result: Mapping[str, Any]) -> None:
        """What `lastResult` shows; the last one counts, also when the run raises afterwards.

        Raises TypeError or ValueError for what is not JSON, or more of it than one wants to look at.
        """
        text = json.dumps(result, allow_nan=False)
        if len(text) > LONGEST_RESULT:
            raise ValueError(f"a result of {len(text)} characters, wanted at most {LONGEST_RESULT}")
        self.result = json.loads(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefinition:
    """A job as YAML and code have it.

    `run` is never called while it still runs. What it raises ends the run as failed, and is shown as the last error: a
    VestnikError by its text, anything else is logged as a bug with its traceback. It has to bear being canceled at any
    await: the time limit, or the end of the daemon, does that.
    """

    name: str  # its jobId
    trigger: Trigger
    run: Callable[[JobRun], Awaitable[None]]
    url: str | None = None  # what it works on; shown to people
    time_limit: float | None = None  # seconds; None: it may take as long as it wants
    #: Asked every few seconds while the job waits for its time: a wish to begin now, or None. It has to be quick.
    early: Callable[[], Awaitable[Wish | None]] | None = None
