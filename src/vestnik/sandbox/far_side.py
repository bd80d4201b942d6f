"""What a far side of the sandbox is: it keeps what arrives in one inbox, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

INBOX_SIZE = 1000


class Fault(StrEnum):
    """How a far side misbehaves. The words are shown on the inbox page and used in its HTTP interface."""

    NONE = "none"
    DOWN = "down"  # HTTP: 502 with an HTML page, as from a proxy before a dead service; SMTP: connection refused
    SLOW = "slow"  # answers rightly, after `slow_seconds`
    REFUSE = "refuse"  # a permanent refusal in the far side's own words
    RATE_LIMIT = "rate-limit"  # in the far side's own words, with how long to wait where it has such words
    GARBAGE = "garbage"  # an answer that is none
    DROP = "drop"  # takes the message, then drops the connection instead of answering


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that a far side took."""

    far_side: str
    recipient: str
    text: str
    subject: str | None = None
    reference: str | None = None  # Message-ID, our id for the gateway, …
    details: dict[str, str] = field(default_factory=dict)
    number: int = 0  # given by the inbox, from 1
    arrived_at: float = 0.0  # seconds since the epoch, UTC; given by the inbox


class Inbox:
    """The last arrivals of all far sides, in order; `wait_for` and `changed` tell of new ones."""

    def __init__(self, size: int = INBOX_SIZE) -> None:
        self._arrivals: deque[Arrival] = deque(maxlen=size)
        self._numbers = itertools.count(1)
        self._changed = asyncio.Condition()

    async def add(self, arrival: Arrival) -> None:
        numbered = Arrival(
            arrival.far_side,
            arrival.recipient,
            arrival.text,
            arrival.subject,
            arrival.reference,
            dict(arrival.details),
            next(self._numbers),
            time.time(),
        )
        async with self._changed:
            self._arrivals.append(numbered)
            self._changed.notify_all()

    def arrivals(self, *, after: int = 0, far_side: str | None = None) -> list[Arrival]:
        """Oldest first, with numbers above `after`."""
        return [a for a in self._arrivals if a.number > after and far_side in (None, a.far_side)]

    async def wait_for(self, count: int, *, far_side: str | None = None) -> list[Arrival]:
        """Return once at least `count` have arrived (put it under a timeout)."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.arrivals(far_side=far_side)) >= count)
            return self.arrivals(far_side=far_side)

    async def changed(self, *, after: int) -> list[Arrival]:
        """Return what came after number `after`, waiting for the first of it."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self.arrivals(after=after)))
            return self.arrivals(after=after)

    def clear(self) -> None:
        self._arrivals.clear()


class FarSide(ABC):
    """One far side. Tests set its fields; the inbox page sets `fault`."""

    name: str  # as in the page, in arrivals and in the URL of the fault switch
    faults: Sequence[Fault] = tuple(Fault)  # those that have a meaning for it

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.fault = Fault.NONE
        self.slow_seconds = 5.0
        self.retry_after = 5  # seconds asked for by RATE_LIMIT
        self.given: int | None = None  # questions that were asked for here, where nothing ever arrives
        self.on_change: Callable[[], None] = lambda: None  # called when `given` has grown

    async def set_fault(self, fault: Fault) -> None:
        """Raises ValueError for a fault that has no meaning here."""
        if fault not in self.faults:
            raise ValueError(f"{self.name} has no fault {fault}")
        self.fault = fault

    async def _take(self, arrivals: Iterable[Arrival]) -> None:
        for arrival in arrivals:
            await self.inbox.add(arrival)


class HttpFarSide(FarSide):
    """A far side reached over HTTP: its routes hang in the sandbox's one application, below its own prefix."""

    @abstractmethod
    def routes(self) -> Sequence[web.RouteDef]:
        """Absolute paths, prefix included (such as `/telegram/bot{token}/{method}`)."""

    @abstractmethod
    def refused(self) -> web.Response:
        """The answer under REFUSE."""

    @abstractmethod
    def rate_limited(self) -> web.Response:
        """The answer under RATE_LIMIT."""

    async def respond(
        self, request: web.Request, arrivals: Sequence[Arrival], accepted: web.Response
    ) -> web.StreamResponse:
        """Take the arrivals and answer `accepted`, or do what the present fault says."""
        match self.fault:
            case Fault.DOWN:
                return _bad_gateway()
            case Fault.REFUSE:
                return self.refused()
            case Fault.RATE_LIMIT:
                return self.rate_limited()
            case Fault.SLOW:
                await asyncio.sleep(self.slow_seconds)
        await self._take(arrivals)
        if self.fault is Fault.GARBAGE:
            return web.Response(text="<!doctype html><p>\ufffd\ufffd {not json", content_type="text/html")
        if self.fault is Fault.DROP:
            _drop(request)
        return accepted


def _bad_gateway() -> web.Response:
    page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
    return web.Response(status=502, text=page, content_type="text/html")


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
