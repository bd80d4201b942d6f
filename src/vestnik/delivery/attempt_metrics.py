"""Tries as Prometheus sees them: plain numbers until somebody scrapes.

prometheus_client's own counters and histograms take a lock for each number: 7 µs for a try, a sixth of all that a
delivery costs. All is done in the event loop here, so there is nothing to lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from vestnik.delivery.model import Settlement, Task
from vestnik.delivery.store.settlements import outcome_name
from vestnik.runtime.clock import Clock, wall

BOUNDS = (0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600, 3600, 86400)  # seconds, upper ones


class AttemptCollector:
    """The Observer of all channels; registered with Prometheus' registry, it makes the samples of a scrape."""

    def __init__(self, *, clock: Clock = wall) -> None:
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._lengths: defaultdict[str, _Distribution] = defaultdict(_Distribution)
        self._ages: defaultdict[tuple[str, str], _Distribution] = defaultdict(_Distribution)

    def started(self, task: Task) -> None:
        self._running[task.channel] += 1

    def ended(self, settlement: Settlement, seconds: float) -> None:
        task = settlement.task
        channel = task.channel
        self._running[channel] -= 1
        self._ended[channel, outcome_name(settlement.outcome)] += 1
        self._lengths[channel].add(seconds)
        if settlement.due_at is None:
            self._ages[channel, settlement.state].add(max(0.0, self._clock() - task.created_at))

    def lost(self, task: Task) -> None:
        self._running[task.channel] -= 1

    def collect(self) -> Iterator[Metric]:
        running = GaugeMetricFamily("vestnik_deliveries_running", "Tries under way", labels=["channel"])
        for channel, number in self._running.items():
            running.add_metric([channel], number)
        yield running
        ended = CounterMetricFamily("vestnik_attempts", "Tries, by their end", labels=["channel", "outcome"])
        for labels, number in self._ended.items():
            ended.add_metric(labels, number)
        yield ended
        lengths = HistogramMetricFamily("vestnik_attempt_seconds", "Length of a try", labels=["channel"])
        for channel, length in self._lengths.items():
            lengths.add_metric([channel], length.buckets(), length.total)
        yield lengths
        from_registered = "From registered to ended"
        ages = HistogramMetricFamily("vestnik_delivery_seconds", from_registered, labels=["channel", "state"])
        for labels, age in self._ages.items():
            ages.add_metric(labels, age.buckets(), age.total)
        yield ages


class _Distribution:
    """What a histogram is made of."""

    def __init__(self) -> None:
        self.total = 0.0
        self._counts = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        self.total += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Counts of all up to a bound, as the text format wants them."""
        bounds = [*map(floatToGoString, BOUNDS), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))
