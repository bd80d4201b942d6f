from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from deliveries import JWT_SECRET, Serve, Served, SetClock, counts_agree
from prometheus_client import CollectorRegistry
from pytest_aiohttp import AiohttpClient

from vestnik.delivery.build import ConfiguredChannel, DeliveryPart
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.store import intake
from vestnik.delivery.workers.catalogue import find_worker
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.redaction import Redactor
from vestnik.storage.database import Connection, Database
from vestnik.storage.migrations.upgrade import upgrade
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, JwtSettings, Tokens
from vestnik.web.metrics import MetricsApi


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def connection() -> Iterator[Connection]:
    """To an empty database in memory, for what needs no threads."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    opened.row_factory = sqlite3.Row
    opened.execute("PRAGMA foreign_keys=ON")
    upgrade(opened)
    yield opened
    opened.close()


async def _opened(path: Path | None) -> Database:
    database = Database(path)
    await database.open()
    await database.maintain(upgrade)
    return database


@pytest.fixture
async def durable(tmp_path: Path) -> AsyncIterator[Database]:
    database = await _opened(tmp_path / "vestnik.db")
    yield database
    await database.close()


@pytest.fixture
async def memory() -> AsyncIterator[Database]:
    database = await _opened(None)
    yield database
    await database.close()


def configured(worker: str, params: dict[str, Any] | None = None, **settings: Any) -> ConfiguredChannel:
    checked = find_worker(worker).Settings.model_validate(params or {})
    return ConfiguredChannel(ChannelSettings.model_validate({"worker": worker, **settings}), checked)


SMS = {"gateway": "probe", "url": "http://127.0.0.1:9/", "token": "t0ken", "to": "79161234567", "max_segments": 1}


def usual_channels() -> dict[str, ConfiguredChannel]:
    """`held` never gets to deliver, `slow` never ends, `nowhere` always succeeds; `quick` does so from memory."""
    return {
        "held": configured("null", {"recipients": ["a", "b"]}, rate="1/h", executors=1),
        "slow": configured("null", {"delay": "1h"}),
        "nowhere": configured("null"),
        "quick": configured("null", queue="memory"),
        "refusing": configured("null", {"fail": "refuse", "recipients": ["a", "b"]}),
        "sms": configured("sms", SMS),
    }


@pytest.fixture
async def serve(
    aiohttp_client: AiohttpClient, durable: Database, memory: Database, tmp_path: Path
) -> AsyncIterator[Serve]:
    """Starts delivery with its routes, and stops it after the test."""
    parts: list[DeliveryPart] = []

    async def start(*, send: Literal["open", "key"] | None = None, paused: tuple[str, ...] = ("held", "sms")) -> Served:
        registry = CollectorRegistry()
        settings = AuthSettings(jwt=JwtSettings(), send=send)
        auth = Auth(settings, Tokens(settings.jwt, JWT_SECRET), KeyRing(durable))
        flag = MaintenanceFlag(tmp_path)
        part = DeliveryPart(
            usual_channels(),
            durable=durable,
            memory=memory,
            ceiling=await durable.read(intake.ceiling),
            maintenance=flag,
            auth=auth,
            redact=Redactor(["t0ken"]),
            metrics=registry,
            keep=timedelta(days=30),
        )
        for name in paused:
            await part.service.pause(name, "held by the test")
        await part.start()
        parts.append(part)
        client = await aiohttp_client(build_application(auth, [*part.routes(), *MetricsApi(registry).routes()]))
        return Served(part, client, flag, [durable, memory])

    yield start
    for part in parts:
        await part.stop(0.05)
    for database in (durable, memory):
        assert await database.read(counts_agree)
        assert await database.read(lambda c: c.execute("SELECT 1 FROM task WHERE state = 'running'").fetchone()) is None


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve()
