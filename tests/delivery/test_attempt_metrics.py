"""What a scrape shows of tries, beside what prometheus_client's own metrics would show of the same ones."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from vestnik.delivery.attempt_metrics import BOUNDS, AttemptCollector
from vestnik.delivery.model import (
    Deferred,
    Delivered,
    MessageId,
    Outcome,
    RefusedForGood,
    RetryPolicy,
    Settlement,
    Task,
    TaskId,
    settle,
)

NOW = 1_700_000_000.0
TASK = Task(TaskId(7), MessageId(5), "alerts", "a", "Hello", created_at=NOW)


class Watched:
    """The collector with a registry, and a clock that stands."""

    def __init__(self) -> None:
        self.now = NOW
        self.attempts = AttemptCollector(clock=lambda: self.now)
        self.registry = CollectorRegistry()
        self.registry.register(self.attempts)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"channel": "alerts"} | labels)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def ended(outcome: Outcome, task: Task = TASK) -> Settlement:
    return settle(task, outcome, RetryPolicy(), NOW)


def test_a_lost_end_is_no_try_under_way_and_none_that_ended(watched: Watched) -> None:
    watched.attempts.started(TASK)
    assert watched.value("vestnik_deliveries_running") == 1
    watched.attempts.lost(TASK)
    assert watched.value("vestnik_deliveries_running") == 0
    assert watched.value("vestnik_attempts_total", outcome="delivered") is None


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Delivered(), "delivered"),
        (RefusedForGood("no"), "refused"),
        (Deferred("later"), "deferred"),
        (Deferred("perhaps", maybe_sent=True), "ambiguous"),
    ],
)
def test_a_try_is_counted_by_how_it_ended(watched: Watched, outcome: Outcome, name: str) -> None:
    watched.attempts.started(TASK)
    watched.attempts.ended(ended(outcome), 0.3)
    assert watched.value("vestnik_deliveries_running") == 0
    assert watched.value("vestnik_attempts_total", outcome=name) == 1
    assert watched.value("vestnik_attempt_seconds_sum") == 0.3


def test_a_message_has_its_age_when_it_ends_and_not_while_it_is_tried_again(watched: Watched) -> None:
    watched.now = NOW + 5
    watched.attempts.ended(ended(Deferred("later")), 0.1)
    assert watched.value("vestnik_delivery_seconds_count", state="deferred") is None
    watched.attempts.ended(ended(Delivered()), 0.1)
    assert watched.value("vestnik_delivery_seconds_sum", state="delivered") == 5


def test_a_clock_that_was_set_back_makes_nobody_younger_than_nothing(watched: Watched) -> None:
    watched.now = NOW - 60
    watched.attempts.ended(ended(Delivered()), 0.1)
    assert watched.value("vestnik_delivery_seconds_sum", state="delivered") == 0


def test_the_samples_are_those_of_the_librarys_own_counter_and_histogram(watched: Watched) -> None:
    theirs = CollectorRegistry()
    attempts = Counter("vestnik_attempts", "Tries, by their end", ["channel", "outcome"], registry=theirs)
    lengths = Histogram("vestnik_attempt_seconds", "Length of a try", ["channel"], buckets=BOUNDS, registry=theirs)
    for seconds in (0.0, 0.005, 0.0051, *BOUNDS, 86_400.1, 1e9):  # also on the bounds, and beyond the last
        watched.attempts.ended(ended(Delivered()), seconds)
        attempts.labels("alerts", "delivered").inc()
        lengths.labels("alerts").observe(seconds)
    ours = _samples(watched.registry)
    for name, value in _samples(theirs).items():
        assert ours[name] == pytest.approx(value), name


def _samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """By name and labels; without when they began, which nobody's alert asks for."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
