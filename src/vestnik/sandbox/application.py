"""The sandbox's one HTTP application: the inbox page, and the routes of every far side reached over HTTP."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from vestnik.sandbox.far_side import HttpFarSide
from vestnik.sandbox.guard import add_security_headers, only_from_here
from vestnik.sandbox.page import InboxPage
from vestnik.web.errors import errors_middleware


def build_application(page: InboxPage, far_sides: Iterable[HttpFarSide]) -> web.Application:
    app = web.Application(middlewares=[errors_middleware, only_from_here])
    app.on_response_prepare.append(add_security_headers)
    page.add_to(app)
    for far_side in far_sides:
        app.add_routes(far_side.routes())
    return app
