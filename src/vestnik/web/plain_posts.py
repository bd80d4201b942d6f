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
from vestnik.web.direct import Failures
from vestnik.web.no_content import no_content
from vestnik.web.plain_heads import Heads, PlainPost

FORGOTTEN = 60.0  # seconds; by then a request that was handed over has been looked at
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

    def failed(self, handler: web.RequestHandler, error: Exception) -> None:
        """Have the first request that it gets answered with an error."""
        self._failures[handler] = error
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

    __slots__ = ("_asked", "_behind", "_logged", "_loop", "_server", "_transport", "_unread")

    def __init__(self, server: PlainPosts, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport
        self._asked: _Asked | None = None  # what is being answered
        self._behind = b""  # what came meanwhile
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
        asked = self._begun(data)
        if asked is None:
            self._hand_over(data)
        else:
            self._asked = asked
            asked.future.add_done_callback(self._answer)

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
        error = _failure(future)
        fields = None if error else asked.post.fields(future.result())  # asked for also when the client has left
        if fields is not None:
            self._accept(asked, fields)
        elif not self._transport.is_closing():
            self._hand_over(asked.data + self._behind, error)

    def _accept(self, asked: _Asked, fields: Mapping[str, str]) -> None:
        if self._logged:
            # After the other answers of the same commit: between two of them a client falls asleep, and waking it up
            # costs more than the line.
            self._loop.call_soon(self._log, asked, fields, self._loop.time())
        if self._transport.is_closing():
            return
        self._transport.write(no_content(fields))
        if self._behind:
            self._hand_over(self._behind)
        elif self._server.closing:
            self.end()
        else:
            self._server.rests(self)

    def _hand_over(self, data: bytes, error: Exception | None = None) -> None:
        """For good: who has asked for something else once may do so again."""
        self._server.left(self)
        handler = self._server.server()
        if error is not None:
            self._server.failed(handler, error)
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


def _failure(future: asyncio.Future[Any]) -> Exception | None:
    """What it failed with, if it is anything that can be answered; a cancelled one has failed, too."""
    error = asyncio.CancelledError() if future.cancelled() else future.exception()
    return error if error is None or isinstance(error, Exception) else RuntimeError(f"broken off: {error!r}")
