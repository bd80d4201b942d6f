"""Plain POSTs, answered without aiohttp's server: its parser reads them, and no more of it is needed.

For each request aiohttp's server makes a task, an object with all that may be asked of a request, and goes round the
event loop three times; a send costs less than that. Here a request is one parse, one call and one callback. Whatever is
not plain, or is not answered with 204, is handed over to aiohttp's server as it came, and its connection with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, cast

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError

from vestnik.runtime.deadlines import Deadlines
from vestnik.web import access_log
from vestnik.web.no_content import no_content

LARGEST = 16 << 10  # bytes of a request, head and body, as they come at once
MOST_HEADS = 512  # remembered: 8 MB at the very most
_END_OF_HEAD = b"\r\n\r\n"

Headers = Mapping[str, str]


class PlainPost(Protocol):
    """What is behind one path."""

    def begin(self, headers: Headers, body: bytes) -> asyncio.Future[Any] | None:
        """Begin what is asked for. None, with nothing done, when aiohttp's server is to answer.

        When the future fails nothing was done either, and the request is made once more, of that server.
        """

    def fields(self, done: Any) -> Mapping[str, str] | None:
        """The header fields of the 204, from what the future came to; None as above."""


class PlainPosts:
    """Makes a listening socket's connections, and keeps those that aiohttp's server has not got."""

    def __init__(self, posts: Mapping[str, PlainPost], server: web.Server, *, idle: float) -> None:
        """`posts` by path. A connection that brings nothing for `idle` seconds ends."""
        self.heads = Heads(posts)
        self.server = server
        self.closing = False
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()
        self._connections: set[PlainConnection] = set()
        self._changed = asyncio.Event()

    def __call__(self) -> PlainConnection:
        return PlainConnection(self, self._loop)

    def came(self, connection: PlainConnection) -> None:
        self._connections.add(connection)
        self.rests(connection)

    def rests(self, connection: PlainConnection) -> None:
        """It has nothing to wait for, and may bring a request within the time for that."""
        self._deadlines.set(connection, self._loop.time() + self._idle)

    def left(self, connection: PlainConnection) -> None:
        self._deadlines.clear(connection)
        self._connections.discard(connection)
        self._changed.set()

    async def shutdown(self, longest: float) -> None:
        """Close what rests, and the others once they have been answered; after `longest` seconds without that."""
        self.closing = True
        for connection in list(self._connections):
            connection.end()
        try:
            async with asyncio.timeout(longest):
                while self._connections:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
        self._deadlines.close()


class PlainConnection(asyncio.Protocol):
    """One request after another. Who sends the next one before the answer has come is handed over after it."""

    __slots__ = ("_asked", "_behind", "_logged", "_loop", "_server", "_transport")

    def __init__(self, server: PlainPosts, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport
        self._asked: _Asked | None = None  # what is being answered
        self._behind = b""  # what came meanwhile
        self._logged = access_log.enabled()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.came(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._server.left(self)

    def data_received(self, data: bytes) -> None:
        if self._asked:
            self._behind += data
            self._transport.pause_reading()
            return
        asked = self._begun(data)
        if asked is None:
            self._hand_over(data)
        else:
            self._asked = asked
            asked.future.add_done_callback(self._answer)

    def pause_writing(self) -> None:
        """The client does not read its answers: it gets no more until it does."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def expire(self) -> None:
        """Nothing came for too long. What is being answered takes its time."""
        if self._asked:
            self._server.rests(self)
        else:
            self.end()

    def end(self) -> None:
        """Unless it is being answered: then it ends afterwards."""
        if not self._asked:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _begun(self, data: bytes) -> _Asked | None:
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        head = self._server.heads.read(data, end)
        if head is None or len(data) - end != head.length:
            return None
        post = head.post
        try:
            future = post.begin(head.headers, data[end:])
        except Exception:  # a bug of ours: behind the chain the same request has it logged, and answered 500
            return None
        return _Asked(post, future, data, self._loop.time()) if future else None

    def _answer(self, future: asyncio.Future[Any]) -> None:
        asked = self._asked
        assert asked is not None  # noqa: S101 - this is its callback
        self._asked = None
        failed = future.cancelled() or future.exception() is not None
        fields = None if failed else asked.post.fields(future.result())
        if self._transport.is_closing():
            return
        if fields is None:
            self._hand_over(asked.data + self._behind)
            return
        self._transport.write(no_content(fields))
        if self._logged:
            self._log(asked, fields)
        if self._behind:
            self._hand_over(self._behind)
        elif self._server.closing:
            self.end()
        else:
            self._server.rests(self)

    def _hand_over(self, data: bytes) -> None:
        """For good: who has asked for something else once may do so again."""
        self._server.left(self)
        handler = self._server.server()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(data)
        self._transport.resume_reading()

    def _log(self, asked: _Asked, fields: Mapping[str, str]) -> None:
        path = asked.data.split(b" ", 2)[1].decode("ascii")
        peer = self._transport.get_extra_info("peername")
        seconds = self._loop.time() - asked.at
        access_log.write("POST", path, 204, seconds, remote=peer[0] if peer else None, fields=fields)


class _Asked(NamedTuple):
    post: PlainPost
    future: asyncio.Future[Any]
    data: bytes  # the request as it came
    at: float  # by the event loop's clock


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
