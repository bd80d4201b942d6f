"""One run of a job, in a task of its own: whatever it does, its end is told and nobody else is hurt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from vestnik.errors import VestnikError
from vestnik.runtime.log import get_logger
from vestnik.scheduler.job import JobDefinition, JobRun, Start
from vestnik.scheduler.state import Ended, Outcome

log = get_logger(__name__)

LONGEST_ERROR = 1000  # characters
AGAIN = 10.0  # seconds after which a run that was canceled and goes on is canceled once more


class Execution:
    """Begun by `start`; wait with `past_limit`, then with `end`."""

    def __init__(
        self, definition: JobDefinition, because: Start, *, started_at: float, all_ending: Callable[[], bool]
    ) -> None:
        """`all_ending` tells whether every run should end: in maintenance, and while the daemon stops."""
        self._definition = definition
        self._all_ending = all_ending
        self._asked_to_end = False
        self._canceled: Ended | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._run = JobRun(definition.name, because, started_at=started_at, ending=self._ending)

    def start(self) -> None:
        self._task = asyncio.create_task(self._guarded(), name=f"job {self._definition.name}")

    async def past_limit(self) -> str | None:
        """What to show, when the time limit has passed and the run was canceled; None when it ended before."""
        limit = self._definition.time_limit
        done, _ = await asyncio.wait({self._task}, timeout=limit)
        if done:
            return None
        error = f"took longer than its limit of {limit:g} s, and was canceled"
        self._cancel(Ended(Outcome.TIMED_OUT, error))
        return error

    async def end(self) -> Ended:
        """Being canceled here does not cancel the run."""
        end = await asyncio.shield(self._task)
        for timer in self._timers:
            timer.cancel()
        return end

    def ask_to_end(self, grace: float, outcome: Outcome, why: str) -> None:
        """`JobRun.ending` is true from here on; after `grace` seconds the run is canceled, and ends as said."""
        self._asked_to_end = True
        self._later(grace, lambda: self._cancel(Ended(outcome, why)))

    def _ending(self) -> bool:
        return self._asked_to_end or self._all_ending()

    def _cancel(self, end: Ended) -> None:
        if self._task.done():
            return
        if self._canceled:
            log.error("a run goes on though it was canceled", job=self._definition.name)
        self._canceled = self._canceled or end
        self._task.cancel()
        self._later(AGAIN, lambda: self._cancel(end))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, act))

    async def _guarded(self) -> Ended:
        structlog.contextvars.bind_contextvars(job=self._definition.name)  # in this task's lines only
        try:
            await self._definition.run(self._run)
        except VestnikError as error:
            return self._failed(str(error))
        except asyncio.CancelledError:
            if self._canceled is None:
                return self._failed("what it waited for was canceled")
            return replace(self._canceled, result=self._run.result)
        except (Exception, SystemExit) as error:  # SystemExit would end the daemon
            log.exception("a run raised")
            return self._failed(f"{type(error).__name__}: {error}")
        return Ended(Outcome.SUCCEEDED, None, self._run.result)

    def _failed(self, error: str) -> Ended:
        # What a far side said can hold lone surrogates, which neither the database nor a JSON text takes.
        shown = error[:LONGEST_ERROR].encode(errors="replace").decode()
        return Ended(Outcome.FAILED, shown, self._run.result)
