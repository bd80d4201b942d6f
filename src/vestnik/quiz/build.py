"""Puts the quiz collector together: settings and a database in; routes, jobs, start and stop out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict

from aiohttp import web
from prometheus_client import CollectorRegistry

from vestnik.errors import VestnikError
from vestnik.quiz.api import QuestionsApi
from vestnik.quiz.collection import Collection
from vestnik.quiz.export.exporter import JOB, Exporter, ExportStopped
from vestnik.quiz.export.main_server import MainServer
from vestnik.quiz.export.metrics import ExportMetrics
from vestnik.quiz.export.settings import ExportSettings
from vestnik.quiz.intake import Intake
from vestnik.quiz.metrics import QuestionMetrics
from vestnik.quiz.service import Moderation
from vestnik.quiz.settings import ConfiguredQuiz
from vestnik.quiz.sources.configured import ConfiguredSource
from vestnik.quiz.sources.pace import Paces
from vestnik.quiz.sources.reader import Reader
from vestnik.quiz.sources.source import Shared
from vestnik.quiz.store.memory import StoredMemory
from vestnik.runtime.log import get_logger
from vestnik.runtime.service import Loop
from vestnik.scheduler.job import JobDefinition, JobRun
from vestnik.scheduler.triggers import Trigger
from vestnik.storage.database import Database

log = get_logger(__name__)

REFRESH = 2.0  # seconds between two readings of the counts for the metrics

StopJob = Callable[[str], Awaitable[None]]


class QuizPart:
    """The collector as the daemon sees it. It runs nothing by itself: its jobs are the scheduler's."""

    def __init__(
        self, quiz: ConfiguredQuiz, *, database: Database, metrics: CollectorRegistry, stop_job: StopJob
    ) -> None:
        """`stop_job` stops a job by its name until somebody starts it again."""
        self._database = database
        self._metrics = QuestionMetrics(metrics)
        self._reader = Reader()
        shared = Shared(self._reader, Paces(), StoredMemory(database))
        intake = Intake(database, observer=self._metrics)
        self._collections = [
            (source, Collection(source.build(shared), source.origin, intake)) for source in quiz.sources
        ]
        self._export = _Export(quiz.export, database, metrics, stop_job) if quiz.export else None
        switches = {source.name: source.origin.screening for source in quiz.sources}
        self._api = QuestionsApi(Moderation(database, switches=lambda name: switches.get(name, {})))
        self._loop = Loop("question counts", self._refresh)

    def routes(self) -> list[web.RouteDef]:
        return self._api.routes()

    def jobs(self) -> Iterator[JobDefinition]:
        """One for each source that has a time to run, and the exporter's."""
        for source, collection in self._collections:
            if trigger := source.settings.trigger:
                yield _collecting(source, collection, trigger)
        if self._export and (trigger := self._export.trigger):
            yield self._export.job(trigger)

    async def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        """Close all connections. The jobs have ended before."""
        await self._loop.stop()
        for _, collection in self._collections:
            await collection.close()
        await self._reader.close()
        if self._export:
            await self._export.close()

    async def _refresh(self) -> None:
        await self._metrics.refresh(self._database)
        if self._export:
            await self._export.metrics.refresh(self._database)
        await asyncio.sleep(REFRESH)


def _collecting(source: ConfiguredSource, collection: Collection, trigger: Trigger) -> JobDefinition:
    return JobDefinition(
        name=source.name,
        trigger=trigger,
        run=collection.run,
        url=source.settings.url,
        time_limit=source.settings.time_limit.total_seconds(),
    )


class _Export:
    """The exporter as a job."""

    def __init__(
        self, settings: ExportSettings, database: Database, metrics: CollectorRegistry, stop_job: StopJob
    ) -> None:
        self.trigger = settings.trigger
        self._url = settings.url
        self._server = MainServer(settings)
        self.metrics = ExportMetrics(metrics)
        self._exporter = Exporter(settings, database, self._server, self.metrics)
        self._stop_job = stop_job

    def job(self, trigger: Trigger) -> JobDefinition:
        return JobDefinition(
            name=JOB,
            trigger=trigger,
            run=self._run,
            url=self._url,
            early=self._exporter.early,
        )

    async def close(self) -> None:
        await self._server.close()

    async def _run(self, run: JobRun) -> None:
        try:
            await self._exporter.run(lambda: run.ending)
        except ExportStopped:
            await self._stop()
            raise
        finally:
            run.report(asdict(self._exporter.sent))

    async def _stop(self) -> None:
        try:
            await self._stop_job(JOB)
        except VestnikError as error:  # stopped already, or the disk is full; the exporter waits in any case
            log.warning("the job cannot be stopped: %s", error, job=JOB)
