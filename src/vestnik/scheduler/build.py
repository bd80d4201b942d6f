"""Puts the scheduler together: a database and jobs in; routes, loops, start and stop out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from aiohttp import web
from prometheus_client import CollectorRegistry

from vestnik.runtime.clock import Clock, monotonic, wall
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.redaction import Redactor
from vestnik.runtime.service import Loop
from vestnik.scheduler.api import JobsApi
from vestnik.scheduler.job import JobDefinition
from vestnik.scheduler.metrics import SchedulerMetrics
from vestnik.scheduler.scheduler import Scheduler
from vestnik.storage.database import Database

EARLY_LOOK = 1.0  # seconds between two times that a job is asked whether it wants to begin early


class SchedulerPart:
    """The scheduler as the daemon sees it."""

    def __init__(
        self,
        *,
        database: Database,
        maintenance: MaintenanceFlag,
        metrics: CollectorRegistry,
        redact: Redactor | None = None,
        clock: Clock = wall,
        steady: Clock = monotonic,
    ) -> None:
        """`redact` takes secrets out of what is shown of errors and addresses."""
        self._definitions: dict[str, JobDefinition] = {}
        self._loops: list[Loop] = []
        self.scheduler = Scheduler(
            database,
            maintenance,
            SchedulerMetrics(metrics),
            redact=redact or Redactor(),
            clock=clock,
            steady=steady,
        )
        self._api = JobsApi(self.scheduler, clock)

    def add(self, jobs: Iterable[JobDefinition]) -> None:
        """Before `start`. Raises ValueError for a second job of one name."""
        for job in jobs:
            if job.name in self._definitions:
                raise ValueError(f"there are two jobs {job.name!r}")
            self._definitions[job.name] = job

    def routes(self) -> list[web.RouteDef]:
        return self._api.routes()

    async def start(self) -> None:
        """Take up the jobs where the last daemon left them, and begin. Raises StoreUnavailable."""
        await self.scheduler.start(self._definitions.values())
        self._loops = [Loop("scheduler", self.scheduler.step), *map(self._asking, self._early())]
        for loop in self._loops:
            loop.start()

    async def stop(self, grace: float) -> None:
        """Begin no more runs; let those under way end for `grace` seconds; then cancel them."""
        for loop in self._loops:
            await loop.stop()
        await self.scheduler.stop(grace)

    def _early(self) -> list[str]:
        return [job.name for job in self._definitions.values() if job.early is not None]

    def _asking(self, name: str) -> Loop:
        return Loop(f"early runs of {name}", partial(self._ask, name))

    async def _ask(self, name: str) -> None:
        await self.scheduler.ask_for_early(name)
        await asyncio.sleep(EARLY_LOOK)
