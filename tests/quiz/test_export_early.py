"""Runs that begin before their time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from exports import add_ready
from prometheus_client import CollectorRegistry

from vestnik.quiz.export import batches
from vestnik.quiz.export.answers import Later
from vestnik.quiz.export.exporter import Exporter
from vestnik.quiz.export.main_server import MainServer
from vestnik.quiz.export.metrics import ExportMetrics
from vestnik.quiz.export.settings import ExportSettings
from vestnik.scheduler.job import Start, Wish
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade

THRESHOLD = 3


class Setup:
    def __init__(self, database: Database) -> None:
        settings = ExportSettings.model_validate(
            {"url": "http://127.0.0.1:1/", "key": "k", "mode": "TIMER", "interval": 1000, "threshold": THRESHOLD}
        )
        self.database = database
        self.registry = CollectorRegistry()
        self.server = MainServer(settings)
        self.metrics = ExportMetrics(self.registry)
        self.now = 0.0
        self.exporter = Exporter(settings, database, self.server, self.metrics, clock=lambda: self.now)

    async def early(self, *, ready: int = 0) -> Wish | None:
        """Why a run is to begin, after `ready` more questions became ready."""
        await self.database.write(lambda c: add_ready(c, ready))
        return await self.exporter.early()


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    database = Database(tmp_path / "v.db")
    await database.open()
    await database.maintain(upgrade)
    found = Setup(database)
    yield found
    await found.server.close()
    await database.close()


async def test_one_more_than_the_threshold_begins_a_run(setup: Setup) -> None:
    assert not await setup.early(ready=THRESHOLD)
    assert await setup.early(ready=1) == Wish("more questions are ready than the threshold", Start.EARLY)


async def test_what_is_in_a_batch_already_does_not_count(setup: Setup) -> None:
    await setup.early(ready=THRESHOLD + 1)
    await setup.database.write(lambda c: batches.take_up(c, "b", 2, frozenset(), 1.0))
    setup.exporter.pace = setup.exporter.pace.put_off(Later("down"), 1, setup.now)
    assert not await setup.early()
    setup.now += 30
    assert await setup.early()
    await setup.metrics.refresh(setup.database)
    assert setup.registry.get_sample_value("vestnik_export_open_batches") == 1


async def test_a_batch_from_before_a_restart_is_tried_at_once_beside_the_plan(setup: Setup) -> None:
    await setup.database.write(lambda c: add_ready(c, 1))
    await setup.database.write(lambda c: batches.take_up(c, "b", 2, frozenset(), 1.0))
    assert await setup.early() == Wish("a batch waits for another try", Start.RETRY)
