from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from administering import Administered, channels
from deliveries import JWT_SECRET, SetClock, counts_agree
from prometheus_client import CollectorRegistry
from pytest_aiohttp import AiohttpClient

from vestnik.delivery.build import DeliveryPart
from vestnik.mailings.build import MailingsPart
from vestnik.mailings.settings import MailingsSettings
from vestnik.mailings.store import clients
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.redaction import Redactor
from vestnik.storage.database import Connection, Database
from vestnik.storage.migrations.upgrade import upgrade
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, Tokens
from vestnik.web.metrics import MetricsApi
from vestnik.web.openapi import PUBLIC_PREFIXES


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """After the test its counts have to be what counting the rows gives."""
    database = Database(tmp_path / "vestnik.db")
    await database.open()
    await database.maintain(upgrade)
    yield database
    assert await database.read(counts_agree)
    assert await database.read(_clients_agree)
    await database.close()


def _clients_agree(connection: Connection) -> bool:
    return clients.count(connection) == connection.execute("SELECT count(*) FROM client").fetchone()[0]


@pytest.fixture
async def admin(
    database: Database, clock: SetClock, tmp_path: Path, aiohttp_client: AiohttpClient
) -> AsyncIterator[Administered]:
    memory = Database(None)
    await memory.open()
    await memory.maintain(upgrade)
    settings = AuthSettings()
    auth = Auth(settings, Tokens(settings.jwt, JWT_SECRET), KeyRing(database), public_prefixes=PUBLIC_PREFIXES)
    maintenance, registry = MaintenanceFlag(tmp_path), CollectorRegistry()
    delivery = DeliveryPart(
        channels(),
        durable=database,
        memory=memory,
        ceiling=0,
        maintenance=maintenance,
        auth=auth,
        redact=Redactor(),
        metrics=registry,
        keep=timedelta(days=30),
    )
    part = MailingsPart(
        MailingsSettings(import_limit=1 << 20),
        database=database,
        delivery=delivery.service,
        maintenance=maintenance,
        metrics=registry,
        clock=clock,
    )
    client = await aiohttp_client(build_application(auth, [*part.routes(), *MetricsApi(registry).routes()]))
    yield Administered(client, database, clock, maintenance, delivery, part)
    await memory.close()
