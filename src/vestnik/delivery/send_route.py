"""`POST /api/send/<channel>` of one channel (D1, D2): what is asked most, and has to answer at once."""

from __future__ import annotations

from aiohttp import web

from vestnik.delivery.channel import Channel
from vestnik.delivery.metrics import DeliveryMetrics
from vestnik.delivery.send_form import read_send, received_body
from vestnik.delivery.service import Delivery
from vestnik.errors import InvalidInput
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.web.auth import Auth, public
from vestnik.web.body import read_body
from vestnik.web.direct import direct
from vestnik.web.no_content import NoContent


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

    def definition(self) -> web.RouteDef:
        return web.post(f"/api/send/{self._channel.name}", self.send)

    @direct
    @public
    async def send(self, request: web.Request) -> web.StreamResponse:
        if self._maintenance.on:
            return web.Response(status=503)
        caller = self._auth.anybody(request) or await self._auth.sender(request)
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
        registered = await self._delivery.send(send)
        (self._accepted if registered.new else self._repeated).inc()
        return NoContent(location(registered.id))


def location(message_id: int) -> dict[str, str]:
    return {"X-Message-Id": str(message_id), "Location": f"/api/messages/{message_id}"}
