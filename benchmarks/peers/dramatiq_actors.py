"""dramatiq over Redis or RabbitMQ, as the service's address says."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.work import SERVICE, TEXT, by_threads, no_op

# With `confirm_delivery`, `send` returns when RabbitMQ has the message; queues are durable, messages persistent.
broker = RabbitmqBroker(url=SERVICE, confirm_delivery=True) if SERVICE.startswith("amqp:") else RedisBroker(url=SERVICE)
dramatiq.set_broker(broker)


@dramatiq.actor
def task(text: str) -> None:
    no_op(text)


def enqueue(seconds: float, threads: int) -> None:
    by_threads(lambda: task.send(TEXT), seconds, threads)
