"""Puts mailings together: settings, a database and delivery in; routes, jobs, start and stop out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry

from vestnik.delivery.service import Delivery
from vestnik.mailings.clients import Clients
from vestnik.mailings.clients_api import ClientsApi
from vestnik.mailings.figures import Figures
from vestnik.mailings.figures_api import FiguresApi
from vestnik.mailings.mailings_api import MailingsApi
from vestnik.mailings.metrics import MailingMetrics
from vestnik.mailings.reporting import DailyReport
from vestnik.mailings.sending import Sending
from vestnik.mailings.service import Mailings
from vestnik.mailings.settings import MailingsSettings
from vestnik.runtime.clock import Clock, wall
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.service import Loop
from vestnik.scheduler.job import JobDefinition
from vestnik.storage.database import Database

REFRESH = 2.0  # seconds between two readings of the counts for the metrics


class MailingsPart:
    """Mailings as the daemon sees them."""

    def __init__(
        self,
        settings: MailingsSettings,
        *,
        database: Database,
        delivery: Delivery,
        maintenance: MaintenanceFlag,
        metrics: CollectorRegistry,
        clock_in_doubt: Callable[[], bool] = lambda: False,
        clock: Clock = wall,
    ) -> None:
        self._settings = settings
        self._database = database
        self._delivery = delivery
        self._maintenance = maintenance
        self._metrics = MailingMetrics(metrics)
        self._clock = clock
        clients = Clients(database, timezone=settings.timezone, clock=clock)
        self._clients_api = ClientsApi(clients, maintenance, import_limit=settings.import_limit)
        self._mailings_api = MailingsApi(Mailings(database, delivery.registry, clock), clock)
        self._figures_api = FiguresApi(Figures(database, delivery.registry, clock), clock)
        self.sending = Sending(
            database,
            delivery,
            ahead=settings.ahead.total_seconds(),
            held=lambda: maintenance.on,
            in_doubt=clock_in_doubt,
            clock=clock,
        )
        self._report = DailyReport(settings.report, database, delivery, clock) if settings.report else None
        self._loops = [Loop("mailing counts", self._refresh)]

    def routes(self) -> list[web.RouteDef]:
        return [*self._clients_api.routes(), *self._mailings_api.routes(), *self._figures_api.routes()]

    def jobs(self) -> Iterator[JobDefinition]:
        """The daily report, where one is configured."""
        if self._report:
            yield self._report.job()

    async def start(self) -> None:
        """After delivery, whose channels the messages go to."""
        for loop in self._loops:
            loop.start()
        self.sending.start()

    async def stop(self) -> None:
        await self.sending.stop()
        for loop in self._loops:
            await loop.stop()

    async def _refresh(self) -> None:
        await self._metrics.refresh(self._database, self._clock())
        await asyncio.sleep(REFRESH)
