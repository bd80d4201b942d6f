"""Servers to measure with, each in a process of its own: `python -m benchmarks.far_sides NAME PORT`.

`plain` is what accepting is compared with. `gateway` and `mail` are lean far sides that answer yes at once, so that
not they are measured but who talks to them. `nothing` answers 204 and parses nothing: how fast the load can get.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import uvloop
from aiohttp import web

HOST = "127.0.0.1"


def plain(port: int) -> None:
    """The plainest aiohttp handler that parses the same form, and stores nothing."""

    async def send(request: web.Request) -> web.Response:
        await request.post()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/api/send/{channel}", send)
    web.run_app(app, host=HOST, port=port, access_log=None, print=None)


class Answering(asyncio.Protocol):
    """Collects what comes in until it is a whole request or line, and writes an answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.pending = b""

    def write(self, answer: bytes) -> None:
        self.transport.write(answer)  # type: ignore[attr-defined] # uvloop's are none of asyncio's classes


class Nothing(Answering):
    def data_received(self, _data: bytes) -> None:
        self.write(b"HTTP/1.1 204 No Content\r\n\r\n")


class Gateway(Answering):
    """Kannel's answer to sendsms; honours `Connection: close`."""

    _BODY = b"0: Accepted for delivery"
    _HEAD = b"HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % len(_BODY)
    _KEPT = _HEAD + b"\r\n" + _BODY
    _CLOSED = _HEAD + b"Connection: close\r\n\r\n" + _BODY

    def data_received(self, data: bytes) -> None:
        self.pending += data
        if not self.pending.endswith(b"\r\n\r\n"):  # a GET has no body, and nobody sends two at once
            return
        request, self.pending = self.pending, b""
        if b"\r\nconnection: close\r\n" in request.lower():
            self.write(self._CLOSED)
            self.transport.close()
        else:
            self.write(self._KEPT)


class Mail(Answering):
    """As much of SMTP (RFC 5321) as a client needs to hand over a mail."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._in_text = False
        self.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.pending += data
        while (end := self.pending.find(b"\r\n.\r\n" if self._in_text else b"\r\n")) >= 0:
            line, self.pending = self.pending[:end], self.pending[end + (5 if self._in_text else 2) :]
            self.write(self._answer(b"." if self._in_text else line[:4].upper()))

    def _answer(self, verb: bytes) -> bytes:
        self._in_text = verb == b"DATA"
        match verb:
            case b"EHLO":
                return b"250-sink\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n"
            case b"DATA":
                return b"354 go on\r\n"
            case b"QUIT":
                return b"221 bye\r\n"
            case _:
                return b"250 ok\r\n"


def serve(protocol: Callable[[], asyncio.Protocol], port: int) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(protocol, HOST, port, backlog=1024)
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    uvloop.install()
    name, number = sys.argv[1], int(sys.argv[2])
    if name == "plain":
        plain(number)
    else:
        serve({"gateway": Gateway, "mail": Mail, "nothing": Nothing}[name], number)
