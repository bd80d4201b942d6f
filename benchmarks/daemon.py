"""The real daemon as the benchmark starts it: `vestnik serve` configured for a case, watched over /metrics."""

from __future__ import annotations

import http.client
import json
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.machine import SERVER_CORE
from benchmarks.processes import HOST, PATIENCE, Child, Failed, free_port, wait_until_listening

Channels = Mapping[str, Mapping[str, Any]]

LOOK = 0.1  # seconds between two looks at the metrics; one costs the daemon about a millisecond
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Daemon:
    """One state directory; may be stopped, killed and started again. A context manager that ends it."""

    def __init__(
        self, folder: Path, channels: Channels, *, log_level: str = "warning", core: int | None = SERVER_CORE
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.database = folder / "vestnik.db"
        config = folder / "vestnik.yaml"
        config.write_text(json.dumps(_configuration(folder, self.port, channels, log_level)))  # JSON is YAML
        command = [sys.executable, "-m", "vestnik", "serve", "--config", str(config)]
        # A drain of minutes is broken off at its end: the daemon needs no longer than its own grace for that.
        self.process = Child(command, log=folder / "console.log", core=core, patience=PATIENCE)

    def __enter__(self) -> Daemon:
        try:
            self.start()
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()

    def start(self) -> None:
        """Return when it listens."""
        self.process.start()
        wait_until_listening(self.port, self.process)

    def metrics(self) -> Metrics:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise Failed(f"/metrics answered {answer.status}")
        return Metrics(text)


def _configuration(folder: Path, port: int, channels: Channels, log_level: str) -> dict[str, Any]:
    return {
        "service": {"listen": f"{HOST}:{port}", "state_dir": str(folder)},
        "log": {"level": log_level, "file": str(folder / "vestnik.log")},
        "channels": channels,
    }


class Metrics:
    """One reading of /metrics."""

    def __init__(self, text: str) -> None:
        self.at = time.perf_counter()
        self._samples = [
            (name, dict(_LABEL.findall(labels)), float(value)) for name, labels, value in _SAMPLE.findall(text)
        ]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples with this name and these labels."""
        return sum(value for _, value in self._found(name, labels))

    def buckets(self, name: str) -> dict[float, float]:
        """A histogram's cumulative counts by upper bound; empty when there is no such metric."""
        return {float(found["le"]): value for found, value in self._found(f"{name}_bucket", {})}

    def delivered(self) -> int:
        """Since the daemon was started. Raises Failed when a try ended in any other way: the case would not be fair."""
        tries = self.total("vestnik_attempts_total")
        delivered = self.total("vestnik_attempts_total", outcome="delivered")
        if tries != delivered:
            raise Failed(f"{tries - delivered:.0f} tries did not end with a delivery")
        return int(delivered)

    def _found(self, name: str, labels: Mapping[str, str]) -> list[tuple[dict[str, str], float]]:
        return [(own, value) for found, own, value in self._samples if found == name and labels.items() <= own.items()]


def first_delivery(daemon: Daemon) -> Metrics:
    """Wait until one is settled. Raises Failed when that takes longer than PATIENCE."""
    until = time.perf_counter() + PATIENCE
    while time.perf_counter() < until:
        daemon.process.check()
        metrics = daemon.metrics()
        if metrics.delivered():
            return metrics
        time.sleep(LOOK / 5)
    raise Failed(f"nothing was delivered within {PATIENCE:g} s; the log's end: {daemon.process.last_words()}")


def delivery_rate(daemon: Daemon, *, seconds: float, total: int) -> float:
    """Tasks a second, settled on disk, from the first delivery seen until `total` are or `seconds` are over.

    Taken between the first and the last look that saw some but not all of them, so neither the daemon's start nor an
    idle end counts.
    """
    looks = [first_delivery(daemon)]
    while looks[-1].delivered() < total and looks[-1].at < looks[0].at + seconds:
        time.sleep(LOOK)
        looks.append(daemon.metrics())
    partial = [look for look in looks if look.delivered() < total]
    used = partial if len(partial) > 1 else looks
    if len(used) < 2:
        raise Failed("all was delivered between two looks: the case needs more tasks")
    return rate_between(used[0], used[-1])


def rate_between(earlier: Metrics, later: Metrics) -> float:
    """Deliveries a second between two readings."""
    return (later.delivered() - earlier.delivered()) / (later.at - earlier.at)
