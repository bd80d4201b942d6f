"""Follows the maintenance flag (D4): holds the queues and lets them go, and tells the command that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prometheus_client import Gauge

from vestnik.delivery.channel import MAINTENANCE
from vestnik.delivery.service import Delivery
from vestnik.delivery.store import intake
from vestnik.runtime.clock import iso
from vestnik.runtime.log import get_logger
from vestnik.runtime.maintenance import Flag, MaintenanceFlag
from vestnik.runtime.service import Loop
from vestnik.storage.database import Database

log = get_logger(__name__)

EVERY = 0.1  # seconds between two looks at the flag


class MaintenanceWatch:
    def __init__(
        self, maintenance: MaintenanceFlag, delivery: Delivery, databases: Iterable[Database], shown: Gauge
    ) -> None:
        self._maintenance = maintenance
        self._delivery = delivery
        self._databases = list(databases)
        self._shown = shown
        self._acted_on = Flag()
        self._under_way = 0  # as it was told last
        self._loop = Loop("maintenance watch", self._step)

    def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def follow(self) -> None:
        """Act on the flag as it is now. Raises StoreUnavailable, and then nobody is told that it was acted on."""
        flag = self._maintenance.read()
        if flag != self._acted_on:
            await self._act(flag)
            await self._tell(flag)
        elif self._under_way:
            await self._tell(flag)

    async def _step(self) -> None:
        await self.follow()
        await asyncio.sleep(EVERY)

    async def _act(self, flag: Flag) -> None:
        for channel in self._delivery.registry:
            if flag.on:
                await channel.queue.hold(MAINTENANCE)
            else:
                channel.queue.resume(MAINTENANCE)
        if flag.on:
            # Sends that saw the flag off are committed before this: nothing is put in after the answer.
            await asyncio.gather(*(database.write(intake.ceiling) for database in self._databases))
        self._shown.set(flag.on)
        _log(flag, before=self._acted_on)
        self._acted_on = flag

    async def _tell(self, flag: Flag) -> None:
        """Also of the deliveries that go on: none is begun, but those under way may end."""
        depth = await self._delivery.depth() if flag.on else {}
        under_way = sum(states.get("running", 0) for states in depth.values())
        if under_way != self._under_way and flag.on and not under_way:
            log.info("no delivery is under way any more")
        self._under_way = under_way
        if flag.revision:
            self._maintenance.acknowledge(flag, under_way)


def _log(flag: Flag, *, before: Flag) -> None:
    reason = {"reason": flag.reason} if flag.reason else {}
    if flag.unreadable:
        log.warning("the maintenance flag cannot be read, which is taken for maintenance", **reason)
    elif flag.on:
        log.info("in maintenance", **reason, since=iso(flag.since))
    elif before.on:
        log.info("maintenance is over", **reason)
