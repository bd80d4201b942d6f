"""Delivery over HTTP: send and ping (D1-D3), messages, channels."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from aiohttp_apigami import docs, json_schema, querystring_schema

from vestnik.delivery.metrics import DeliveryMetrics
from vestnik.delivery.schemas import (
    ChannelAction,
    ChannelSchema,
    ChannelsSchema,
    ListQuery,
    MessageSchema,
    MessagesSchema,
    ResendQuery,
    ResentSchema,
    channel_body,
    message_body,
)
from vestnik.delivery.send_form import FORM, LONGEST_DELAY, LONGEST_EXPIRE, LONGEST_KEY, LONGEST_SUBJECT
from vestnik.delivery.send_route import SendRoute, location
from vestnik.delivery.service import Delivery
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.intake import IDEMPOTENCY_KEPT
from vestnik.delivery.store.lookup import MessageView
from vestnik.errors import NotFound
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.web.auth import Auth, public, role_required
from vestnik.web.openapi import ROLE_ERRORS, ROLE_SECURITY, error
from vestnik.web.plain_heads import PlainPost

_SENDER_SECURITY: list[dict[str, list[str]]] = [{}, {"apiKey": []}, {"token": []}]
_SENDER_ERRORS = {
    401: error("no valid API key or token (where `auth.send` asks for one)"),
    403: error("the token's role is not allowed; or, without credentials, another site's page seems to ask"),
    429: error("too many failed attempts from this address"),
}
_MESSAGE_HEADERS = {
    "X-Message-Id": {"schema": {"type": "integer"}, "description": "the message's id"},
    "Location": {"schema": {"type": "string"}, "description": "where its state is"},
}
_FIELDS = {
    "message": {
        "type": "string",
        "minLength": 1,
        "pattern": r"^[^\u0000]+$",
        "description": "one or many lines; the channel's worker says what it can carry",
    },
    "delay": {"type": "integer", "minimum": 0, "maximum": LONGEST_DELAY, "description": "seconds to wait first"},
    "expire": {
        "type": "integer",
        "minimum": 1,
        "maximum": LONGEST_EXPIRE,
        "description": "seconds after it became due; not delivered by then, it is dropped",
    },
    "subject": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_SUBJECT,
        "pattern": r"^[^\r\n]+$",
        "description": "for channels that take one, such as e-mail",
    },
}
_FORM_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "properties": _FIELDS,
                "required": ["message"],
                "additionalProperties": False,
            }
        }
    },
}
_ID: dict[str, Any] = {
    "in": "path",
    "name": "id",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": (1 << 53) - 1},
}


def _channel_parameter(name: str) -> dict[str, Any]:
    return {"in": "path", "name": name, "required": True, "schema": {"type": "string"}, "description": "its name"}


class DeliveryApi:
    def __init__(self, delivery: Delivery, maintenance: MaintenanceFlag, auth: Auth, metrics: DeliveryMetrics) -> None:
        self._delivery = delivery
        self._maintenance = maintenance
        self._auth = auth
        self._sends = {
            channel.name: SendRoute(channel, delivery, maintenance, auth, metrics) for channel in delivery.registry
        }

    def plain_posts(self) -> dict[str, PlainPost]:
        """By path; each is a route as well."""
        return {send.path: send for send in self._sends.values()}

    def routes(self) -> list[web.RouteDef]:
        return [
            *(send.definition() for send in self._sends.values()),
            web.post("/api/send/{channel}", self.send),
            web.get("/api/ping", self.ping, allow_head=False),
            web.get("/api/messages", self.list_messages, allow_head=False),
            web.get("/api/messages/{id}", self.show_message, allow_head=False),
            web.delete("/api/messages/{id}", self.cancel_message),
            web.post("/api/messages/{id}/resend", self.resend_message),
            web.get("/api/channels", self.list_channels, allow_head=False),
            web.put("/api/channels/{name}/state", self.change_channel),
        ]

    @docs(
        tags=["messages"],
        summary="Register a message for a channel",
        description="Answers when the message is on disk, without waiting for its delivery. What the body lacks is "
        "taken from query parameters of the same names.",
        parameters=[
            _channel_parameter("channel"),
            {
                "in": "header",
                "name": "Idempotency-Key",
                "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
                "description": "the same key and content: the same id, and no second message, for "
                f"{IDEMPOTENCY_KEPT / 3600:.0f} hours",
            },
        ],
        requestBody=_FORM_BODY,
        security=_SENDER_SECURITY,
        responses={
            204: {"description": "registered: on disk", "headers": _MESSAGE_HEADERS},
            404: error("no such channel"),
            408: error("the body did not arrive in time"),
            413: error("the body is larger than 256 KiB"),
            415: error("the body is compressed"),
            422: error("invalid input, by field"),
            500: error("an error of ours"),
            503: {"description": "in maintenance (empty body), or the store cannot take more (an error)"},
            **_SENDER_ERRORS,
        },
    )
    @public
    async def send(self, request: web.Request) -> web.StreamResponse:
        """A channel's own route takes its sends; here come those to no channel, or to one whose name is escaped."""
        if self._maintenance.on:
            return web.Response(status=503)
        caller = await self._auth.sender(request)
        if isinstance(caller, web.Response):
            return caller
        channel = self._delivery.registry.get(request.match_info["channel"])
        return await self._sends[channel.name].send(request)

    @docs(
        tags=["operating"],
        summary="Whether the daemon is in service",
        security=[],
        responses={204: {"description": "in service"}, 503: {"description": "in maintenance"}},
    )
    @public
    async def ping(self, _request: web.Request) -> web.Response:
        return web.Response(status=503 if self._maintenance.read().on else 204)

    @docs(
        tags=["messages"],
        summary="A message and its deliveries",
        parameters=[_ID],
        security=_SENDER_SECURITY,
        responses={
            200: {"schema": MessageSchema, "description": "the message"},
            404: error("no such message, or not yours"),
            **_SENDER_ERRORS,
        },
    )
    @public
    async def show_message(self, request: web.Request) -> web.Response:
        view = await self._visible(request)
        if isinstance(view, web.Response):
            return view
        return web.json_response(message_body(view, await self._delivery.resent_as([view.id])))

    @docs(
        tags=["messages"],
        summary="Cancel a message",
        parameters=[_ID],
        security=_SENDER_SECURITY,
        responses={
            202: {"description": "too late to promise: a delivery is under way; the rest is canceled"},
            204: {"description": "canceled"},
            404: error("no such message, or not yours"),
            409: error("it has ended already"),
            **_SENDER_ERRORS,
        },
    )
    @public
    async def cancel_message(self, request: web.Request) -> web.Response:
        view = await self._visible(request)
        if isinstance(view, web.Response):
            return view
        result = await self._delivery.cancel(view.id)
        return web.Response(status=204 if result is Cancellation.CANCELED else 202)

    @docs(
        tags=["messages"],
        summary="Messages, newest first",
        description="A page can be short, or empty, and still have a `next`: go on until that is null.",
        security=ROLE_SECURITY,
        responses={
            200: {"schema": MessagesSchema, "description": "a page"},
            422: error("invalid query"),
            **ROLE_ERRORS,
        },
    )
    @querystring_schema(ListQuery)
    @role_required
    async def list_messages(self, request: web.Request) -> web.Response:
        query = request["querystring"]
        after = int(query["after"]) if "after" in query else None
        page = await self._delivery.page(
            channel=query.get("channel"), state=query.get("state"), after=after, limit=query["limit"]
        )
        cursor = None if page.next is None else str(page.next)
        resent_as = await self._delivery.resent_as([m.id for m in page.messages])
        return web.json_response({"messages": [message_body(m, resent_as) for m in page.messages], "next": cursor})

    @docs(
        tags=["messages"],
        summary="Send a message again",
        description="A new message, with the old one as its parent, for those recipients that did not get it; for all "
        "of them when all did.",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={
            201: {"schema": ResentSchema, "description": "the new message", "headers": _MESSAGE_HEADERS},
            404: error("no such message"),
            409: error(
                "the old one is still on its way or belongs to a mailing, its channel is gone, or (without `again`) it "
                "was sent again already"
            ),
            422: error("invalid query"),
            503: {"description": "in maintenance (empty body), or the store cannot take more (an error)"},
            **ROLE_ERRORS,
        },
    )
    @querystring_schema(ResendQuery)
    @role_required
    async def resend_message(self, request: web.Request) -> web.Response:
        if self._maintenance.on:
            return web.Response(status=503)
        resent = await self._delivery.resend(_message_id(request), again=request["querystring"]["again"])
        body = {**message_body(await self._delivery.find(resent.id), {}), "removed": list(resent.removed)}
        return web.json_response(body, status=201, headers=location(resent.id))

    @docs(
        tags=["channels"],
        summary="All channels and how they do",
        security=ROLE_SECURITY,
        responses={200: {"schema": ChannelsSchema, "description": "the channels"}, **ROLE_ERRORS},
    )
    @role_required
    async def list_channels(self, _request: web.Request) -> web.Response:
        return web.json_response({"channels": [channel_body(view) for view in await self._delivery.channels()]})

    @docs(
        tags=["channels"],
        summary="Hold or start one channel",
        description="A held channel goes on taking messages and delivers none of them, also after a restart.",
        parameters=[_channel_parameter("name")],
        security=ROLE_SECURITY,
        responses={
            200: {"schema": ChannelSchema, "description": "the channel"},
            404: error("no such channel"),
            413: error("the body is larger than 256 KiB"),
            422: error("invalid body"),
            **ROLE_ERRORS,
        },
    )
    @json_schema(ChannelAction, required=True)
    @role_required
    async def change_channel(self, request: web.Request) -> web.Response:
        name, body = request.match_info["name"], request["json"]
        if body["action"] == "PAUSE":
            await self._delivery.pause(name, body.get("reason", "paused over HTTP"))
        else:
            await self._delivery.start(name)
        return web.json_response(channel_body(await self._delivery.channel(name)))

    async def _visible(self, request: web.Request) -> MessageView | web.Response:
        """The message, if the caller may see it. Raises NotFound: somebody else's message does not exist."""
        caller = await self._auth.sender(request)
        if isinstance(caller, web.Response):
            return caller
        view = await self._delivery.find(_message_id(request))
        if not self._auth.may_see(caller, view.sender):
            raise NotFound(f"there is no message {view.id}")
        return view


def _message_id(request: web.Request) -> int:
    """Raises NotFound for what cannot be an id."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise NotFound("there is no such message")
    return int(text)
