from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry

from vestnik.runtime.loop_lag import LoopLag


async def test_a_loop_that_was_held_up_shows_in_the_metric() -> None:
    registry = CollectorRegistry()
    lag = LoopLag(registry)
    lag.start()
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - what is to be seen
    async with asyncio.timeout(60):
        while not registry.get_sample_value("vestnik_event_loop_lag_seconds_count"):
            await asyncio.sleep(0.01)
    await lag.stop()
    assert (registry.get_sample_value("vestnik_event_loop_lag_seconds_sum") or 0) > 0.2
