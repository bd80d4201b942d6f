"""What every peer does alike: the task that does nothing but be counted, and the loops that enqueue it.

Runs in the peers' virtual environment, too: nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable

AT_ONCE = 64
TEXT = "Hello, world"

#: Where the service is that the peer keeps its tasks in; a path for SQLite.
SERVICE = os.environ.get("BENCH_SERVICE", "")

# Worker processes that are forked later append to the same file.
_tally = os.open(os.environ.get("BENCH_TALLY", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def no_op(_text: str) -> None:
    """The body of every peer's task: one byte for each execution, about a microsecond."""
    os.write(_tally, b".")


async def by_coroutines(enqueue: Callable[[], Awaitable[object]], seconds: float) -> None:
    """`AT_ONCE` coroutines, each enqueueing one task after another; prints how many they managed."""

    async def one(until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            await enqueue()
            count += 1
        return count

    await asyncio.gather(*(enqueue() for _ in range(AT_ONCE)))  # connects
    began = time.perf_counter()
    counts = await asyncio.gather(*(one(began + seconds) for _ in range(AT_ONCE)))
    _tell(sum(counts), AT_ONCE, time.perf_counter() - began)


def by_threads(enqueue: Callable[[], object], seconds: float, threads: int) -> None:
    """As many threads, each enqueueing one task after another; prints how many they managed."""
    clock = _Clock()
    ready = threading.Barrier(threads, action=clock.start)
    counts: list[int] = []
    errors: list[Exception] = []

    def one() -> None:
        count = 0
        try:
            enqueue()  # connects
            ready.wait()
            while clock.elapsed() < seconds:
                enqueue()
                count += 1
        except Exception as error:
            errors.append(error)
            ready.abort()
        counts.append(count)

    running = [threading.Thread(target=one) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
    _tell(sum(counts), threads, clock.elapsed())


class _Clock:
    def __init__(self) -> None:
        self._began = 0.0

    def start(self) -> None:
        self._began = time.perf_counter()

    def elapsed(self) -> float:
        return time.perf_counter() - self._began


def _tell(count: int, before: int, seconds: float) -> None:
    print(json.dumps({"rate": count / seconds, "enqueued": before + count}), flush=True)
