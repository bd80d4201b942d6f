"""One line for each request. The query stays out of it: `message` may stand there, and it is the user's data."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from vestnik.runtime.log import get_logger
from vestnik.web.direct import BEGAN
from vestnik.web.no_content import NoContent

log = get_logger("vestnik.access")

_NO_REQUEST = "UNKNOWN"  # aiohttp's word for the method of what is no HTTP
_WORDS = re.compile(r"[A-Za-z]+ [A-Za-z0-9 -]*")


class AccessLogger(AbstractAccessLogger):
    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        if (began := request.get(BEGAN)) is not None:
            time = asyncio.get_running_loop().time() - began
        headers = response.fields if isinstance(response, NoContent) else response.headers
        more: dict[str, str] = {}
        if request.method == _NO_REQUEST and isinstance(response, web.Response):
            more["error"] = _reason(response.text)
        write(request.method, request.path, response.status, time, remote=request.remote, fields=headers, **more)

    @property
    def enabled(self) -> bool:
        return enabled()


def enabled() -> bool:
    return bool(log.isEnabledFor(logging.INFO))


def write(
    method: str,
    path: str,
    status: int,
    seconds: float,
    *,
    remote: str | None,
    fields: Mapping[str, str],
    **more: object,
) -> None:
    """`fields`: the answer's header fields; the id of a message is among them."""
    if message_id := fields.get("X-Message-Id"):
        more["message"] = int(message_id)
    ms = round(seconds * 1000, 1)
    log.info("request", method=method, path=path, status=status, ms=ms, remote=remote, **more)


def _reason(said: str | None) -> str:
    """aiohttp's, up to where it quotes what was sent: a key or a message may stand there."""
    found = _WORDS.match(said or "")
    return found[0] if found else "malformed"
