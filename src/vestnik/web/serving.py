"""An application on a port: what aiohttp's server is told, and what is made of what it says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web, web_response
from aiohttp.http_exceptions import HttpProcessingError

from vestnik.settings.values import Address
from vestnik.web.access_log import AccessLogger
from vestnik.web.direct import serve_directly
from vestnik.web.plain_heads import PlainPost
from vestnik.web.plain_posts import PlainPosts

#: Seconds until a connection ends that brings no request: a new one, an idle one, one that dribbles a head. Longer than
#: reverse proxies keep theirs (nginx 60): of two ends that close at the same moment, one has sent a request into it.
IDLE = 75.0
LAST_ANSWERS = 5.0  # seconds that requests under way have at the end
BACKLOG = 128  # connections that the system keeps until they are taken
SERVER = "Vestnik"
NO_POSTS: Mapping[str, PlainPost] = MappingProxyType({})


class HttpServer:
    """A listening port with what answers there."""

    def __init__(self, listening: asyncio.Server, plain: PlainPosts, runner: web.AppRunner) -> None:
        self._listening = listening
        self._plain = plain
        self._runner = runner

    @property
    def addresses(self) -> list[Any]:
        return [socket.getsockname() for socket in self._listening.sockets]

    async def cleanup(self) -> None:
        self._listening.close()
        await asyncio.sleep(0)  # what has come in already is taken in
        await self._plain.shutdown(LAST_ANSWERS)
        await self._runner.cleanup()


async def serve(app: web.Application, listen: Address, plain: Mapping[str, PlainPost] = NO_POSTS) -> HttpServer:
    """Until the server's `cleanup`. `plain` are POSTs by path that the application need not be asked about.

    Raises OSError when the address cannot be had.
    """
    # aiohttp names itself and its version in every answer and has no switch for it; by request it would cost time.
    web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]
    runner = web.AppRunner(
        app,
        access_log_class=AccessLogger,
        logger=_ServerLog(logging.getLogger("aiohttp.server")),
        auto_decompress=False,  # see `body_middleware`
        keepalive_timeout=IDLE,
        handle_signals=False,
        shutdown_timeout=LAST_ANSWERS,
    )
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - made by setup
    failures = serve_directly(runner.server, app)
    posts = PlainPosts(plain, runner.server, failures, idle=IDLE)
    try:
        listening = await asyncio.get_running_loop().create_server(posts, listen.host, listen.port, backlog=BACKLOG)
    except BaseException:
        await runner.cleanup()
        raise
    return HttpServer(listening, posts, runner)


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """Without a traceback for each stranger that sends what is no HTTP: the access log has a line about it."""

    def log(self, level: int, msg: object, *args: object, **more: Any) -> None:
        if not isinstance(more.get("exc_info"), HttpProcessingError):
            super().log(level, msg, *args, **more)
