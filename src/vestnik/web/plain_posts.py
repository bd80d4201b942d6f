"""Plain POSTs, answered without aiohttp's server: its parser reads them, and no more of it is needed.

For each request aiohttp's server makes a task, an object with all that may be asked of a request, and goes round the
event loop three times; a send costs less than that. Here a request is one parse, one call and one callback. Whatever is
not plain, or is not answered with 204, is handed over to aiohttp's server as it came, and its connection with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from aiohttp import web

from vestnik.runtime.deadlines import Deadlines
from vestnik.web import access_log
from vestnik.web.direct import Failure, Failures
from vestnik.web.no_content import no_content
from vestnik.web.plain_heads import Head, Heads, PlainPost

FORGOTTEN = 1.0  # seconds; what is handed over is whole, and looked at within some turns of the event loop
LATE_BODY = 1.0  # seconds from a head to the end of its body; slower ones are for aiohttp's server to wait for
_END_OF_HEAD = b"\r\n\r\n"


class PlainPosts:
    """Makes a listening socket's connections, and keeps those that aiohttp's server has not got."""

    def __init__(self, posts: Mapping[str, PlainPost], server: web.Server, failures: Failures, *, idle: float) -> None:
        """`posts` by path. A connection that brings nothing for `idle` seconds ends."""
        self.heads = Heads(posts)
        self.server = server
        self._failures = failures
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

    def hurries(self, connection: PlainConnection) -> None:
        """It has sent a head, and its body is awaited."""
        self._deadlines.set(connection, self._loop.time() + LATE_BODY)

    def failed(self, handler: web.RequestHandler, failure: Failure) -> None:
        """The first request that this handler gets has failed already, and is to be answered so."""
        self._failures[handler] = failure
        self._loop.call_later(FORGOTTEN, self._failures.pop, handler, None)  # the client may leave before

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

    __slots__ = ("_asked", "_behind", "_logged", "_loop", "_partly", "_said_all", "_server", "_transport", "_unread")

    def __init__(self, server: PlainPosts, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport
        self._partly = b""  # of a request whose body has not come yet, or not all of it
        self._asked: _Asked | None = None  # what is being answered
        self._behind = b""  # what came meanwhile
        self._said_all = False  # the client sends nothing more, and still reads
        self._unread = False  # the client does not read its answers
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
        before, self._partly = self._partly, b""
        data = before + data
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        head = self._server.heads.read(data[:end])
        missing = 0 if head is None else head.length - (len(data) - end)
        if head and missing > 0:
            self._partly = data
            if not before:  # once: who sends it byte by byte gets no more time by that
                self._server.hurries(self)
        elif head and not missing and (future := _begun(head, data[end:])):
            self._asked = _Asked(head.post, future, data, self._loop.time())
            future.add_done_callback(self._answer)
        else:
            self._hand_over(data)

    def eof_received(self) -> bool:
        """Who has said all may wait for the answer to it."""
        self._said_all = True
        return self._asked is not None

    def pause_writing(self) -> None:
        """What it asks next is looked at when it has read the answers that there are."""
        self._unread = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._unread = False
        self._transport.resume_reading()

    def expire(self) -> None:
        """Nothing came for too long. What is being answered takes its time."""
        if self._asked:
            self._server.rests(self)
        elif self._partly:
            self._hand_over(self._partly)
        elif self._unread:
            self.abort()
        else:
            self.end()

    def end(self) -> None:
        """Unless it is being answered: then it ends afterwards."""
        if not self._asked:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _answer(self, future: asyncio.Future[Any]) -> None:
        asked = self._asked
        assert asked is not None  # noqa: S101 - this is its callback
        self._asked = None
        error = _error(future)
        fields = None if error else asked.post.accepted(future.result())  # also when the client has left
        if fields is not None:
            self._accept(asked, fields)
        elif self._said_all:  # aiohttp's server would not answer either
            self._transport.close()
        elif not self._transport.is_closing():
            self._hand_over(asked.data + self._behind, Failure(error, asked.at) if error else None)

    def _accept(self, asked: _Asked, fields: Mapping[str, str]) -> None:
        if self._logged:
            # After the other answers of the same commit: between two of them a client falls asleep, and waking it up
            # costs more than the line.
            self._loop.call_soon(self._log, asked, fields, self._loop.time())
        if self._transport.is_closing():
            return
        self._transport.write(no_content(fields))
        if self._server.closing or self._said_all:
            self.end()
        elif self._behind:
            self._hand_over(self._behind)
        else:
            self._server.rests(self)

    def _hand_over(self, data: bytes, failure: Failure | None = None) -> None:
        """For good: who has asked for something else once may do so again."""
        self._server.left(self)
        handler = self._server.server()
        if failure:
            self._server.failed(handler, failure)
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        if self._unread:
            handler.pause_writing()
        self._transport.resume_reading()  # before it gets the data, which may be too much for it
        handler.data_received(data)

    def _log(self, asked: _Asked, fields: Mapping[str, str], now: float) -> None:
        path = asked.data.split(b" ", 2)[1].decode("ascii")
        peer = self._transport.get_extra_info("peername")
        access_log.write("POST", path, 204, now - asked.at, remote=peer[0] if peer else None, fields=fields)


class _Asked(NamedTuple):
    post: PlainPost
    future: asyncio.Future[Any]
    data: bytes  # the request as it came
    at: float  # by the event loop's clock


def _begun(head: Head, body: bytes) -> asyncio.Future[Any] | None:
    try:
        return head.post.begin(head.headers, body)
    except Exception:  # a bug of ours: behind the chain the same request has it logged, and answered 500
        return None


def _error(future: asyncio.Future[Any]) -> Exception | None:
    """What it failed with, if it is anything that can be answered; a cancelled one has failed, too."""
    error = asyncio.CancelledError() if future.cancelled() else future.exception()
    return error if error is None or isinstance(error, Exception) else RuntimeError(f"broken off: {error!r}")
