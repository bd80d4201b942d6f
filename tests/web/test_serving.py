"""What comes in over a socket that no library of ours would send: byte by byte, broken, too slow, too much."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp_apigami import json_schema
from marshmallow import Schema, fields

from vestnik.settings.values import Address
from vestnik.storage.database import Database
from vestnik.web import body, serving
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import MAX_BODY, build_application
from vestnik.web.auth import Auth, AuthSettings, JwtSettings, Tokens, public
from vestnik.web.body import read_body
from vestnik.web.direct import direct
from vestnik.web.no_content import NoContent
from vestnik.web.plain_heads import Headers, PlainPost
from vestnik.web.serving import NO_POSTS, serve


class TextSchema(Schema):
    text = fields.String(required=True)


@direct
@public
async def send(request: web.Request) -> web.StreamResponse:
    return NoContent({"X-Message-Id": str(len(await read_body(request)))})


@public
@json_schema(TextSchema)
async def act(request: web.Request) -> web.StreamResponse:
    return web.json_response(request["json"])


@public
async def ping(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


class Connection:
    """Raw bytes to the server, and what it says to them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        async with asyncio.timeout(60):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            data = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, data

    async def code(self, data: bytes) -> tuple[int, str]:
        """Status and code of the error that something is answered with."""
        self.write(data)
        status, _, found = await self.answer()
        return status, json.loads(found)["code"]

    async def ended(self) -> bytes:
        """What comes until the server closes the connection."""
        async with asyncio.timeout(60):
            return await self._reader.read()


@dataclass(slots=True)
class Server:
    port: int

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class PlainSend:
    """What `send` does, without aiohttp's server."""

    def begin(self, _headers: Headers, body: bytes) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(len(body))
        return future

    def accepted(self, done: int) -> Mapping[str, str]:
        return {"X-Message-Id": str(done)}


@asynccontextmanager
async def running(plain: Mapping[str, PlainPost] = NO_POSTS) -> AsyncIterator[Server]:
    auth = Auth(AuthSettings(), Tokens(JwtSettings(), "x" * 32), KeyRing(Database(None)))
    app = build_application(auth, [web.post("/send", send), web.post("/act", act), web.get("/ping", ping)])
    runner = await serve(app, Address("127.0.0.1", 0), plain)
    try:
        yield Server(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.fixture(params=[NO_POSTS, {"/send": PlainSend()}], ids=["aiohttp's server", "plain posts before it"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with running(request.param) as found:
        yield found


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


async def lines(log: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """All that the server logged, once it has logged something: that comes after the answer."""

    def found() -> list[logging.LogRecord]:
        return [record for record in log.records if record.name.startswith(("vestnik", "aiohttp"))]

    async with asyncio.timeout(60):
        while not found():
            await asyncio.sleep(0.002)
    return found()


def request(path: str, data: bytes = b"", *, length: int | None = None, **headers: str) -> bytes:
    given = {"Host": "a", "Content-Length": str(len(data) if length is None else length), **headers}
    kind = "application/x-www-form-urlencoded" if path == "/send" else "application/json"
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"POST {path} HTTP/1.1\r\n{head}Content-Type: {kind}\r\n\r\n".encode() + data


PATHS = pytest.mark.parametrize("path", ["/send", "/act"])

# Compressed bodies

BOMB = gzip.compress(b"x" * (64 << 20))


@PATHS
@pytest.mark.parametrize(
    ("coding", "data"),
    [("gzip", BOMB), ("gzip", b"no gzip"), ("deflate", b"x"), ("br", b"x"), ("identity, gzip", b"x"), ("what", b"")],
)
async def test_a_compressed_body_is_415_and_is_not_inflated(
    path: str, coding: str, data: bytes, server: Server, log: pytest.LogCaptureFixture
) -> None:
    async with server.connection() as connection:
        connection.write(request(path, data, Content_Encoding=coding))
        status, headers, found = await connection.answer()
        assert (status, json.loads(found)["code"]) == (415, "unsupported_media_type")
        assert headers["accept-encoding"] == "identity"
    assert {record.levelno for record in await lines(log)} == {logging.INFO}


async def test_a_second_coding_in_a_header_of_its_own_counts_too(server: Server) -> None:
    head = b"POST /send HTTP/1.1\r\nHost: a\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n"
    async with server.connection() as connection:
        assert (await connection.code(head + b"Content-Length: 0\r\n\r\n"))[0] == 415


async def test_the_identity_is_no_compression(server: Server) -> None:
    async with server.connection() as connection:
        connection.write(request("/send", b"message=x", Content_Encoding="Identity"))
        assert (await connection.answer())[0] == 204
        connection.write(request("/act", b'{"text": "x"}', Content_Encoding="identity"))
        assert (await connection.answer())[0] == 200


# Clients that leave, and clients that dawdle


@PATHS
async def test_a_client_that_leaves_in_the_middle_of_its_body_is_one_line(
    path: str, server: Server, log: pytest.LogCaptureFixture
) -> None:
    async with server.connection() as connection:
        connection.write(request(path, b"half", length=1000, Expect="100-continue"))
        await connection.answer()  # 100: the handler waits for the body by now
    [line] = await lines(log)
    assert (line.levelno, line.exc_info) == (logging.INFO, None)
    assert isinstance(line.msg, dict)
    assert (line.msg["path"], line.msg["status"]) == (path, 499)


@PATHS
async def test_a_body_that_does_not_arrive_in_time_is_408_and_the_end(
    path: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "LONGEST", 0.05)
    async with server.connection() as connection:
        connection.write(request(path, b"half", length=1000))
        status, headers, found = await connection.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(found) == {
            "code": "request_timeout",
            "description": "the body did not arrive within 0.05 s",
        }
        connection.write(b"x" * 996)
        assert await connection.ended() == b""


@PATHS
async def test_a_body_in_pieces_is_taken(path: str, server: Server) -> None:
    data = b'{"text": "x"}'
    async with server.connection() as connection:
        connection.write(request(path, b"", length=len(data), Expect="100-continue"))
        assert (await connection.answer())[0] == 100
        for byte in data:
            connection.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await connection.answer())[0] in (200, 204)


@PATHS
async def test_a_body_that_is_too_large_is_413(path: str, server: Server) -> None:
    async with server.connection() as connection:
        assert (await connection.code(request(path, b"x" * (MAX_BODY + 1)))) == (413, "too_large")


@pytest.mark.parametrize("sent", [b"", b"POST /send HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_connection_without_a_whole_head_ends(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "IDLE", 0.05)
    async with running() as server, server.connection() as connection:
        connection.write(sent)
        assert await connection.ended() == b""


async def test_a_head_that_dribbles_on_a_used_connection_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "IDLE", 0.2)
    async with running() as server, server.connection() as connection:
        connection.write(request("/send", b"x"))
        assert (await connection.answer())[0] == 204
        dribbling = asyncio.create_task(_dribble(connection))
        # What came after the end may make of it a reset.
        with contextlib.suppress(ConnectionResetError):
            assert await connection.ended() == b""
        dribbling.cancel()


async def _dribble(connection: Connection) -> None:
    connection.write(b"POST /send HTTP/1.1\r\nX-Slow: ")
    while True:
        connection.write(b"x")
        await asyncio.sleep(0.01)


async def test_an_idle_connection_is_kept_for_longer_than_proxies_keep_theirs(server: Server) -> None:
    assert serving.IDLE > 60
    async with server.connection() as connection:
        for _ in range(3):
            connection.write(request("/send", b"x"))
            assert (await connection.answer())[0] == 204
            await asyncio.sleep(0.01)


# What is no HTTP

POST = b"POST /send HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"s3cret\r\n\r\n", "Invalid method encountered"),
        (b"GET / HTTP/9.9\r\n\r\n", "Bad status line"),
        (bytes.fromhex("160301020001000001fc0303"), "Received HTTPS traffic on an HTTP port"),
        (POST + b"X-API-Key: s3cret" * 600 + b"\r\n\r\n", "Got more than 8190 bytes when reading"),
        (POST + b"X-API-Key: s3cret\x00\r\n\r\n", "Invalid header value char"),
        (POST + b"s3cret\r\n\r\n", "Invalid header token"),
        (POST + b"Content-Length: 6\r\nContent-Length: 5\r\n\r\ns3cret", "Duplicate Content-Length"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\ns3cret\r\n", "Invalid character in chunk size"),
        (b"POST http://[s3cret HTTP/1.1\r\n\r\n", "malformed"),
    ],
)
async def test_what_is_no_http_is_400_and_one_line_that_quotes_nothing(
    data: bytes, reason: str, server: Server, log: pytest.LogCaptureFixture
) -> None:
    async with server.connection() as connection:
        connection.write(data)
        assert (await connection.answer())[0] == 400
    [line] = await lines(log)
    assert (line.levelno, line.exc_info) == (logging.INFO, None)
    assert isinstance(line.msg, dict)
    assert (line.msg["status"], line.msg["error"], line.msg["remote"]) == (400, reason, "127.0.0.1")
    assert "s3cret" not in str(line.msg)


@PATHS
async def test_chunks_that_become_garbage_are_a_body_that_does_not_arrive(
    path: str, server: Server, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "LONGEST", 0.1)
    head = POST.replace(b"/send", path.encode()) + b"Content-Type: application/json\r\n"
    async with server.connection() as connection:
        connection.write(head + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        assert (await connection.answer())[0] == 100
        connection.write(b"zzz\r\n")
        assert (await connection.answer())[0] == 408
    assert {(line.levelno, line.exc_info) for line in await lines(log)} == {(logging.INFO, None)}


# What is said of the server


@pytest.mark.parametrize("data", [request("/act", b"{"), b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n", b"garbage\r\n\r\n"])
async def test_no_answer_names_what_serves_it(data: bytes, server: Server) -> None:
    async with server.connection() as connection:
        connection.write(data)
        _, headers, _ = await connection.answer()
    assert headers.get("server", "Vestnik") == "Vestnik"


async def test_a_port_that_is_taken_is_an_error_that_leaves_nothing_behind(server: Server) -> None:
    auth = Auth(AuthSettings(), Tokens(JwtSettings(), "x" * 32), KeyRing(Database(None)))
    cleaned: list[Any] = []
    app = build_application(auth, [])

    async def clean(_app: web.Application) -> None:
        cleaned.append(_app)

    app.on_cleanup.append(clean)
    with pytest.raises(OSError, match="in use"):
        await serve(app, Address("127.0.0.1", server.port))
    assert cleaned == [app]
