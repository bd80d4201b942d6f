"""saq over Redis."""

from __future__ import annotations

from saq import Queue

from benchmarks.peers.work import AT_ONCE, SERVICE, TEXT, by_coroutines, no_op

queue = Queue.from_url(SERVICE)


async def task(_context: dict[str, object], *, text: str) -> None:
    no_op(text)


settings = {"queue": queue, "functions": [task], "concurrency": AT_ONCE}


async def enqueue(seconds: float) -> None:
    await queue.connect()
    await by_coroutines(lambda: queue.enqueue("task", text=TEXT, ttl=-1), seconds)
    await queue.disconnect()
