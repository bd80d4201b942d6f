"""What Prometheus sees of the scheduler."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from vestnik.scheduler.state import Ended, JobState, Outcome, State

_SECONDS = (0.01, 0.1, 0.5, 2, 10, 60, 300, 1800, 7200, 43200)


class SchedulerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter("vestnik_job_runs", "Runs, by their end", ["job", "outcome"], registry=registry)
        self._seconds = Histogram(
            "vestnik_job_seconds", "Length of a run", ["job"], buckets=_SECONDS, registry=registry
        )
        self._running = Gauge("vestnik_job_running", "1 while a job runs", ["job"], registry=registry)
        self._working = Gauge("vestnik_job_working", "0 while a job is paused or stopped", ["job"], registry=registry)
        self._success = Gauge(
            "vestnik_job_last_success_timestamp_seconds", "When a run last succeeded", ["job"], registry=registry
        )
        self._next = Gauge(
            "vestnik_job_next_run_timestamp_seconds", "When it runs next; 0: never", ["job"], registry=registry
        )

    def stands(self, state: JobState) -> None:
        """After every change."""
        self._running.labels(state.name).set(state.running_since is not None)
        self._working.labels(state.name).set(state.state is State.WORKING)
        self._next.labels(state.name).set(state.next_run_at or 0)
        if state.last_success_at is not None:
            self._success.labels(state.name).set(state.last_success_at)

    def known(self, state: JobState) -> None:
        """All outcomes from the beginning: a counter that appears with its first failure hides that failure."""
        for outcome in Outcome:
            self._runs.labels(state.name, outcome.value)
        self.stands(state)

    def ended(self, name: str, end: Ended, seconds: float) -> None:
        self._runs.labels(name, end.outcome.value).inc()
        self._seconds.labels(name).observe(seconds)
