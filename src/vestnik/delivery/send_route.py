"""`POST /api/send/<channel>` of one channel (D1, D2): what is asked most, and has to answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from vestnik.delivery.channel import Channel
from vestnik.delivery.metrics import DeliveryMetrics
from vestnik.delivery.send_form import read_plain_send, read_send, received_body
from vestnik.delivery.service import Delivery
from vestnik.delivery.store.intake import OtherContent, Registered
from vestnik.errors import InvalidInput, StoreUnavailable
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.web.auth import Auth, Caller, public
from vestnik.web.body import read_body
from vestnik.web.direct import direct
from vestnik.web.no_content import NoContent
from vestnik.web.plain_heads import Headers


class SendRoute:
    """Channels are fixed at start, so each has a path of its own, which is looked up and not searched for."""

    def __init__(
        self, channel: Channel, delivery: Delivery, maintenance: MaintenanceFlag, auth: Auth, metrics: DeliveryMetrics
    ) -> None:
        self._channel = channel
        self._delivery = delivery
        self._maintenance = maintenance
        self._auth = auth
        self._accepted = metrics.accepted.labels(channel.name)
        self._repeated = metrics.repeated.labels(channel.name)
        self._refused = metrics.refused.labels(channel.name)

    @property
    def path(self) -> str:
        return f"/api/send/{self._channel.name}"

    def definition(self) -> web.RouteDef:
        return web.post(self.path, self.send)

    @direct
    @public
    async def send(self, request: web.Request) -> web.StreamResponse:
        if self._maintenance.on:
            return web.Response(status=503)
        caller = self._auth.at_once(request.headers) or await self._auth.sender(request)
        if isinstance(caller, web.Response):
            return caller
        body = received_body(request)
        if body is None:
            body = await read_body(request)
            if self._maintenance.read().on:  # the body may have taken its time to arrive
                return web.Response(status=503)
        try:
            send = read_send(request, body, self._channel, caller.sender)
        except InvalidInput:
            self._refused.inc()
            raise
        return NoContent(self._answered(await self._delivery.send(send)))

    # -- as a PlainPost; what is refused here is asked for once more above, which says why

    def begin(self, headers: Headers, body: bytes) -> asyncio.Future[Any] | None:
        if self._maintenance.on:
            return None
        if caller := self._auth.at_once(headers):
            return self._begin(headers, body, caller)
        return asyncio.create_task(self._ask(headers, body)) if "X-API-Key" in headers else None

    def accepted(self, done: Registered | OtherContent | None) -> Mapping[str, str] | None:
        return self._answered(done) if isinstance(done, Registered) else None

    async def _ask(self, headers: Headers, body: bytes) -> Registered | OtherContent | None:
        """With a key that the database has to be asked about."""
        caller = await self._auth.holder(headers)
        begun = self._begin(headers, body, caller) if caller else None
        return await begun if begun else None

    def _begin(self, headers: Headers, body: bytes, caller: Caller) -> asyncio.Future[Registered | OtherContent] | None:
        try:
            send = read_plain_send(headers, body, self._channel, caller.sender)
            return self._delivery.begin(send) if send else None
        except (InvalidInput, StoreUnavailable):
            return None

    def _answered(self, registered: Registered) -> dict[str, str]:
        (self._accepted if registered.new else self._repeated).inc()
        return location(registered.id)


def location(message_id: int) -> dict[str, str]:
    return {"X-Message-Id": str(message_id), "Location": f"/api/messages/{message_id}"}
