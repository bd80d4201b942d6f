"""HTTP servers that answer as a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    """The URL of a server that gives every request to the handler, whatever its path."""
    application = web.Application()
    application.router.add_route("*", "/{rest:(?s:.*)}", handler)
    async with TestServer(application) as server:
        yield str(server.make_url("/"))


def fixed(status: int, text: str = "", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.Response(status=status, text=text, headers=headers)

    return handler
