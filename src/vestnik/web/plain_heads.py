"""Heads of plain POSTs: what aiohttp's parser reads in them, and what is behind their paths."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from aiohttp import HttpVersion11, hdrs
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError

LARGEST = 16 << 10  # bytes of a request, head and body, as they come at once
MOST_HEADS = 512  # remembered: 8 MB at the very most

Headers = Mapping[str, str]


class PlainPost(Protocol):
    """What is behind one path."""

    def begin(self, headers: Headers, body: bytes) -> asyncio.Future[Any] | None:
        """Begin what is asked for. None, with nothing done, when aiohttp's server is to be asked instead.

        What the future fails with is answered there, as if a handler had raised it.
        """

    def fields(self, done: Any) -> Mapping[str, str] | None:
        """The header fields of the 204, from what the future came to. None, with nothing done, as above."""


class Head(NamedTuple):
    """What comes before a body of `length` bytes."""

    post: PlainPost
    headers: Headers
    length: int


class Heads:
    """Reads requests up to their body. A client sends the same head again and again, so what it says is remembered."""

    def __init__(self, posts: Mapping[str, PlainPost]) -> None:
        self._posts = posts
        self._known: dict[bytes, Head] = {}
        self._loop = asyncio.get_running_loop()
        # The parser asks it to stop reading when a body is large; none here is.
        self._flow = BaseProtocol(self._loop)

    def read(self, data: bytes, end: int) -> Head | None:
        """The head that ends before `end`, when with its body it is all of the data, and plain."""
        head = data[:end]
        known = self._known.get(head)
        if known is None and (known := self._parsed(data, end)):
            if len(self._known) >= MOST_HEADS:
                self._known.clear()
            self._known[head] = known
        return known

    def _parsed(self, data: bytes, end: int) -> Head | None:
        if len(data) > LARGEST or not data.startswith(b"POST /"):
            return None
        parser = HttpRequestParser(self._flow, self._loop, LARGEST, auto_decompress=False)
        try:
            messages, _, _ = parser.feed_data(data)
        except HttpProcessingError:
            return None
        if len(messages) != 1:
            return None
        message, payload = messages[0]
        post = self._posts.get(message.path)
        if post is None or not payload.is_eof() or not _is_plain(message):
            return None
        length = len(payload.read_nowait())
        # With less than all of the data, the beginning of a next request would be in this parser, and lost with it.
        return Head(post, message.headers, length) if end + length == len(data) else None


def _is_plain(message: Any) -> bool:
    return bool(
        message.version == HttpVersion11
        and not (message.should_close or message.upgrade or message.chunked)
        and hdrs.EXPECT not in message.headers
        and hdrs.CONTENT_ENCODING not in message.headers
    )
