"""What Prometheus sees of delivery. Depth comes from the counts that the database keeps, so nothing counts rows."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from vestnik.delivery.attempt_metrics import AttemptCollector
from vestnik.delivery.model import Timestamp
from vestnik.runtime.clock import wall


class DeliveryMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.accepted = Counter("vestnik_messages_accepted", "Messages registered", ["channel"], registry=registry)
        self.repeated = Counter(
            "vestnik_messages_repeated", "Sends of what was registered already", ["channel"], registry=registry
        )
        self.refused = Counter("vestnik_messages_refused", "Sends answered 422", ["channel"], registry=registry)
        self.forgotten = Counter(
            "vestnik_messages_forgotten", "Messages that ended long ago, deleted", registry=registry
        )
        self.paused = Gauge("vestnik_channel_paused", "1 while a channel is held", ["channel"], registry=registry)
        self.store_unavailable = Gauge(
            "vestnik_store_unavailable", "1 while nothing new can be stored: a full disk, a lock", registry=registry
        )
        self.clock_jumps = Counter("vestnik_clock_jumps", "Times the clock was set", ["direction"], registry=registry)
        self.maintenance = Gauge("vestnik_maintenance", "1 in maintenance", registry=registry)
        self.attempts = AttemptCollector()
        registry.register(self.attempts)
        self.depth = DepthCollector()
        registry.register(self.depth)


class DepthCollector:
    """Tasks by channel and state, and since when the oldest is due, as they were read last."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self.oldest_due: dict[str, Timestamp | None] = {}

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("vestnik_tasks", "Tasks kept, by state", labels=["channel", "state"])
        for channel, states in self.counts.items():
            for state, count in states.items():
                family.add_metric([channel, state], count)
        yield family
        yield self._age()

    def _age(self) -> Metric:
        """By the time of the scrape; what is due later is not late, and neither is nothing."""
        family = GaugeMetricFamily(
            "vestnik_oldest_due_age_seconds", "Since when the oldest waiting task is due", labels=["channel"]
        )
        now = wall()
        for channel, due_at in self.oldest_due.items():
            family.add_metric([channel], 0.0 if due_at is None else max(0.0, now - due_at))
        return family
