"""What Prometheus sees of clients and mailings."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from vestnik.mailings.model import MailingState, Timestamp
from vestnik.mailings.store import clients, expansion, mailings
from vestnik.storage.database import Database

_STATES = [state.value for state in MailingState if state is not MailingState.DELETED]


class MailingMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._clients = Gauge("vestnik_clients", "Clients kept", registry=registry)
        self._mailings = Gauge("vestnik_mailings", "Mailings that are not deleted", ["state"], registry=registry)
        self._lag = Gauge(
            "vestnik_mailing_expansion_lag_seconds",
            "Since the start of a running mailing that has clients without a message",
            registry=registry,
        )

    async def refresh(self, database: Database, now: Timestamp) -> None:
        """To be called every few seconds: a scrape reads what was read last."""
        self._clients.set(await database.read(clients.count))
        by_state = await database.read(lambda c: mailings.by_state(c, now))
        self._lag.set(await database.read(lambda c: expansion.lag(c, now)))
        for state in _STATES:
            self._mailings.labels(state).set(by_state.get(state, 0))
