"""Connections to one HTTP server, each used again only while next to nothing can have become of it.

A server may close a kept connection at any moment, and when it does so while a request is on its way, nobody knows
whether the request was taken. docs/decisions/2026-11-21-kept-http-connections.md weighs that.

aiohttp connects (names, addresses in turn, TLS) and reads the answers; its `ClientSession` is left out: it would send
some requests a second time by itself, follow redirects and keep cookies, and takes twice the time.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection as Connected
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

#: Seconds unused. Servers give up after one second at the least, most after 5 to 75 (gunicorn 2, Apache and Node.js 5).
LONGEST_IDLE = 0.5
#: Seconds. After that the name is looked up anew, so that a server that moved is followed however busy we are.
LONGEST_LIFE = 60.0

_NO_LIMIT = aiohttp.ClientTimeout(total=None)  # whoever asks has one


class Connection:
    """Carries one request after another; not two at once, and none after an answer that was not read to its end."""

    def __init__(self, connected: Connected, now: float) -> None:
        """`now` and all other times: seconds of the event loop's clock."""
        protocol, transport = connected.protocol, connected.transport
        if protocol is None or transport is None:
            raise aiohttp.ClientConnectionError("connection lost at once")
        self.idle_since = now
        self._opened = now
        self._connected = connected
        self._protocol: ResponseHandler = protocol
        self._transport: asyncio.Transport = transport
        self._body: StreamReader | None = None  # of the last answer
        self._unread = select.poll()
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def send(self, request: bytes) -> None:
        """Put a whole request on its way."""
        self._body = None
        # What was compressed stays so: a small answer must not unpack to gigabytes.
        self._protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        self._transport.write(request)

    async def receive(self) -> tuple[RawResponseMessage, StreamReader]:
        """The head of the answer, and its body to read from. Interim answers (RFC 9110, 15.2) are passed over.

        Raises aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError (a TimeoutError is one).
        """
        while True:
            head, body = await self._protocol.read()
            if head.code >= 200 or head.code == 101:  # after 101 it is no HTTP any more, and the server's last answer
                self._body = body
                return head, body

    def expire(self) -> None:
        """Give up the answer: `receive`, or reading the body that it returned, raises TimeoutError."""
        late = TimeoutError()
        self._protocol.set_exception(late)
        if self._body is not None:
            self._body.set_exception(late)

    def is_over(self) -> bool:
        """Whether the request went out and the answer was read, both to the end, and the server takes another."""
        return (
            self._body is not None
            and self._body.at_eof()
            and self._transport.get_write_buffer_size() == 0  # an answer may come before the request was read
            and not self._protocol.should_close
        )

    def is_fresh(self, now: float) -> bool:
        """Whether it may carry another request: not idle for long, and the server neither spoke nor hung up since.

        The system is asked, as the event loop may not have got round to reading it. An answer to nothing must not be
        taken for the answer to the next request.
        """
        return (
            now - self.idle_since <= LONGEST_IDLE
            and now - self._opened <= LONGEST_LIFE
            and self._protocol.is_connected()
            and not self._protocol.should_close
            and not self._unread.poll(0)
        )

    def close(self) -> None:
        self._connected.close()


class Connections:
    """To one server. There are as many as are asked for at once."""

    def __init__(self, connector: aiohttp.BaseConnector, origin: URL) -> None:
        """In the running loop. The connector must keep none itself (`force_close`), and have no limit."""
        self._connector = connector
        self._loop = asyncio.get_running_loop()
        self._to = aiohttp.ClientRequest("GET", origin, loop=self._loop)  # what the connector wants to be told
        self._kept: deque[Connection] = deque()  # the one used last at the right
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False
        self.host = self._to.headers["Host"]

    def take_kept(self) -> Connection | None:
        """The one used last: it is the least likely to have been given up by the server."""
        while self._kept:
            connection = self._kept.pop()
            if connection.is_fresh(self._loop.time()):
                return connection
            connection.close()
        return None

    async def open(self) -> Connection:
        """A new one. Raises aiohttp.ClientError, OSError."""
        connected = await self._connector.connect(self._to, traces=[], timeout=_NO_LIMIT)
        return Connection(connected, self._loop.time())

    def give_back(self, connection: Connection, *, keep: bool = True) -> None:
        """After a request, however it ended."""
        if self._closed or not keep or not connection.is_over():
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._kept.append(connection)
        if self._sweeping is None:
            self._sweep_later()

    def close(self) -> None:
        """Close those that are kept; the others end as they are given back."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._kept:
            self._kept.pop().close()

    def _sweep_later(self) -> None:
        self._sweeping = self._loop.call_at(self._kept[0].idle_since + LONGEST_IDLE, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        long_ago = self._loop.time() - LONGEST_IDLE
        while self._kept and self._kept[0].idle_since <= long_ago:
            self._kept.popleft().close()
        if self._kept:
            self._sweep_later()
