"""Heads of plain POSTs: what aiohttp's parser reads in them, and what is behind their paths."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from aiohttp import HttpVersion11, hdrs
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy

LARGEST = 16 << 10  # bytes of a request, head and body
MOST_REMEMBERED, LONGEST_REMEMBERED = 512, 2 << 10  # heads, and bytes of one; what was read in them is some times that

Headers = CIMultiDictProxy[str]


class PlainPost(Protocol):
    """What is behind one path."""

    def begin(self, headers: Headers, body: bytes) -> asyncio.Future[Any] | None:
        """Begin what is asked for. None, with nothing done, when aiohttp's server is to be asked instead.

        What the future fails with is answered there, as if a handler had raised it.
        """

    def accepted(self, done: Any) -> Mapping[str, str] | None:
        """Called once with what the future came to: the header fields of the 204. None, with nothing done, as above."""


class Head(NamedTuple):
    """What comes before a body of `length` bytes."""

    post: PlainPost
    headers: Headers
    length: int


class Heads:
    """Reads heads of requests. A client sends the same one again and again, so what it says is remembered."""

    def __init__(self, posts: Mapping[str, PlainPost]) -> None:
        self._posts = posts
        self._known: dict[bytes, Head] = {}
        self._loop = asyncio.get_running_loop()
        self._flow = BaseProtocol(self._loop)  # the parser would ask it to stop reading; it gets no body

    def read(self, head: bytes) -> Head | None:
        """Up to the empty line and with it; None when it is not a plain one's."""
        known = self._known.get(head)
        if known is None and (known := self._parsed(head)) and _comes_again(head, known):
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[head] = known
        return known

    def _parsed(self, head: bytes) -> Head | None:
        if not head.startswith(b"POST /"):
            return None
        parser = HttpRequestParser(self._flow, self._loop, LARGEST, auto_decompress=False)
        try:
            messages, _, _ = parser.feed_data(head)
        except HttpProcessingError:
            return None
        if len(messages) != 1:
            return None
        message, _ = messages[0]
        post, length = self._posts.get(message.path), _length(message)
        if post is None or length is None or len(head) + length > LARGEST:
            return None
        return Head(post, message.headers, length)


def _comes_again(head: bytes, read: Head) -> bool:
    """Whether it is worth remembering: it names no single request, and is not so long that few of it fill the room."""
    return len(head) <= LONGEST_REMEMBERED and "Idempotency-Key" not in read.headers


def _length(message: Any) -> int | None:
    """Of the body behind a plain head; None when it is none. What is no number, or stands twice, the parser refuses."""
    if (
        message.version != HttpVersion11
        or message.should_close
        or message.upgrade
        or message.chunked
        or hdrs.EXPECT in message.headers
        or hdrs.CONTENT_ENCODING in message.headers
    ):
        return None
    return int(message.headers.get(hdrs.CONTENT_LENGTH, 0))
