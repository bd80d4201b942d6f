"""huey over SQLite. `python -m benchmarks.peers.huey_sqlite SECONDS [THREADS]` enqueues."""

from __future__ import annotations

from huey import SqliteHuey

from benchmarks.peers.work import SERVICE, TEXT, by_threads, no_op

# fsync=True is synchronous=FULL. Results are not asked for, so none are stored.
huey = SqliteHuey(filename=SERVICE, fsync=True, results=False)


@huey.task()
def task(text: str) -> None:
    no_op(text)


def enqueue(seconds: float, threads: int) -> None:
    by_threads(lambda: task(TEXT), seconds, threads)
