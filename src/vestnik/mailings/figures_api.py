"""Figures, messages and forecasts of mailings over HTTP (M4, M7)."""

from __future__ import annotations

from aiohttp import web
from aiohttp_apigami import docs, querystring_schema

from vestnik.delivery.model import TaskState
from vestnik.mailings.figures import Figures
from vestnik.mailings.figures_schemas import (
    AllFiguresSchema,
    ForecastSchema,
    MailingFiguresSchema,
    MailingMessagesQuery,
    MailingMessagesSchema,
    all_figures_body,
    figures_body,
    forecast_body,
    message_body,
)
from vestnik.mailings.mailings_api import MAILING_ID, NO_MAILING, ONE, mailing_id
from vestnik.runtime.clock import Clock
from vestnik.web.auth import role_required
from vestnik.web.openapi import ROLE_ERRORS, ROLE_SECURITY, error

_NEVER = error("there never was such a mailing")


class FiguresApi:
    def __init__(self, figures: Figures, clock: Clock) -> None:
        self._figures = figures
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/mailings/stats", self.show_all, allow_head=False),
            web.get(f"{ONE}/stats", self.show_mailing_figures, allow_head=False),
            web.get(f"{ONE}/messages", self.list_mailing_messages, allow_head=False),
            web.get(f"{ONE}/forecast", self.show_forecast, allow_head=False),
        ]

    @docs(
        tags=["mailings"],
        summary="How many mailings there are, and their messages by status",
        security=ROLE_SECURITY,
        responses={200: {"schema": AllFiguresSchema, "description": "the figures"}, **ROLE_ERRORS},
    )
    @role_required
    async def show_all(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.json_response(all_figures_body(*await self._figures.of_all()))

    @docs(
        tags=["mailings"],
        summary="The figures of a mailing",
        description="Right at every moment, and also when it was deleted.",
        parameters=[MAILING_ID],
        security=ROLE_SECURITY,
        responses={
            200: {"schema": MailingFiguresSchema, "description": "the figures"},
            404: _NEVER,
            **ROLE_ERRORS,
        },
    )
    @role_required
    async def show_mailing_figures(self, request: web.Request) -> web.Response:
        found = await self._figures.of_mailing(mailing_id(request))
        return web.json_response(figures_body(*found, self._clock()))

    @docs(
        tags=["mailings"],
        summary="The messages of a mailing, in the order of its clients",
        description="Also of a deleted one, until `retention` is over. A page can be short, or empty, and still have a "
        "`next`: go on until that is null.",
        parameters=[MAILING_ID],
        security=ROLE_SECURITY,
        responses={
            200: {"schema": MailingMessagesSchema, "description": "a page"},
            404: _NEVER,
            422: error("invalid query"),
            **ROLE_ERRORS,
        },
    )
    @querystring_schema(MailingMessagesQuery)
    @role_required
    async def list_mailing_messages(self, request: web.Request) -> web.Response:
        query, id_ = request["querystring"], mailing_id(request)
        state = TaskState(query["state"]) if "state" in query else None
        page = await self._figures.messages(id_, state, int(query.get("after", 0)), query["limit"])
        found = [message_body(id_, message) for message in page.messages]
        return web.json_response({"messages": found, "next": None if page.next is None else str(page.next)})

    @docs(
        tags=["mailings"],
        summary="When a mailing would go out",
        description="By the channel's rate and the clients' windows, if the far side takes everything at once and the "
        "channel has nothing else to do. While it runs: for those who have not got it.",
        parameters=[MAILING_ID],
        security=ROLE_SECURITY,
        responses={
            200: {"schema": ForecastSchema, "description": "the forecast"},
            404: NO_MAILING,
            **ROLE_ERRORS,
        },
    )
    @role_required
    async def show_forecast(self, request: web.Request) -> web.Response:
        return web.json_response(forecast_body(await self._figures.forecast(mailing_id(request))))
