"""What can be asked about mailings: figures, messages, a forecast (M4, M7). Knows no HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from vestnik.delivery.channel import ChannelRegistry
from vestnik.delivery.model import TaskState
from vestnik.errors import NotFound
from vestnik.mailings.forecast import Forecast, forecast
from vestnik.mailings.model import Mailing
from vestnik.mailings.store import figures as store
from vestnik.mailings.store import mailings
from vestnik.mailings.store.figures import MailingFigures, Page, Remaining
from vestnik.runtime.clock import Clock, wall
from vestnik.storage.database import Connection, Database


@dataclass(frozen=True, slots=True)
class Expected:
    """`clients`: whom the mailing is for; `ended` of them have had theirs, and the forecast is about the others."""

    clients: int
    ended: int
    rate: float | None  # messages a second that the channel may send at most
    forecast: Forecast


class Figures:
    def __init__(self, database: Database, channels: ChannelRegistry, clock: Clock = wall) -> None:
        self._database = database
        self._channels = channels
        self._clock = clock

    async def of_all(self) -> tuple[int, store.Figures]:
        """How many mailings there are, and their messages by status."""
        return await self._database.read(store.of_all)

    async def of_mailing(self, mailing_id: int) -> tuple[Mailing, MailingFigures]:
        """Also of a deleted one. Raises NotFound."""
        return await self._database.read(lambda c: _figures(c, mailing_id))

    async def messages(self, mailing_id: int, state: TaskState | None, after: int, limit: int) -> Page:
        """Also of a deleted one. Raises NotFound."""

        def read(connection: Connection) -> Page:
            _found(connection, mailing_id)
            return store.messages(connection, mailing_id, state, after, limit)

        return await self._database.read(read)

    async def forecast(self, mailing_id: int) -> Expected:
        """Raises NotFound, also when it was deleted."""
        mailing, remaining = await self._database.read(lambda c: _remaining(c, mailing_id))
        rate = self._rate(mailing.channel)
        found = await asyncio.to_thread(forecast, mailing, remaining.zones, rate, self._clock())
        return Expected(found.clients + remaining.ended, remaining.ended, rate, found)

    def _rate(self, name: str) -> float | None:
        if not self._channels.exists(name):
            return None
        rate = self._channels.get(name).settings.rate.total
        return rate.count / rate.period if rate else None


def _found(connection: Connection, mailing_id: int) -> Mailing:
    mailing = mailings.find(connection, mailing_id)
    if mailing is None:
        raise _missing(mailing_id)
    return mailing


def _figures(connection: Connection, mailing_id: int) -> tuple[Mailing, MailingFigures]:
    with store.one_moment(connection):
        return _found(connection, mailing_id), store.of_mailing(connection, mailing_id)


def _remaining(connection: Connection, mailing_id: int) -> tuple[Mailing, Remaining]:
    with store.one_moment(connection):
        mailing = _found(connection, mailing_id)
        if mailing.deleted_at is not None:
            raise _missing(mailing_id)
        return mailing, store.remaining(connection, mailing)


def _missing(mailing_id: int) -> NotFound:
    return NotFound(f"there is no mailing {mailing_id}")
