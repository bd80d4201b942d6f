"""What Prometheus sees of questions. How many there are comes from the counts that the database keeps."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from vestnik.quiz.intake import TakeReport
from vestnik.quiz.store import counts
from vestnik.storage.database import Database


class QuestionMetrics:
    """The Observer of the intake."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._taken = Counter(
            "vestnik_questions_taken", "Questions that sources gave", ["source", "outcome"], registry=registry
        )
        self._found = Counter(
            "vestnik_questions_screened",
            "What screening found; a question can be found by several rules",
            ["rule", "effect"],
            registry=registry,
        )
        self._kept = KeptCollector()
        registry.register(self._kept)

    def took(self, source: str, report: TakeReport) -> None:
        for outcome in ("ready", "raw", "refused"):
            self._taken.labels(source, outcome).inc(getattr(report, outcome))
        by_effect = {"raw": report.raw_by_rule, "refuse": report.refused_by_rule, "repair": report.fixed_by_rule}
        for effect, by_rule in by_effect.items():
            for rule, count in by_rule.items():
                self._found.labels(rule, effect).inc(count)

    async def refresh(self, database: Database) -> None:
        """To be called every few seconds: a scrape reads what was read last."""
        self._kept.counts = await database.read(counts.all_counts)


class KeptCollector:
    """Questions by status, as they were read last; of those sent or rejected it is the hashes that are kept."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("vestnik_questions", "Questions kept, and hashes of past ones", labels=["status"])
        for status, count in self.counts.items():
            family.add_metric([status], count)
        yield family
