"""The peers, each with the settings that its documentation gives for speed and that keep its tasks durable."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.processes import PATIENCE, Child, Failed, answer_of
from benchmarks.services import PEERS_PYTHON, Service, postgresql, rabbitmq, rabbitmq_quorum, redis, sqlite

LOOK = 0.02  # seconds between two looks at the tally


@dataclass(frozen=True)
class Peer:
    """`worker` is the command line of its own worker, after `python -m`."""

    name: str
    module: str
    service: Service
    worker: Sequence[str]
    enqueueing: str
    executing: str
    durability: str
    threads: int | None = None  # that enqueue; None: 64 coroutines
    prepare: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def measure(self, place: Path, seconds: float) -> tuple[float, float]:
        """Tasks enqueued a second, and executed a second. Raises Failed."""
        tally = place / "tally"
        with self.service(place) as address:
            env = {"BENCH_SERVICE": address, "PYTHONPATH": str(ROOT), **self.env}
            if self.prepare:
                self._prepare(place, env)
            enqueued = self._enqueue(env, seconds)
            tally.touch()
            command = [str(PEERS_PYTHON), "-m", *self.worker]
            env |= {"BENCH_TALLY": str(tally)}
            with Child(command, log=place / "worker.log", env=env, patience=1.0) as worker:
                executed = execution_rate(tally, worker, seconds=seconds, total=int(enqueued["enqueued"]))
        return enqueued["rate"], executed

    def _prepare(self, place: Path, env: Mapping[str, str]) -> None:
        with Child([str(PEERS_PYTHON), "-m", *self.prepare], log=place / "prepare.log", env=env) as process:
            if code := process.wait(PATIENCE):
                raise Failed(f"{self.name} could not be set up ({code}): {process.last_words()}")

    def _enqueue(self, env: Mapping[str, str], seconds: float) -> dict[str, float]:
        arguments = [self.module, str(seconds), *([str(self.threads)] if self.threads else [])]
        command = [str(PEERS_PYTHON), "-m", "benchmarks.peers.enqueue", *arguments]
        return answer_of(command, env=env, patience=seconds + PATIENCE)


def execution_rate(tally: Path, worker: Child, *, seconds: float, total: int) -> float:
    """Tasks a second, from the first one seen executed until all are or `seconds` are over."""
    looks: list[tuple[float, int]] = []
    until = time.perf_counter() + PATIENCE
    while (now := time.perf_counter()) < until:
        worker.check()
        count = tally.stat().st_size
        if count and not looks:
            until = now + seconds
        if count:
            looks.append((now, count))
        if count >= total:
            break
        time.sleep(LOOK)
    partial = [look for look in looks if look[1] < total]
    if len(partial) < 2:
        raise Failed(f"{worker.name} executed {looks[-1][1] if looks else 0} of {total} tasks at once")
    (began, first), (ended, last) = partial[0], partial[-1]
    return (last - first) / (ended - began)


_REDIS = "Redis 7, appendonly yes, appendfsync always: an fsync before each answer, shared by those who wait"
_RABBITMQ = (
    "RabbitMQ, durable classic queue, persistent messages, publisher confirms: syncs are shared; "
    "acknowledged when done, which is not synced, so a power cut runs again what was executed"
)
_QUORUM = "RabbitMQ, quorum queue, publisher confirms; acknowledged when done: both synced, and syncs are shared"
_DRAMATIQ = ("dramatiq", "benchmarks.peers.dramatiq_actors", "--processes", "2", "--threads", "8")
_CELERY = ("celery", "-A", "benchmarks.peers.celery_app", "worker", "--without-gossip", "--without-mingle")
_PROCRASTINATE = ("procrastinate", "--log-level", "warning", "--app", "benchmarks.peers.procrastinate_app.app")

PEERS = (
    Peer(
        "huey, SQLite",
        "huey_sqlite",
        sqlite,
        ("huey.bin.huey_consumer", "benchmarks.peers.huey_sqlite.huey", "-k", "process", "-w", "2", "-q"),
        "1 thread (more are not faster: SQLite has one writer)",
        "2 processes",
        "SQLite, fsync=True (synchronous=FULL), a commit for each task; a task is gone once a worker has taken it",
        threads=1,
    ),
    Peer(
        "procrastinate, PostgreSQL",
        "procrastinate_app",
        postgresql,
        (*_PROCRASTINATE, "worker", "--concurrency", "64"),
        "64 coroutines over a pool of 64 connections",
        "concurrency 64",
        "PostgreSQL, synchronous_commit=on, fsync=on, a transaction for each step of a task",
        prepare=(*_PROCRASTINATE, "schema", "--apply"),
    ),
    Peer(
        "Celery, RabbitMQ",
        "celery_app",
        rabbitmq,
        (*_CELERY, "--pool", "solo"),
        "64 threads",
        "pool solo, prefetch 64 (prefork and threads are slower with tasks as short as these)",
        f"{_RABBITMQ} (acks_late)",
        threads=64,
    ),
    Peer(
        "dramatiq, RabbitMQ",
        "dramatiq_actors",
        rabbitmq,
        _DRAMATIQ,
        "64 threads",
        "2 processes of 8 threads, prefetch 256",
        _RABBITMQ,
        threads=64,
        env={"dramatiq_queue_prefetch": "256"},
    ),
    Peer(
        "dramatiq, RabbitMQ quorum",
        "dramatiq_actors",
        rabbitmq_quorum,
        _DRAMATIQ,
        "64 threads",
        "2 processes of 8 threads, prefetch 256",
        _QUORUM,
        threads=64,
        env={"dramatiq_queue_prefetch": "256"},
    ),
    Peer(
        "dramatiq, Redis",
        "dramatiq_actors",
        redis,
        _DRAMATIQ,
        "8 threads (more are slower)",
        "2 processes of 8 threads, prefetch 256",
        f"{_REDIS}; acknowledged when done",
        threads=8,
        env={"dramatiq_queue_prefetch": "256"},
    ),
    Peer(
        "arq, Redis",
        "arq_worker",
        redis,
        ("arq", "benchmarks.peers.arq_worker.WorkerSettings"),
        "64 coroutines",
        "max_jobs 64, poll_delay 10 ms, results not kept",
        _REDIS,
    ),
    Peer(
        "saq, Redis",
        "saq_worker",
        redis,
        ("saq", "benchmarks.peers.saq_worker.settings", "--workers", "2", "--quiet"),
        "64 coroutines",
        "2 workers, concurrency 64",
        _REDIS,
    ),
)
