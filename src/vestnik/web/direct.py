"""Handlers that requests reach past the router and the chain of middlewares: those cost more than a send itself.

Such a handler has a fixed path, sees to access and body itself, and works behind the chain just as well: what it raises
is answered there, and so are requests with a query, or with anything else that is not plain.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from vestnik.web.no_content import NoContent
from vestnik.web.safe_headers import SAFE_HEADERS

_DIRECT = "__direct__"
_RAISED = web.RequestKey("raised", Exception)
#: When the request came, where that was before aiohttp's server got it; by the event loop's clock.
BEGAN = web.RequestKey("began", float)
F = TypeVar("F", bound=Callable[..., Any])
RequestHandler = Callable[[Any], Awaitable[web.StreamResponse]]


class Failure(NamedTuple):
    """What a request failed with before aiohttp's server saw it, and when that began, by the event loop's clock."""

    error: Exception
    began: float


#: By the connection of aiohttp's server that gets the request.
Failures = dict[web.RequestHandler, Failure]


def direct(handler: F) -> F:
    """Mark a handler. It must be open to all, or check itself who asks."""
    setattr(handler, _DIRECT, True)
    return handler


def serve_directly(server: web.Server, app: web.Application) -> Failures:
    """Let the server of an application look for its marked handlers before anything else.

    The next request on a connection that stands in the failures it returns is answered as if its handler had raised.
    """
    failures: Failures = {}
    server.request_handler = _directly(server.request_handler, _marked(app), failures)
    return failures


def _marked(app: web.Application) -> dict[tuple[str, str], Handler]:
    """By method and path, as they stand in a request."""
    return {
        (route.method, route.resource.canonical): route.handler
        for route in app.router.routes()
        if isinstance(route.resource, web.PlainResource) and getattr(route.handler, _DIRECT, False)
    }


def _directly(chain: RequestHandler, handlers: dict[tuple[str, str], Handler], failures: Failures) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if failures and (failure := failures.pop(request.protocol, None)):
            request[_RAISED], request[BEGAN] = failure
            return await chain(request)
        handler = handlers.get((request.method, request.raw_path))
        if handler is None or "Expect" in request.headers or "Content-Encoding" in request.headers:
            return await chain(request)
        try:
            response = await handler(request)
        except Exception as error:
            request[_RAISED] = error
            return await chain(request)
        if not isinstance(response, NoContent):  # which writes them itself, and is most of all answers
            response.headers.update(SAFE_HEADERS)
        return response

    return handle


@web.middleware
async def raise_again_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a direct handler raised is raised once more where the chain can answer it."""
    if (error := request.get(_RAISED)) is None:
        return await handler(request)
    # An error knows the frames it went through: kept there, or in the request, it would keep all of that alive.
    del request[_RAISED]
    try:
        raise error
    finally:
        del error
