"""The collector put together: which jobs it has, and how the export's run is told of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from exports import add_ready
from prometheus_client import CollectorRegistry

from vestnik.errors import Conflict
from vestnik.quiz.build import QuizPart
from vestnik.quiz.export.exporter import ExportStopped, PutOff
from vestnik.quiz.settings import ConfiguredQuiz, configured_quiz
from vestnik.scheduler.job import JobDefinition, JobRun, Start
from vestnik.scheduler.triggers import Cron, Timer
from vestnik.settings.document import read_document
from vestnik.settings.problems import Place
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade

SECTION = """
sources:
  site: {kind: json, url: "https://quiz.example.org/", mode: TIMER, interval: 60000, items: a, fields: {text: q},
         time_limit: 5m}
  dump: {kind: file, url: "file:q.txt", format: hash-q}
"""
EXPORT = 'export: {url: "URL", key: the-key, mode: CRON, schedule: "0 */6 * * *", timezone: Europe/Moscow}\n'


def configured(folder: Path, text: str) -> ConfiguredQuiz:
    (folder / "quiz.yaml").write_text(text)
    document = read_document(folder / "quiz.yaml")
    document.places.setdefault((), Place("quiz.yaml", 1))
    found = configured_quiz(document, (), document.value)
    assert found is not None, document.problems
    return found


class Setup:
    def __init__(self, folder: Path, database: Database, url: str) -> None:
        self.stopped: list[str] = []
        self.stopping_fails = False
        self.registry = CollectorRegistry()
        quiz = configured(folder, SECTION + EXPORT.replace("URL", url))
        self.part = QuizPart(quiz, database=database, metrics=self.registry, stop_job=self._stop)

    async def _stop(self, name: str) -> None:
        if self.stopping_fails:
            raise Conflict("it is stopped already")
        self.stopped.append(name)

    def job(self, name: str) -> JobDefinition:
        return next(job for job in self.part.jobs() if job.name == name)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(tmp_path / "v.db")
    await found.open()
    await found.maintain(upgrade)
    yield found
    await found.close()


@pytest.fixture
async def status() -> list[int]:
    """What the main server answers with."""
    return [204]


@pytest.fixture
async def setup(tmp_path: Path, database: Database, status: list[int]) -> AsyncIterator[Setup]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status[0])

    application = web.Application()
    application.router.add_post("/", answer)
    async with TestServer(application) as server:
        found = Setup(tmp_path, database, str(server.make_url("/")))
        await found.part.start()
        yield found
        await found.part.stop()


def run_of(job: JobDefinition) -> JobRun:
    return JobRun(job.name, Start.BY_HAND, started_at=0.0, ending=lambda: False)


def test_a_daemon_without_an_exporter_has_no_such_job(tmp_path: Path) -> None:
    assert configured(tmp_path, SECTION).export is None


async def test_each_source_with_a_time_is_a_job_and_so_is_the_export(setup: Setup) -> None:
    jobs = {job.name: job for job in setup.part.jobs()}
    assert list(jobs) == ["site", "export"]
    assert (jobs["site"].trigger, jobs["site"].time_limit) == (Timer(60_000), 300.0)
    assert jobs["export"].trigger == Cron("0 */6 * * *", "Europe/Moscow")
    assert jobs["export"].early is not None
    assert jobs["site"].early is None


async def test_a_run_of_the_export_tells_what_it_did(setup: Setup, database: Database) -> None:
    await database.write(lambda c: add_ready(c, 7))
    job = setup.job("export")
    run = run_of(job)
    await job.run(run)
    assert run.result == {"batches": 2, "taken": 7, "invalid": 0}


async def test_one_that_is_put_off_tells_it_too_and_the_job_goes_on(
    setup: Setup, database: Database, status: list[int]
) -> None:
    status[0] = 503
    await database.write(lambda c: add_ready(c, 7))
    job = setup.job("export")
    run = run_of(job)
    with pytest.raises(PutOff):
        await job.run(run)
    assert run.result == {"batches": 1, "taken": 0, "invalid": 0}
    assert setup.stopped == []


@pytest.mark.parametrize("fails", [False, True])
async def test_a_refused_key_stops_the_job_and_stays_its_error(
    setup: Setup, database: Database, status: list[int], *, fails: bool
) -> None:
    status[0], setup.stopping_fails = 403, fails
    await database.write(lambda c: add_ready(c, 1))
    job = setup.job("export")
    with pytest.raises(ExportStopped, match="403"):
        await job.run(run_of(job))
    assert setup.stopped == ([] if fails else ["export"])
    assert job.early is not None
    assert await job.early() is None  # not at once again, should the job still be there
