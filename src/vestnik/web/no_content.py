"""204 with a few header fields: the answer that is given most, so it is written as one piece of bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from vestnik.web.safe_headers import SAFE_HEADERS


class NoContent(web.StreamResponse):
    """aiohttp's own way to serialise a response costs as much as all else that a send needs."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        """As for `no_content`."""
        super().__init__(status=204)
        self.fields = fields
        self._written = False

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        transport = request.transport
        if transport is None or request.version != HttpVersion11 or not request.keep_alive:
            self.headers.update({**self.fields, **SAFE_HEADERS})
            return await super().prepare(request)
        self._written = True
        transport.write(no_content(self.fields))
        if request.protocol.writing_paused:  # the client does not read: no more for it until it does
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        if not self._written:
            await super().write_eof(data)

    @property
    def keep_alive(self) -> bool | None:
        return True if self._written else super().keep_alive


def no_content(fields: Mapping[str, str]) -> bytes:
    """The whole answer, on a connection that is kept. Values come from us: nothing in them is escaped."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    return f"HTTP/1.1 204 No Content\r\n{lines}Date: {_date(int(time.time()))}{_SAFE}".encode()


_SAFE = "".join([f"\r\n{name}: {value}" for name, value in SAFE_HEADERS.items()]) + "\r\n\r\n"
_last_date = 0, ""


def _date(now: int) -> str:
    """RFC 9110, 6.6.1; made once a second."""
    global _last_date  # noqa: PLW0603 - a cache of one
    if _last_date[0] != now:
        _last_date = now, formatdate(now, usegmt=True)
    return _last_date[1]
