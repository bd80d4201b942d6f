"""arq over Redis."""

from __future__ import annotations

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers.work import AT_ONCE, SERVICE, TEXT, by_coroutines, no_op

REDIS = RedisSettings.from_dsn(SERVICE)


async def task(_context: dict[str, object], text: str) -> None:
    no_op(text)


class WorkerSettings:
    functions = (task,)
    redis_settings = REDIS
    max_jobs = AT_ONCE
    queue_read_limit = 10 * AT_ONCE
    poll_delay = 0.01
    keep_result = 0


async def enqueue(seconds: float) -> None:
    pool = await create_pool(REDIS)
    await by_coroutines(lambda: pool.enqueue_job("task", TEXT), seconds)
