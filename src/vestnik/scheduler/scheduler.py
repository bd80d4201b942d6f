"""Carries out what `state` decides: starts what is due, writes down how it ends, changes what one asks to be changed.

Everything kept is in memory as well, and memory follows the disk: a change that cannot be written is not made. Only how
a run ended stands in memory at once, and is written as soon as the disk takes it: the run is over, whatever the disk
says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from vestnik.errors import NotFound, VestnikError
from vestnik.runtime.clock import Clock, iso, monotonic, wall
from vestnik.runtime.log import get_logger
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.redaction import Redactor
from vestnik.scheduler import state as decide
from vestnik.scheduler import store
from vestnik.scheduler.execution import Execution
from vestnik.scheduler.job import JobDefinition, Start, Wish
from vestnik.scheduler.metrics import SchedulerMetrics
from vestnik.scheduler.state import Action, Ended, JobState, Outcome
from vestnik.scheduler.triggers import Timer, Trigger
from vestnik.storage.database import Database

log = get_logger(__name__)

LONGEST_SLEEP = 0.5  # seconds; how late a change of the clock or the end of maintenance is seen
CLOCK_STEP = 1.0  # seconds by which the wall clock may drift from the monotonic one between two looks
OFTEN = 1000  # milliseconds; below this interval the runs of a job that succeed are only in the debug log
STOP_GRACE = 5.0  # seconds that a run has to end by itself when its job is stopped
EARLY_LIMIT = 30.0  # seconds that a job may take to say whether it wants to begin
AFTER_CANCEL = 3.0  # seconds to wait at the daemon's end for runs that were canceled


class InMaintenance(VestnikError):
    code = "in_maintenance"


@dataclass(slots=True)
class _Job:
    definition: JobDefinition
    state: JobState
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)  # from the decision until it is on disk
    execution: Execution | None = None
    unwritten: bool = False  # the disk did not take what memory has


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is shown; no secret stands in its `url`."""

    url: str | None
    state: JobState


class Scheduler:
    """`start`, then `step` again and again; `stop` at the end."""

    def __init__(
        self,
        database: Database,
        maintenance: MaintenanceFlag,
        metrics: SchedulerMetrics,
        *,
        redact: Redactor,
        clock: Clock = wall,
        steady: Clock = monotonic,
    ) -> None:
        self._database = database
        self._maintenance = maintenance
        self._metrics = metrics
        self._redact = redact
        self._clock = clock
        self._steady = steady
        self._jobs: dict[str, _Job] = {}
        self._watches: set[asyncio.Task[None]] = set()  # each waits for the end of a run, and writes it down
        self._stopping = False
        self._looked_at = clock()
        self._wake = asyncio.Event()
        self._clocks_apart = clock() - steady()

    # -- at start and end

    async def start(self, definitions: Iterable[JobDefinition]) -> None:
        """Take up what the last daemon left. Raises StoreUnavailable."""
        kept = await self._database.read(store.load_all)
        now = self._clock()
        for definition in definitions:
            old = kept.get(definition.name)
            new = decide.taken_up(old, definition, now) if old else decide.first(definition, now)
            self._jobs[definition.name] = _Job(definition, new)
            self._metrics.known(new)
            _warn_of_changes(new, definition.trigger)
            if old and old.running_since is not None:
                log.warning("the daemon ended in the middle of a run", job=new.name, next=iso(new.next_run_at))
        states = [job.state for job in self._jobs.values()]
        await self._database.write(lambda c: store.save_all(c, states))

    async def stop(self, grace: float) -> None:
        """Begin nothing more; runs have `grace` seconds to end. What is canceled then is made up at the next start."""
        self._stopping = True
        for job in self._jobs.values():
            if job.execution:
                why = "the daemon stopped in the middle of this run"
                job.execution.ask_to_end(grace, Outcome.INTERRUPTED, why)
        if self._watches:
            _, left = await asyncio.wait(self._watches, timeout=grace + AFTER_CANCEL)
            for watch in left:
                log.error("a run does not end, leaving it", job=watch.get_name())
                watch.cancel()

    # -- as time goes

    async def step(self) -> None:
        """One look at the clock and the jobs, and the sleep until the next."""
        self._wake.clear()
        await self.look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._sleep()):
                await self._wake.wait()

    async def look(self) -> None:
        """Start all that is due. One job's trouble is not another's."""
        await self._follow_the_clock()
        self._looked_at = self._clock()
        held = self._stopping or self._maintenance.read().on
        await asyncio.gather(
            *(self._look_at(job, held) for job in self._jobs.values() if self._wants_a_look(job, held))
        )

    def _wants_a_look(self, job: _Job, held: bool) -> bool:
        now = self._looked_at
        resumes = decide.resumed(job.state, now) is not job.state
        return resumes or job.unwritten or (job.state.is_due(now) and not held)

    async def _look_at(self, job: _Job, held: bool) -> None:
        try:
            async with job.changing:
                now = self._clock()
                await self._bring_to_disk(job, decide.resumed(job.state, now))
                if job.state.is_due(now) and not held:
                    await self._begin(job, Start.PLANNED)
        except VestnikError as error:
            log.warning("a job waits: %s", error, job=job.definition.name)
        except Exception:
            log.exception("a job cannot be looked after", job=job.definition.name)

    async def _bring_to_disk(self, job: _Job, state: JobState) -> None:
        if state is not job.state:
            log.info("job resumed", job=state.name, next=iso(state.next_run_at))
        if state is not job.state or job.unwritten:
            await self._write(job, state)

    async def _follow_the_clock(self) -> None:
        apart = self._clock() - self._steady()
        step, self._clocks_apart = apart - self._clocks_apart, apart
        if abs(step) < CLOCK_STEP:
            return
        log.warning("the clock was set", by=f"{step:+.1f} s")
        for job in self._jobs.values():
            async with job.changing:
                self._now_stands(job, decide.after_clock_change(job.state, step, self._clock()))

    def _sleep(self) -> float:
        """What was due at the last look was begun, or has to wait for something else than the time."""
        coming = [job.state.next_run_at for job in self._jobs.values() if job.state.running_since is None]
        now = self._clock()
        waits = [at - now for at in coming if at is not None and at > self._looked_at]
        return max(0.0, min([LONGEST_SLEEP, *waits]))

    # -- runs

    async def _begin(self, job: _Job, because: Start, **details: str) -> None:
        """The intent is on disk before the run begins. Raises InMaintenance, StoreUnavailable."""
        self._refuse_if_held()
        now, before = self._clock(), job.state
        await self._write(job, decide.begun(before, because, now))
        try:
            self._refuse_if_held()  # it takes seconds to write on a busy disk
        except InMaintenance:
            self._now_stands(job, before)
            raise
        log.log(_level(job.state), "run begins", job=job.definition.name, because=because.value, **details)
        job.execution = Execution(job.definition, because, started_at=now, all_ending=self._ending)
        job.execution.start()
        watch = asyncio.create_task(self._watch(job, job.execution), name=job.definition.name)
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    def _refuse_if_held(self) -> None:
        """Raises InMaintenance, by the flag as it is now."""
        if self._stopping or self._maintenance.read().on:
            raise InMaintenance("in maintenance no job starts")

    def _ending(self) -> bool:
        return self._stopping or self._maintenance.on

    async def _watch(self, job: _Job, execution: Execution) -> None:
        began = self._steady()
        if overdue := await execution.past_limit():
            await self._note(job, lambda state: replace(state, last_error=overdue, last_error_at=self._clock()))
        end = await execution.end()
        if end.error is not None:
            end = replace(end, error=self._redact(end.error))
        seconds = self._steady() - began
        self._metrics.ended(job.definition.name, end, seconds)
        _tell(job.state, end, seconds)
        job.execution = None
        await self._note(job, lambda state: decide.ended(state, end, self._clock()))
        self._wake.set()

    async def _note(self, job: _Job, change: Callable[[JobState], JobState]) -> None:
        """What has happened, whatever the disk says; written at a later look if it does not take it now."""
        async with job.changing:
            self._now_stands(job, change(job.state))
            try:
                await self._write(job, job.state)
            except VestnikError as error:
                log.warning("cannot be written down yet: %s", error, job=job.definition.name)

    # -- what one may ask for

    def views(self) -> Iterator[JobView]:
        return (self.view(name) for name in self._jobs)

    def view(self, name: str) -> JobView:
        """Raises NotFound."""
        job = self._job(name)
        url = job.definition.url
        return JobView(None if url is None else self._redact(url), job.state)

    async def set_trigger(self, name: str, trigger: Trigger) -> None:
        """Raises NotFound, StoreUnavailable."""
        job = self._job(name)
        async with job.changing:
            await self._write(job, decide.with_trigger(job.state, trigger, self._clock()))
        self._wake.set()

    async def act(self, name: str, action: Action, start_at: float | None = None) -> None:
        """Raises NotFound, Conflict, StoreUnavailable."""
        job = self._job(name)
        async with job.changing:
            await self._write(job, decide.acted(job.state, action, start_at, self._clock()))
            if action is Action.STOP and job.execution:
                job.execution.ask_to_end(STOP_GRACE, Outcome.STOPPED, "the job was stopped in the middle of this run")
        self._wake.set()

    async def reset(self, name: str) -> None:
        """Back to what the configuration says. Raises NotFound, StoreUnavailable."""
        job = self._job(name)
        async with job.changing:
            await self._write(job, decide.reset(job.state, job.definition, self._clock()))
        self._wake.set()

    async def run_now(self, name: str) -> None:
        """Begin a run by hand, beside the plan. Raises NotFound, Conflict, InMaintenance, StoreUnavailable."""
        job = self._job(name)
        async with job.changing:
            self._refuse_if_held()
            decide.may_run_by_hand(job.state)
            await self._begin(job, Start.BY_HAND)

    async def run_early(self, name: str, wish: Wish) -> bool:
        """Begin a run before its time. False when the job may not run now.

        Raises NotFound, StoreUnavailable.
        """
        job = self._job(name)
        async with job.changing:
            if not self._may_run_early(job):
                return False
            with contextlib.suppress(InMaintenance):
                await self._begin(job, wish.start, reason=wish.reason)
                return True
            return False

    async def ask_for_early(self, name: str) -> bool:
        """Let the job itself say whether to begin now. Raises what it raises, TimeoutError, and as `run_early`."""
        job = self._job(name)
        if job.definition.early is None or not self._may_run_early(job):
            return False
        async with asyncio.timeout(EARLY_LIMIT):
            wish = await job.definition.early()
        return wish is not None and await self.run_early(name, wish)

    def _may_run_early(self, job: _Job) -> bool:
        free = job.state.state is decide.State.WORKING and job.state.running_since is None
        return free and not self._stopping and not self._maintenance.read().on

    def _job(self, name: str) -> _Job:
        if name not in self._jobs:
            raise NotFound(f"there is no job {name!r}")
        return self._jobs[name]

    # -- memory and disk

    def _now_stands(self, job: _Job, state: JobState) -> None:
        """In memory; on disk as soon as it can be."""
        if state != job.state:
            job.state, job.unwritten = state, True
            self._metrics.stands(state)

    async def _write(self, job: _Job, state: JobState) -> None:
        """On disk, then in memory. Raises StoreUnavailable, and nothing has changed."""
        await self._database.write(lambda c: store.save_all(c, [state]))
        job.state, job.unwritten = state, False
        self._metrics.stands(state)


def _warn_of_changes(state: JobState, configured: Trigger) -> None:
    """Whoever edits the YAML wonders why nothing follows from it."""
    if state.changed and state.trigger != configured:
        log.warning(
            "another plan than the configuration's",
            job=state.name,
            kept=f"{state.trigger.mode} {state.trigger}",
            configured=f"{configured.mode} {configured}",
            undo=f"vestnik jobs reset {state.name}",
        )
    if state.state is not decide.State.WORKING:
        until = {"until": iso(state.start_at)} if state.start_at else {}
        undo = f"vestnik jobs start {state.name}"
        log.warning("not at work", job=state.name, state=state.state.value, undo=undo, **until)


def _level(state: JobState) -> int:
    """Of what is said about a run that goes well: two lines for each of many a second would drown all else."""
    often = isinstance(state.trigger, Timer) and state.trigger.interval_ms < OFTEN
    return logging.DEBUG if often else logging.INFO


def _tell(state: JobState, end: Ended, seconds: float) -> None:
    level = _level(state) if end.outcome is Outcome.SUCCEEDED else logging.WARNING
    why = {} if end.error is None else {"error": end.error}
    log.log(level, "run ended", job=state.name, outcome=end.outcome.value, seconds=round(seconds, 3), **why)
