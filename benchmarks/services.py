"""Where the peers keep their tasks. Each is empty when it is entered, and gone when it is left.

SQLite is a file; Redis a server of our own, as the usual one does not sync. RabbitMQ and PostgreSQL are those of this
machine, in a virtual host and a database of our own, whose names nobody else uses: what an interrupted run left there
is dropped first.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.processes import HOST, Child, Failed, answer_of, free_port, wait_until_listening

PEERS_PYTHON = ROOT / ".cache" / "bench-venv" / "bin" / "python"
RABBITMQ = os.environ.get("BENCH_RABBITMQ", f"amqp://guest:guest@{HOST}:5672")
POSTGRESQL = os.environ.get("BENCH_POSTGRESQL", f"postgresql://postgres@{HOST}:5432")
VHOST, DATABASE = "vestnik-bench", "vestnik_bench"
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # where Debian keeps rabbitmqctl, and some PATHs do not look

#: Takes a folder for files and logs; gives the address.
Service = Callable[[Path], AbstractContextManager[str]]


@contextlib.contextmanager
def sqlite(place: Path) -> Iterator[str]:
    yield str(place / "tasks.db")


@contextlib.contextmanager
def redis(place: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        raise Failed("redis-server is not installed")
    port, options = free_port(), ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    command = [program, "--bind", HOST, "--port", str(port), "--dir", str(place), *options]
    with Child(command, log=place / "redis.log") as server:
        wait_until_listening(port, server)
        yield f"redis://{HOST}:{port}/0"


def rabbitmq(_place: Path) -> AbstractContextManager[str]:
    """Its durable classic queues."""
    return _vhost()


def rabbitmq_quorum(_place: Path) -> AbstractContextManager[str]:
    """Its quorum queues: what is published and what is acknowledged goes through a log that is synced."""
    return _vhost("--default-queue-type", "quorum")


@contextlib.contextmanager
def _vhost(*options: str) -> Iterator[str]:
    _drop_vhost()
    _rabbitmqctl("add_vhost", VHOST, *options)
    try:
        _rabbitmqctl("set_permissions", "--vhost", VHOST, "guest", ".*", ".*", ".*")
        yield f"{RABBITMQ}/{VHOST}"
    finally:
        _drop_vhost()


def _drop_vhost() -> None:
    with contextlib.suppress(Failed):  # there is none
        _rabbitmqctl("delete_vhost", VHOST)


def _rabbitmqctl(*arguments: str) -> None:
    program = shutil.which("rabbitmqctl", path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if program is None:
        raise Failed("rabbitmqctl is not installed")
    try:
        done = subprocess.run([program, "--quiet", *arguments], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"rabbitmqctl {arguments[0]} did not end") from None
    if done.returncode:
        raise Failed(f"rabbitmqctl {arguments[0]}: {(done.stderr.strip().splitlines() or [''])[0]}")


@contextlib.contextmanager
def postgresql(_place: Path) -> Iterator[str]:
    _database("create")
    try:
        yield f"{POSTGRESQL}/{DATABASE}"
    finally:
        _database("drop")


def _database(action: str) -> None:
    answer_of([str(PEERS_PYTHON), "-m", "benchmarks.peers.database", action, POSTGRESQL, DATABASE], patience=60.0)
