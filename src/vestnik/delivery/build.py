"""Puts delivery together: settings and databases in; routes, loops, start and stop out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from aiohttp import web
from prometheus_client import CollectorRegistry

from vestnik.delivery.api import DeliveryApi
from vestnik.delivery.channel import Channel, ChannelRegistry
from vestnik.delivery.clock_watch import ClockWatch
from vestnik.delivery.ids import IdFactory
from vestnik.delivery.maintenance_watch import MaintenanceWatch
from vestnik.delivery.metrics import DeliveryMetrics
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.retention import Retention
from vestnik.delivery.service import Delivery
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.store import lookup
from vestnik.delivery.workers.catalogue import find_worker
from vestnik.delivery.workers.worker import WorkerSettings
from vestnik.runtime.clock import wall
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.redaction import Redactor
from vestnik.runtime.service import Loop
from vestnik.storage.database import Database
from vestnik.web.auth import Auth
from vestnik.web.plain_heads import PlainPost

SWEEP = 1.0  # seconds between two looks for what has expired
DEPTH = 2.0  # seconds between two readings of the counts for the metrics


@dataclass(frozen=True, slots=True)
class ConfiguredChannel:
    settings: ChannelSettings
    params: WorkerSettings  # checked by the worker's own class


class DeliveryPart:
    """Delivery as the daemon sees it."""

    def __init__(
        self,
        channels: Mapping[str, ConfiguredChannel],
        *,
        durable: Database,
        memory: Database,
        ceiling: int,
        maintenance: MaintenanceFlag,
        auth: Auth,
        redact: Redactor,
        metrics: CollectorRegistry,
        keep: timedelta,
    ) -> None:
        """`ceiling` is the highest id that may have been given out (`store.intake.ceiling`).

        What ended is kept for `keep`.
        """
        self._maintenance = maintenance
        self._metrics = DeliveryMetrics(metrics)
        self._databases = {"durable": durable, "memory": memory}
        self.registry = ChannelRegistry()
        self.service = Delivery(self.registry, [durable, memory], IdFactory(wall, above=ceiling))
        owner = secrets.token_hex(8)
        for name, configured in channels.items():
            self.registry.register(self._channel(name, configured, owner, redact))
        self._api = DeliveryApi(self.service, maintenance, auth, self._metrics)
        self._loops = [
            Loop("sweeper", self._sweep),
            Loop("depth", self._read_depth),
        ]
        self._clock_watch = ClockWatch(
            self.service.follow_clock_back, self._metrics.clock_jumps, held=lambda: maintenance.on
        )
        self._retention = Retention(
            [durable, memory],
            keep,
            held=lambda: maintenance.on or self._clock_watch.in_doubt(),
            forgotten=self._metrics.forgotten,
        )
        self._maintenance_watch = MaintenanceWatch(
            maintenance, self.service, self._databases.values(), self._metrics.maintenance
        )

    def routes(self) -> list[web.RouteDef]:
        return self._api.routes()

    def plain_posts(self) -> dict[str, PlainPost]:
        """Those routes that can be reached past the application, by path."""
        return self._api.plain_posts()

    def clock_in_doubt(self) -> bool:
        """The clock was set forward a while ago: nothing is to be ended for its age."""
        return self._clock_watch.in_doubt()

    async def start(self) -> None:
        await self.service.restore()
        await self._maintenance_watch.follow()
        for channel in self.registry:
            await self.registry.activate(channel.name)
        for loop in self._loops:
            loop.start()
        self._maintenance_watch.start()
        self._clock_watch.start(behind=await self.service.clock_is_behind())
        self._retention.start()

    async def stop(self, grace: float) -> None:
        """Claim nothing more; let deliveries end for `grace` seconds; put back what did not."""
        for loop in self._loops:
            await loop.stop()
        await self._maintenance_watch.stop()
        await self._clock_watch.stop()
        await self._retention.stop()
        for channel in self.registry:
            await channel.queue.hold("stopping")
        await asyncio.gather(*(self.registry.deactivate(channel.name, grace) for channel in self.registry))

    def _channel(self, name: str, configured: ConfiguredChannel, owner: str, redact: Redactor) -> Channel:
        settings = configured.settings
        database = self._databases[settings.queue]
        return Channel(
            name,
            settings,
            find_worker(settings.worker)(configured.params, name),
            database=database,
            queue=DurableQueue(database, name, owner),
            observer=self._metrics.attempts,
            redact=redact,
            pause=self.service.pause,
        )

    async def _sweep(self) -> None:
        # What has expired by a clock in doubt is not sent; whether it ended, the clock will show.
        if not self._maintenance.on and not self._clock_watch.in_doubt():
            await self.service.sweep()
        await asyncio.sleep(SWEEP)

    async def _read_depth(self) -> None:
        self._metrics.depth.counts = await self.service.depth()
        for channel in self.registry:
            oldest = await channel.database.read(partial(lookup.oldest_due, channel=channel.name))
            self._metrics.depth.oldest_due[channel.name] = oldest
        for database in self._databases.values():
            await database.look_at_space()
        full = any(database.trouble or database.nearly_full for database in self._databases.values())
        self._metrics.store_unavailable.set(full)
        for channel in self.registry:
            self._metrics.paused.labels(channel.name).set(channel.paused is not None)
        await asyncio.sleep(DEPTH)
