from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from jobs import JWT_SECRET, Clocks, RecordedJob, Scheduling, Served
from pytest_aiohttp import AiohttpClient

from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, JwtSettings, Tokens
from vestnik.web.openapi import PUBLIC_PREFIXES


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "vestnik.db")
    await database.open()
    await database.maintain(upgrade)
    yield database
    await database.close()


@pytest.fixture
async def scheduling(database: Database, tmp_path: Path, clocks: Clocks) -> AsyncIterator[Scheduling]:
    found = Scheduling(database, tmp_path, clocks)
    yield found
    await found.part.scheduler.stop(0.0)


@pytest.fixture
async def job() -> RecordedJob:
    """Of no fixture's scheduler yet; made inside the event loop."""
    return RecordedJob(url="https://quiz.example.org/?key=s3cr3t")


@pytest.fixture
async def served(scheduling: Scheduling, job: RecordedJob, aiohttp_client: AiohttpClient) -> Served:
    await scheduling.start(job)
    settings = AuthSettings(jwt=JwtSettings())
    keys = KeyRing(scheduling.database)
    auth = Auth(settings, Tokens(settings.jwt, JWT_SECRET), keys, public_prefixes=PUBLIC_PREFIXES)
    client = await aiohttp_client(build_application(auth, scheduling.part.routes()))
    return Served(scheduling, client)
