"""What tests of the scheduler are made of: clocks that are set, jobs that do as they are told, the part as served."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient
from deliveries import until
from prometheus_client import CollectorRegistry

from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.redaction import Redactor
from vestnik.scheduler import store
from vestnik.scheduler.build import SchedulerPart
from vestnik.scheduler.job import JobDefinition, JobRun, Start, Wish
from vestnik.scheduler.scheduler import JobView
from vestnik.scheduler.state import JobState
from vestnik.scheduler.triggers import Timer, Trigger
from vestnik.storage.database import Database
from vestnik.web.auth import JwtSettings, Tokens

NOW = datetime(2026, 5, 4, 5, 10, tzinfo=UTC).timestamp()
JWT_SECRET = "q9Yx2Lr7Zk4Wb8Nv3Tc6Hd1Jm5Pf0Sgu"
MINUTE = Timer(60_000)


class Clocks:
    """Time passes on both; `set` moves the wall clock alone."""

    def __init__(self) -> None:
        self.now, self.steady_now = NOW, 1000.0

    def wall(self) -> float:
        return self.now

    def steady(self) -> float:
        return self.steady_now

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.steady_now += seconds

    def set(self, step: float) -> None:
        self.now += step


class RecordedJob:
    """Notes its runs. Its failures are fields: what `raises` holds is raised, one by one."""

    def __init__(self, name: str = "job", trigger: Trigger = MINUTE, **fields: Any) -> None:
        self.definition = JobDefinition(name=name, trigger=trigger, run=self.run, **fields)
        self.runs: list[JobRun] = []
        self.raises: list[BaseException] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()  # runs wait for it
        self.gate.set()
        self.at_once = 0
        self.most_at_once = 0
        self.refuses_to_end = 0  # how many times being canceled does not end a run
        self.result: dict[str, Any] | None = None
        self.wants_early: Wish | None = None

    async def run(self, run: JobRun) -> None:
        self.runs.append(run)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.set()
        try:
            if self.result is not None:
                run.report(self.result)
            await self._wait()
            if self.raises:
                raise self.raises.pop(0)
        finally:
            self.at_once -= 1

    async def _wait(self) -> None:
        while True:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                if not self.refuses_to_end:
                    raise
                self.refuses_to_end -= 1
            else:
                return

    async def early(self) -> Wish | None:
        return self.wants_early

    @property
    def starts(self) -> list[Start]:
        return [run.start for run in self.runs]


class Scheduling:
    """The part over a database file; a restart is a new one over the same file."""

    def __init__(self, database: Database, folder: Path, clocks: Clocks) -> None:
        self.database = database
        self.clocks = clocks
        self.flag = MaintenanceFlag(folder)
        self.part = self._new()

    def _new(self) -> SchedulerPart:
        self.metrics = CollectorRegistry()
        return SchedulerPart(
            database=self.database,
            maintenance=self.flag,
            metrics=self.metrics,
            redact=Redactor(["s3cr3t"]),
            clock=self.clocks.wall,
            steady=self.clocks.steady,
        )

    async def start(self, *jobs: RecordedJob) -> None:
        """Without its loops: `look` is one turn of them."""
        self.part.add(job.definition for job in jobs)
        await self.part.scheduler.start([job.definition for job in jobs])

    async def again(self, *jobs: RecordedJob) -> None:
        """As after a kill: the old one is not told that it ends."""
        self.part = self._new()
        await self.start(*jobs)

    async def look(self) -> None:
        await self.part.scheduler.look()

    async def passes(self, seconds: float) -> None:
        """Time passes, and the scheduler looks."""
        self.clocks.passes(seconds)
        await self.look()

    def view(self, name: str = "job") -> JobView:
        return self.part.scheduler.view(name)

    def state(self, name: str = "job") -> JobState:
        return self.view(name).state

    async def ended(self, name: str = "job") -> JobState:
        """As soon as it does not run."""
        await until(lambda: self.state(name).running_since is None)
        return self.state(name)

    async def ended_on_disk(self, name: str = "job") -> JobState:
        """As soon as also the database says so."""
        await self.ended(name)
        async with asyncio.timeout(60):
            while (found := (await self.database.read(store.load_all))[name]).running_since is not None:
                await asyncio.sleep(0.002)
        return found

    def counted(self, outcome: str, name: str = "job") -> float | None:
        return self.metrics.get_sample_value("vestnik_job_runs_total", {"job": name, "outcome": outcome})


class Served:
    """The jobs' routes behind aiohttp's test client."""

    def __init__(self, scheduling: Scheduling, client: TestClient[web.Request, web.Application]) -> None:
        self.scheduling = scheduling
        self.client = client

    def token(self, role: str = "admin", lifetime: float = 300.0) -> dict[str, str]:
        signed = Tokens(JwtSettings(), JWT_SECRET).sign(role=role, subject="test", lifetime=timedelta(seconds=lifetime))
        return {"Authorization": f"Bearer {signed}"}

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """The status, and the JSON that was answered (None: nothing was)."""
        options.setdefault("headers", self.token())
        if body is not None:
            options["json"] = body
        async with self.client.request(method, path, **options) as response:
            return response.status, (await response.json() if await response.read() else None)

    async def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The job that was answered."""
        status, found = await self.ask(method, path, body)
        assert status in (200, 202), found
        shown: dict[str, Any] = found
        return shown

    async def refused(self, path: str, body: Any) -> dict[str, str]:
        """The problems, by field, of a PUT that is answered 422."""
        status, found = await self.ask("PUT", path, body)
        assert status == 422, found
        assert found.keys() == {"code", "description", "errors"}
        errors: dict[str, str] = found["errors"]
        return errors
