"""How late the event loop is: what a request, a signal or a deadline has to wait for besides its own work."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Histogram

from vestnik.runtime.service import Loop

EVERY = 0.05  # seconds


class LoopLag:
    """Sleeps, and sees how much later than asked it wakes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            "vestnik_event_loop_lag_seconds",
            "How much later than asked the event loop woke a sleeper",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
            registry=registry,
        )
        self._loop = Loop("event loop lag", self._look)

    def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        self._lag.observe(max(0.0, loop.time() - due))
