"""What Prometheus sees of the exporter."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from vestnik.quiz.export import batches
from vestnik.quiz.export.answers import Denied, Later, Refused, Taken, Verdict
from vestnik.quiz.export.batches import Settled
from vestnik.storage.database import Database


class ExportMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.questions = Counter(
            "vestnik_export_questions", "Questions that left a batch, by how", ["outcome"], registry=registry
        )
        self.requests = Counter(
            "vestnik_export_requests", "Batches sent, every try, by how it ended", ["end"], registry=registry
        )
        # All of them from the beginning: a counter that appears with its first failure hides that failure.
        for outcome in ("acknowledged", "refused", "taken back"):
            self.questions.labels(outcome)
        for end in ("taken", "refused", "denied", "unclear", "later"):
            self.requests.labels(end)
        self.stopped = Gauge(
            "vestnik_export_stopped", "1 when the main server refused the key or everything", registry=registry
        )
        self.unclear = Gauge(
            "vestnik_export_unclear_in_a_row",
            "Tries in a row of whose answer one cannot say what it means",
            registry=registry,
        )
        self.open_batches = Gauge("vestnik_export_open_batches", "Batches that wait for another try", registry=registry)

    def answered(self, verdict: Verdict) -> None:
        self.requests.labels(_end(verdict)).inc()

    def settled(self, settled: Settled) -> None:
        self.questions.labels("acknowledged").inc(settled.gone)
        self.questions.labels("refused").inc(len(settled.refused))

    def taken_back(self, count: int) -> None:
        """Of those that were counted as refused."""
        self.questions.labels("taken back").inc(count)

    async def refresh(self, database: Database) -> None:
        """To be called every few seconds: a scrape reads what was read last."""
        self.open_batches.set((await database.read(batches.backlog)).open_batches)


def _end(verdict: Verdict) -> str:
    match verdict:
        case Taken():
            return "taken"
        case Refused():
            return "refused"
        case Denied():
            return "denied"
        case Later(unclear=True):
            return "unclear"
        case Later():
            return "later"
