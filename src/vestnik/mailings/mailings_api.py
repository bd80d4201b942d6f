"""Mailings over HTTP (M1, M4): create, show, list, change, delete. The figures have routes of their own."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web
from aiohttp_apigami import docs, json_schema, querystring_schema

from vestnik.mailings.model import Mailing, MailingState
from vestnik.mailings.schemas import (
    MailingBody,
    MailingChange,
    MailingSchema,
    MailingsQuery,
    MailingsSchema,
    changed,
    mailing_body,
    whole,
)
from vestnik.mailings.service import Mailings
from vestnik.runtime.clock import Clock
from vestnik.runtime.log import get_logger
from vestnik.web.auth import CALLER, role_required
from vestnik.web.openapi import ROLE_ERRORS, ROLE_SECURITY, error

log = get_logger(__name__)

ONE = "/mailings/{id:[0-9]{1,16}}"
MAILING_ID: dict[str, Any] = {
    "in": "path",
    "name": "id",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": (1 << 53) - 1},
}
NO_MAILING = error("no such mailing, or it was deleted")
_MAILING = {"schema": MailingSchema, "description": "the mailing"}
_CREATED = {
    **_MAILING,
    "headers": {"Location": {"schema": {"type": "string"}, "description": "where it is"}},
}
_BODY_ERRORS = {
    413: error("the body is larger than 256 KiB"),
    422: error("invalid body, by field"),
    503: error("the store cannot take the change just now"),
}
_LATE = error("it has ended, or it has begun and `start_at` would change")
_FOLLOWS = (
    "While it runs, too: what went out stays as it is and stays counted, what waits follows the change or is canceled."
)


class MailingsApi:
    def __init__(self, mailings: Mailings, clock: Clock) -> None:
        self._mailings = mailings
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/mailings", self.list_mailings, allow_head=False),
            web.post("/mailings", self.create_mailing),
            web.get(ONE, self.show_mailing, allow_head=False),
            web.put(ONE, self.replace_mailing),
            web.patch(ONE, self.change_mailing),
            web.delete(ONE, self.delete_mailing),
        ]

    @docs(
        tags=["mailings"],
        summary="Mailings, newest first",
        security=ROLE_SECURITY,
        responses={
            200: {"schema": MailingsSchema, "description": "a page"},
            422: error("invalid query"),
            **ROLE_ERRORS,
        },
    )
    @querystring_schema(MailingsQuery)
    @role_required
    async def list_mailings(self, request: web.Request) -> web.Response:
        query = request["querystring"]
        state = MailingState(query["state"]) if "state" in query else None
        after = int(query["after"]) if "after" in query else None
        page = await self._mailings.page(channel=query.get("channel"), state=state, after=after, limit=query["limit"])
        now = self._clock()
        found = [mailing_body(mailing, now) for mailing in page.mailings]
        return web.json_response({"mailings": found, "next": None if page.next is None else str(page.next)})

    @docs(
        tags=["mailings"],
        summary="Create a mailing",
        description="It begins by itself at `start_at`, or at once when that has passed; nothing is handed over at or "
        "after `end_at`. Its channel must be one that reaches phones, such as one with the worker `sms`.",
        security=ROLE_SECURITY,
        responses={201: _CREATED, **_BODY_ERRORS, **ROLE_ERRORS},
    )
    @json_schema(MailingBody, required=True)
    @role_required
    async def create_mailing(self, request: web.Request) -> web.Response:
        mailing = await self._mailings.create(partial(whole, request["json"]))
        return self._answer(request, mailing, "created", status=201, headers={"Location": f"/mailings/{mailing.id}"})

    @docs(
        tags=["mailings"],
        summary="A mailing",
        parameters=[MAILING_ID],
        security=ROLE_SECURITY,
        responses={200: _MAILING, 404: NO_MAILING, **ROLE_ERRORS},
    )
    @role_required
    async def show_mailing(self, request: web.Request) -> web.Response:
        mailing = await self._mailings.find(mailing_id(request))
        return web.json_response(mailing_body(mailing, self._clock()))

    @docs(
        tags=["mailings"],
        summary="Change a mailing as a whole",
        description=f"What is not named becomes what a new mailing would have. {_FOLLOWS}",
        parameters=[MAILING_ID],
        security=ROLE_SECURITY,
        responses={200: _MAILING, 404: NO_MAILING, 409: _LATE, **_BODY_ERRORS, **ROLE_ERRORS},
    )
    @json_schema(MailingBody, required=True)
    @role_required
    async def replace_mailing(self, request: web.Request) -> web.Response:
        mailing = await self._mailings.change(mailing_id(request), partial(whole, request["json"]))
        return self._answer(request, mailing, "changed")

    @docs(
        tags=["mailings"],
        summary="Change some of a mailing",
        description=f"What is not named stays, also inside of `filter`. {_FOLLOWS}",
        parameters=[MAILING_ID],
        security=ROLE_SECURITY,
        responses={200: _MAILING, 404: NO_MAILING, 409: _LATE, **_BODY_ERRORS, **ROLE_ERRORS},
    )
    @json_schema(MailingChange, required=True)
    @role_required
    async def change_mailing(self, request: web.Request) -> web.Response:
        mailing = await self._mailings.change(mailing_id(request), partial(changed, request["json"]))
        return self._answer(request, mailing, "changed")

    @docs(
        tags=["mailings"],
        summary="Delete a mailing",
        description="What waits is canceled. What went out stays counted, and the figures stay.",
        parameters=[MAILING_ID],
        security=ROLE_SECURITY,
        responses={
            204: {"description": "deleted"},
            404: NO_MAILING,
            503: error("the store cannot take the change just now"),
            **ROLE_ERRORS,
        },
    )
    @role_required
    async def delete_mailing(self, request: web.Request) -> web.Response:
        id_ = mailing_id(request)
        await self._mailings.delete(id_)
        log.info("mailing deleted", mailing=id_, by=request[CALLER].subject)
        return web.Response(status=204)

    def _answer(
        self,
        request: web.Request,
        mailing: Mailing,
        what: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        body = mailing_body(mailing, self._clock())
        log.info(f"mailing {what}", mailing=mailing.id, channel=mailing.channel, by=request[CALLER].subject)  # noqa: G004
        return web.json_response(body, status=status, headers=headers)


def mailing_id(request: web.Request) -> int:
    return int(request.match_info["id"])
