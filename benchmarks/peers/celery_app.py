"""Celery over Redis or RabbitMQ, as the service's address says."""

from __future__ import annotations

from celery import Celery

from benchmarks.peers.work import SERVICE, TEXT, by_threads, no_op

app = Celery(__name__, broker=SERVICE)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,  # else a task is gone once a worker has it, done or not
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=64,
    worker_disable_rate_limits=True,
    broker_pool_limit=64,
)


@app.task
def task(text: str) -> None:
    no_op(text)


def enqueue(seconds: float, threads: int) -> None:
    by_threads(lambda: task.delay(TEXT), seconds, threads)
