"""An application on a port: what aiohttp's server is told, and what is made of what it says."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web, web_response
from aiohttp.http_exceptions import HttpProcessingError

from vestnik.settings.values import Address
from vestnik.web.access_log import AccessLogger
from vestnik.web.direct import serve_directly

#: Seconds until a connection ends that brings no request: a new one, an idle one, one that dribbles a head. Longer than
#: reverse proxies keep theirs (nginx 60): of two ends that close at the same moment, one has sent a request into it.
IDLE = 75.0
SERVER = "Vestnik"


async def serve(app: web.Application, listen: Address) -> web.AppRunner:
    """Until the runner's `cleanup`. Raises OSError when the address cannot be had."""
    # aiohttp names itself and its version in every answer and has no switch for it; by request it would cost time.
    web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]
    runner = web.AppRunner(
        app,
        access_log_class=AccessLogger,
        logger=_ServerLog(logging.getLogger("aiohttp.server")),
        auto_decompress=False,  # see `body_middleware`
        keepalive_timeout=IDLE,
        handle_signals=False,
        shutdown_timeout=5.0,
    )
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - made by setup
    serve_directly(runner.server, app)
    try:
        await web.TCPSite(runner, listen.host, listen.port).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """Without a traceback for each stranger that sends what is no HTTP: the access log has a line about it."""

    def log(self, level: int, msg: object, *args: object, **more: Any) -> None:
        if not isinstance(more.get("exc_info"), HttpProcessingError):
            super().log(level, msg, *args, **more)
