"""One line for each request. The query stays out of it: `message` may stand there, and it is the user's data."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from vestnik.runtime.log import get_logger
from vestnik.web.no_content import NoContent

log = get_logger("vestnik.access")

_NO_REQUEST = "UNKNOWN"  # aiohttp's word for the method of what is no HTTP
_WORDS = re.compile(r"[A-Za-z]+ [A-Za-z0-9 -]*")


class AccessLogger(AbstractAccessLogger):
    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        fields: dict[str, object] = {
            "method": request.method,
            "path": request.path,
            "status": response.status,
            "ms": round(time * 1000, 1),
            "remote": request.remote,
        }
        if isinstance(response, NoContent):
            headers: Mapping[str, str] = response.fields
        else:
            headers = response.headers
            if request.method == _NO_REQUEST and isinstance(response, web.Response):
                fields["error"] = _reason(response)
        if message_id := headers.get("X-Message-Id"):
            fields["message"] = int(message_id)
        log.info("request", **fields)

    @property
    def enabled(self) -> bool:
        return bool(log.isEnabledFor(logging.INFO))


def _reason(response: web.Response) -> str:
    """aiohttp's, up to where it quotes what was sent: a key or a message may stand there."""
    found = _WORDS.match(response.text or "")
    return found[0] if found else "malformed"
