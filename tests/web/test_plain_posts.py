"""Plain POSTs beside aiohttp's server: on the wire nobody may tell who answered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from itertools import pairwise

import pytest
import uvloop
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_serving import Connection, Server, lines

from vestnik.errors import StoreUnavailable
from vestnik.settings.values import Address
from vestnik.storage.database import Database
from vestnik.web import plain_posts, serving
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, JwtSettings, Tokens, public
from vestnik.web.body import read_body
from vestnik.web.direct import Failure, Failures, direct
from vestnik.web.no_content import NoContent
from vestnik.web.plain_heads import LARGEST, MOST_REMEMBERED, Headers
from vestnik.web.plain_posts import PlainPosts
from vestnik.web.safe_headers import SAFE_HEADERS
from vestnik.web.serving import HttpServer, serve

Answers = Mapping[str, str] | None
LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def said(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The fields of an answer; they tell requests that differ from each other."""
    digest = hashlib.sha256(body).hexdigest()[:8]
    return {"X-Message-Id": str(len(body)), "X-Digest": digest, "X-Said": headers.get("X-Say", "")}


class Told:
    """A PlainPost that does what the test tells it. `answers` at once, unless the test is to do it."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.held: asyncio.Queue[asyncio.Future[Answers]] = asyncio.Queue()
        self.holds = False
        self.refuses = False
        self.raises: Exception | None = None

    def begin(self, headers: Headers, body: bytes) -> asyncio.Future[Answers] | None:
        if self.raises:
            raise self.raises
        if self.refuses:
            return None
        self.begun.append(body)
        future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        if self.holds:
            self.held.put_nowait(future)
        else:
            future.set_result(said(headers, body))
        return future

    def accepted(self, done: Answers) -> Answers:
        return done

    async def next(self) -> asyncio.Future[Answers]:
        """What was begun, and waits for the test to answer it."""
        async with asyncio.timeout(60):
            return await self.held.get()


class Application:
    """Answers as Told does, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @direct
    @public
    async def send(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        self.asked.append(f"{request.method} {request.path} {len(body)}")
        return NoContent(said(request.headers, body))

    @direct
    @public
    async def large(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        return NoContent({"X-Say": "x" * 60_000})

    @public
    async def ping(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        return web.Response(text="pong")

    @public
    async def reading(self, request: web.Request) -> web.StreamResponse:
        """Whether more is being read from the client while it is answered."""
        assert request.transport is not None
        return web.Response(text=str(request.transport.is_reading()))

    def build(self) -> web.Application:
        auth = Auth(AuthSettings(), Tokens(JwtSettings(), "x" * 32), KeyRing(Database(None)))
        routes = [web.post("/send", self.send), web.post("/other", self.send), web.post("/reading", self.reading)]
        return build_application(auth, [*routes, web.post("/large", self.large), web.get("/ping", self.ping)])


class Site(Server):
    """A port with an application, and what is asked before it."""

    def __init__(self, server: HttpServer, application: Application, post: Told) -> None:
        super().__init__(server.addresses[0][1])
        self.server = server
        self.post = post
        self.asked = application.asked

    async def answers(self, *segments: bytes) -> bytes:
        """All that is said to segments that come one by one; the last request in them is to end the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for segment in segments:
            writer.write(segment)
            await taken_in()
        async with asyncio.timeout(60):
            found = await reader.read()
        writer.close()
        await writer.wait_closed()
        return re.sub(rb"\r\nDate: [^\r]+", b"", found)


async def taken_in() -> None:
    """What was written is read, and what is answered at once is answered: on loopback that takes no time."""
    for _ in range(3):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(*, plain: bool = True) -> AsyncIterator[Site]:
    """`plain` False: aiohttp's server alone."""
    application, post = Application(), Told()
    server = await serve(application.build(), Address("127.0.0.1", 0), {"/send": post} if plain else {})
    try:
        yield Site(server, application, post)
    finally:
        await server.cleanup()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running() as found:
        yield found


@pytest.fixture
async def alone() -> AsyncIterator[Site]:
    async with running(plain=False) as found:
        yield found


@pytest.fixture
async def connection(site: Site) -> AsyncIterator[Connection]:
    async with site.connection() as found:
        yield found


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def post(body: bytes = b"Hello", *headers: str, path: str = "/send", length: int | None = None) -> bytes:
    given = ["Host: a", f"Content-Length: {len(body) if length is None else length}", *headers]
    return f"POST {path} HTTP/1.1\r\n{''.join(f'{line}{CRLF}' for line in given)}\r\n".encode() + body


CRLF = "\r\n"
PING = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST /send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n"


async def digest(connection: Connection) -> str:
    status, headers, _ = await connection.answer()
    assert status == 204
    return headers["x-digest"]


def digest_of(body: bytes) -> str:
    return said({}, body)["X-Digest"]


async def round_trip(site: Site) -> None:
    """What was written to other connections before is read afterwards, where anybody reads it."""
    async with site.connection() as connection:
        connection.write(PING)
        assert (await connection.answer())[0] == 200


# Plain ones


async def test_one_after_another_is_answered_and_the_application_is_not_asked(
    site: Site, connection: Connection
) -> None:
    for body in (b"one", b"", b"message=three", b"\r\n\r\n", b"x" * 10_000):
        connection.write(post(body, "X-Say: yes"))
        status, headers, found = await connection.answer()
        date = parsedate_to_datetime(headers.pop("date"))
        assert date.tzinfo is not None
        expected = {name.lower(): value for name, value in {**said({"X-Say": "yes"}, body), **SAFE_HEADERS}.items()}
        assert (status, headers, found) == (204, expected, b"")
    assert len(site.post.begun) == 5
    assert site.asked == []


async def test_the_headers_are_asked_for_in_any_case(site: Site, connection: Connection) -> None:
    connection.write(post(b"", "x-sAY: yes"))
    assert (await connection.answer())[1]["x-said"] == "yes"
    assert site.asked == []


async def test_without_a_length_the_body_is_empty(site: Site, connection: Connection) -> None:
    connection.write(b"POST /send HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await digest(connection) == digest_of(b"")
    assert site.post.begun == [b""]


async def test_its_bytes_are_those_that_aiohttps_server_sends(site: Site, alone: Site) -> None:
    segments = (post(b"one"), post(b"two"), LAST)
    assert await site.answers(*segments) == await alone.answers(*segments)
    assert (site.post.begun, site.asked) == ([b"one", b"two"], ["GET /ping"])


# What is not plain

HEAD = b"POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
NOT_PLAIN = {
    "another method": [PING],
    "another path": [post(path="/other")],
    "no such path": [post(path="/none")],
    "a path that goes on": [post(path="/send/")],
    "a query": [post(path="/send?a=1")],
    "an empty query": [post(path="/send?")],
    "a fragment": [post(path="/send#a")],
    "a whole address": [post(path="http://a/send")],
    "an encoded path": [post(path="/%73end")],
    "HTTP/1.0 that is kept": [b"POST /send HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nHello"],
    "Expect": [post(b"Hello", "Expect: 100-continue")],
    "another Expect": [post(b"Hello", "Expect: what")],
    "chunks": [CHUNKED],
    "chunks in pieces": [CHUNKED[:70], CHUNKED[70:80], CHUNKED[80:]],
    "gzip": [post(b"Hello", "Content-Encoding: gzip")],
    "identity": [post(b"Hello", "Content-Encoding: identity")],
    "an upgrade": [post(b"Hello", "Connection: upgrade", "Upgrade: websocket")],
    "a head in pieces": [HEAD[:30], HEAD[30:] + b"\r\nHello"],
    "a head cut at its end": [HEAD + b"\r", b"\nHello"],
    "byte by byte": [bytes([byte]) for byte in HEAD + b"\r\nHello"],
    "an empty line before": [b"\r\n" + post()],
    "two at once": [post(b"one") + post(b"two")],
    "one and a half": [post(b"one") + HEAD, b"\r\nHello"],
    "one and one byte": [post(b"one") + b"P", post(b"two")[1:]],
    "two and one of another kind": [post(b"one") + PING + post(b"two")],
    "one in the body of another": [post(post(b"inner"), path="/other")],
    "too large at once": [post(b"x" * LARGEST)],
    "too large in pieces": [post(b"x" * 40_000)[:20_000], post(b"x" * 40_000)[20_000:]],
}
#: Those after which aiohttp's server ends the connection.
LAST_ONES = {
    "closed as asked": [post(b"Hello", "Connection: close")],
    "HTTP/1.0": [b"POST /send HTTP/1.0\r\nContent-Length: 5\r\n\r\nHello"],
    "no HTTP": [b"s3cret\r\n\r\n"],
    "no such method": [b"POSTX /send HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"],
    "another version": [HEAD.replace(b"1.1", b"9.9") + b"\r\nHello"],
    "two lengths": [HEAD + b"Content-Length: 5\r\n\r\nHello"],
    "two lengths that differ": [HEAD + b"Content-Length: 4\r\n\r\nHello"],
    "a length and chunks": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "a length that is none": [post(b"Hello").replace(b"Length: 5", b"Length: +5")],
    "a space before the colon": [HEAD.replace(b"Length:", b"Length :") + b"\r\nHello"],
    "a folded line": [HEAD + b" more\r\n\r\nHello"],
    "lines that end without CR": [HEAD.replace(b"\r", b"") + b"\nHello"],
    "a NUL": [HEAD + b"X-Say: a\0b\r\n\r\nHello"],
    "another coding of the transfer": [HEAD + b"Transfer-Encoding: gzip\r\n\r\nHello"],
    "too many headers": [post(b"Hello", *(f"X-{n}: a" for n in range(200)))],
    "a header that is too long": [post(b"Hello", f"X-Say: {'x' * 9_000}")],
}


def named(cases: dict[str, list[bytes]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("segments", cases.values(), ids=cases.keys())


@named(NOT_PLAIN)
@pytest.mark.parametrize("before", [[], [post(b"before")]], ids=["first", "later"])
async def test_what_is_not_plain_is_answered_as_without_us_and_the_connection_goes_on(
    before: list[bytes], segments: list[bytes], site: Site, alone: Site
) -> None:
    stream = [*before, *segments, post(b"one"), PING, post(b"two"), LAST]
    assert await site.answers(*stream) == await alone.answers(*stream)
    assert site.post.begun == [b"before"] * len(before)
    assert site.asked == alone.asked[len(before) :]


@named(LAST_ONES)
@pytest.mark.parametrize("before", [[], [post(b"before")]], ids=["first", "later"])
async def test_what_ends_the_connection_is_answered_as_without_us(
    before: list[bytes], segments: list[bytes], site: Site, alone: Site
) -> None:
    assert await site.answers(*before, *segments) == await alone.answers(*before, *segments)
    assert site.post.begun == [b"before"] * len(before)
    assert site.asked == alone.asked[len(before) :]


@pytest.mark.parametrize(
    "pieces", [[HEAD + b"\r\n", b"Hello"], [HEAD + b"\r\nHe", b"l", b"lo"]], ids=["of its own", "in pieces"]
)
async def test_a_body_that_comes_after_its_head_is_plain(
    pieces: list[bytes], site: Site, connection: Connection
) -> None:
    """As http.client, and what stands on it, writes them."""
    for number in range(1, 4):
        for piece in pieces:
            connection.write(piece)
            await round_trip(site)
        assert await digest(connection) == digest_of(b"Hello")
        assert site.post.begun == [b"Hello"] * number
    assert "POST /send" not in " ".join(site.asked)


async def test_a_body_that_is_late_is_for_aiohttps_server_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_posts, "LATE_BODY", 0.0)
    told = Told()
    async with plainly(told) as (server, _), server.connection() as connection:
        connection.write(HEAD + b"\r\nHe")
        assert (await connection.answer())[0] == 404  # there, by the head alone
    assert told.begun == []


async def test_a_body_that_dribbles_in_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_posts, "LATE_BODY", 0.2)
    told = Told()
    async with plainly(told) as (server, _), server.connection() as connection:
        answer = asyncio.create_task(connection.answer())
        connection.write(HEAD.replace(b"Length: 5", b"Length: 9000") + b"\r\n")
        async with asyncio.timeout(60):
            while not answer.done():
                connection.write(b"x")
                await asyncio.sleep(0.02)
        assert (await answer)[0] == 404
    assert told.begun == []


@pytest.mark.parametrize("more", [0, 1])
async def test_the_largest_is_still_plain(more: int, site: Site, connection: Connection) -> None:
    body = b"x" * (LARGEST - len(post(b"", length=10_000)) + more)
    connection.write(post(body))
    assert await digest(connection) == digest_of(body)
    assert (len(site.post.begun), len(site.asked)) == (1 - more, more)


@pytest.mark.parametrize("kind", ["bytes", "TLS"])
async def test_bytes_that_are_no_text_are_answered_as_without_us(kind: str, site: Site, alone: Site) -> None:
    data = bytes.fromhex("160301020001000001fc0303") if kind == "TLS" else post(b"\xff\xfe").replace(b"a", b"\xff", 1)
    end = b"" if kind == "TLS" else LAST
    assert await site.answers(data + end) == await alone.answers(data + end)


# Heads that are remembered


@pytest.mark.parametrize(
    "segments",
    [
        [post(b"Hello") + PING],
        [post(b"Hel", length=5), b"lo" + PING],
        [post(b"Hello") + post(b"Hello")],
        [post(b"Hello") + post(b"Hello")[:-2], b"lo"],
    ],
)
async def test_a_known_head_with_another_length_of_body_is_not_whole(
    segments: list[bytes], site: Site, alone: Site
) -> None:
    stream = [post(b"Hello"), *segments, post(b"World"), LAST]
    assert await site.answers(*stream) == await alone.answers(*stream)
    assert site.post.begun == [b"Hello"]


async def test_heads_that_differ_in_one_byte_are_not_mixed_up(site: Site, connection: Connection) -> None:
    for _ in range(2):
        for value in ("a", "b", "A", "aa", ""):
            connection.write(post(b"Hello", f"X-Say: {value}"))
            assert (await connection.answer())[1]["x-said"] == value
        for body in (b"12345", b"123456", b"1234"):
            connection.write(post(body))
            assert await digest(connection) == digest_of(body)
    assert site.asked == []


async def test_a_known_head_is_known_on_other_connections_too(site: Site) -> None:
    for _ in range(3):
        async with site.connection() as connection:
            connection.write(post())
            assert await digest(connection) == digest_of(b"Hello")
    assert (len(site.post.begun), site.asked) == (3, [])


async def test_more_heads_than_are_remembered_go_on_working(site: Site, connection: Connection) -> None:
    for number in (*range(MOST_REMEMBERED + 10), 0, 1):
        connection.write(post(b"Hello", f"X-Say: {number}"))
        assert (await connection.answer())[1]["x-said"] == str(number)
    assert (len(site.post.begun), site.asked) == (MOST_REMEMBERED + 12, [])


# The next one before the answer


async def test_a_request_that_comes_before_the_answer_is_answered_after_it(site: Site, connection: Connection) -> None:
    site.post.holds = True
    connection.write(post(b"one"))
    first = await site.post.next()
    connection.write(post(b"two") + PING)
    await round_trip(site)
    connection.write(post(b"three"))
    await round_trip(site)
    first.set_result(said({}, b"one"))
    assert [await digest(connection), await digest(connection)] == [digest_of(b"one"), digest_of(b"two")]
    assert (await connection.answer())[2] == b"pong"
    assert await digest(connection) == digest_of(b"three")
    assert site.post.begun == [b"one"]


@pytest.mark.parametrize("piece", [1, 40, 1000, 1 << 20])
async def test_a_thousand_that_come_before_the_first_answer_are_answered_in_their_order(
    piece: int, site: Site, connection: Connection
) -> None:
    site.post.holds = True
    connection.write(post(b"first"))
    first = await site.post.next()
    bodies = [str(number).encode() for number in range(1000 if piece > 1 else 20)]
    stream = b"".join(post(body) for body in bodies)
    for start in range(0, len(stream), piece):
        connection.write(stream[start : start + piece])
        await asyncio.sleep(0)
    first.set_result(said({}, b"first"))
    expected = [digest_of(body) for body in (b"first", *bodies)]
    assert [await digest(connection) for _ in expected] == expected
    assert site.post.begun == [b"first"]


# Any stream, in any pieces

Ending = Callable[["asyncio.Future[Answers]", Answers], None]


def _fail(future: asyncio.Future[Answers], _answer: Answers) -> None:
    future.set_exception(RuntimeError("nothing was done"))


def _cancel(future: asyncio.Future[Answers], _answer: Answers) -> None:
    future.cancel()


def _give(future: asyncio.Future[Answers], answer: Answers) -> None:
    future.set_result(answer)


def _refuse(future: asyncio.Future[Answers], _answer: Answers) -> None:
    future.set_result(None)


class Wavering(Told):
    """Answers after some turns of the event loop, or does not, as `ends` says of one request after another."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[int, Ending]] = []
        self.answered = 0

    def begin(self, headers: Headers, body: bytes) -> asyncio.Future[Answers] | None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answers] = loop.create_future()
        turns, ending = self.ends[len(self.begun) % len(self.ends)]
        self.begun.append(body)
        self._later(loop, turns, lambda: ending(future, said(headers, body)))
        return future

    def accepted(self, done: Answers) -> Answers:
        self.answered += done is not None
        return done

    def _later(self, loop: asyncio.AbstractEventLoop, turns: int, work: Callable[[], None]) -> None:
        if turns:
            loop.call_soon(self._later, loop, turns - 1, work)
        else:
            work()


_BODIES = st.sampled_from([b"", b"Hello", b"World", b"\r\n\r\n", b"\r", post(b"inner"), PING, b"x" * 3000])
_PLAIN = st.builds(post, _BODIES, st.sampled_from(["X-Say: a", "X-Say: b", "X-Say:", "x-say: a"]))
_OTHER = st.sampled_from(
    [PING, CHUNKED, post(path="/other"), post(path="/none"), post(b"x" * LARGEST), post(b"", "Expect: 100-continue")]
)
_GARBAGE = [b"s3cret\r\n\r\n", HEAD + b"Content-Length: 4\r\n\r\nHello", post(b"Hello", length=3) + b"\r\n\r\n"]
_ENDS = st.sampled_from([_give] * 6 + [_refuse, _refuse])
_TIMES = st.tuples(st.integers(0, 6), _ENDS)
_TURNS = st.sampled_from([12, 12, 12, 0, 1, 3, 6])
_MOSTLY = st.sampled_from([True, True, False])


@st.composite
def _streams(draw: st.DrawFn, ends: Sequence[bytes] = (LAST,)) -> tuple[bytes, list[bytes], list[int]]:
    """Requests with their end, cut anywhere, most often where one ends; and turns of the event loop after each piece.

    The stream, as it is without that end, comes first.
    """
    requests = draw(st.lists(_PLAIN, min_size=1, max_size=5)) + draw(st.lists(_PLAIN | _OTHER, max_size=4))
    stream, last = b"".join(requests), draw(st.sampled_from(ends))
    places = [sum(map(len, requests[:number])) for number in range(len(requests) + 1)]
    # What comes after an end is answered with a reset, in which answers may get lost: no cut in what brings it.
    cuts = draw(st.sets(st.sampled_from(places) | st.integers(1, len(stream)), max_size=10))
    cuts |= {0, len(stream) + len(last), *(places if draw(_MOSTLY) else [])}
    pieces = [(stream + last)[start:end] for start, end in pairwise(sorted(cuts))]
    return stream, pieces, draw(st.lists(_TURNS, min_size=len(pieces), max_size=len(pieces)))


async def _said_to(port: int, pieces: Sequence[bytes], turns: Sequence[int]) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece, count in zip(pieces, turns, strict=True):
        writer.write(piece)
        for _ in range(count):
            await asyncio.sleep(0)
    found = b""
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionResetError):  # an end with something unread behind it
            while data := await reader.read(1 << 16):
                found += data
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return re.sub(rb"\r\nDate: [^\r]+", b"", found)


class Pair:
    """A site with a Wavering PlainPost, and aiohttp's server alone, on an event loop of their own."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.wavering = Wavering()
        self.plain = 0  # answers without the application
        self._runner = runner
        self._ours, self._theirs = Application(), Application()
        here = Address("127.0.0.1", 0)
        self._site = runner.run(serve(self._ours.build(), here, {"/send": self.wavering}))
        self._alone = runner.run(serve(self._theirs.build(), here))

    def close(self) -> None:
        for server in (self._site, self._alone):
            self._runner.run(server.cleanup())

    def ours(self, pieces: Sequence[bytes], turns: Sequence[int]) -> bytes:
        self._ours.asked.clear()
        self.wavering.begun, self.wavering.answered = [], 0
        found = self._runner.run(_said_to(self._site.addresses[0][1], pieces, turns))
        self.plain += self.wavering.answered
        return found

    def theirs(self, stream: bytes) -> bytes:
        self._theirs.asked.clear()
        return self._runner.run(_said_to(self._alone.addresses[0][1], [stream], [0]))

    def asked(self) -> tuple[int, int]:
        """How often something was done for the last stream, here and there."""
        return len(self._ours.asked) + self.wavering.answered, len(self._theirs.asked)


@pytest.fixture(params=LOOP_FACTORIES.values(), ids=[*LOOP_FACTORIES])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        made = Pair(runner)
        yield made
        made.close()


_SETTINGS = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],  # a hundred shorter failures would take longer than reading one
)


def test_however_a_stream_is_cut_it_is_answered_as_aiohttps_server_alone_answers_it(pair: Pair) -> None:
    @given(cut=_streams(), ends=st.lists(_TIMES, min_size=1, max_size=8))
    @_SETTINGS
    def check(cut: tuple[bytes, list[bytes], list[int]], ends: list[tuple[int, Ending]]) -> None:
        stream, pieces, turns = cut
        pair.wavering.ends = ends
        assert pair.ours(pieces, turns) == pair.theirs(stream + LAST)
        ours, theirs = pair.asked()
        assert ours == theirs  # each request once

    check()
    assert pair.plain > 100


def test_what_comes_before_garbage_is_answered_in_its_order_and_the_garbage_with_400(pair: Pair) -> None:
    """aiohttp's server answers nothing that it read together with garbage, so of what comes before some may lack."""

    @given(cut=_streams(_GARBAGE), ends=st.lists(_TIMES, min_size=1, max_size=8))
    @_SETTINGS
    def check(cut: tuple[bytes, list[bytes], list[int]], ends: list[tuple[int, Ending]]) -> None:
        stream, pieces, turns = cut
        pair.wavering.ends = ends
        *found, last = _split(pair.ours(pieces, turns))
        assert last.split(b" ", 2)[1] == b"400"
        assert found == _split(pair.theirs(stream + LAST))[: len(found)]

    check()
    assert pair.plain > 100


def _split(answers: bytes) -> list[bytes]:
    return re.split(rb"(?=HTTP/1\.[01] )", answers)[1:]


# What comes to nothing


@pytest.mark.parametrize("behind", [b"", post(b"two"), post(b"two")[:20]])
async def test_what_comes_to_nothing_is_asked_of_the_application_once(
    behind: bytes, site: Site, connection: Connection, log: pytest.LogCaptureFixture
) -> None:
    site.post.holds = True
    connection.write(post(b"one"))
    future = await site.post.next()
    connection.write(behind)
    await round_trip(site)
    future.set_result(None)
    assert await digest(connection) == digest_of(b"one")
    connection.write(post(b"two")[len(behind) :])
    assert await digest(connection) == digest_of(b"two")
    connection.write(post(b"three"))
    assert await digest(connection) == digest_of(b"three")
    assert site.asked == ["GET /ping", "POST /send 3", "POST /send 3", "POST /send 5"]
    assert site.post.begun == [b"one"]
    assert {record.levelno for record in log.records} <= {logging.DEBUG, logging.INFO}


@pytest.mark.parametrize("behind", [b"", post(b"two"), post(b"two")[:20]])
async def test_what_fails_is_answered_as_if_a_handler_had_raised_it(
    behind: bytes, site: Site, connection: Connection
) -> None:
    site.post.holds = True
    connection.write(post(b"one"))
    future = await site.post.next()
    connection.write(behind)
    await round_trip(site)
    future.set_exception(StoreUnavailable("no room"))
    status, headers, data = await connection.answer()
    assert (status, headers["retry-after"], json.loads(data)["code"]) == (503, "5", "store_unavailable")
    connection.write(post(b"two")[len(behind) :])
    assert await digest(connection) == digest_of(b"two")
    assert site.asked == ["GET /ping", "POST /send 3"]


async def test_what_is_broken_off_is_answered_as_a_bug(site: Site, connection: Connection) -> None:
    site.post.holds = True
    connection.write(post(b"one"))
    (await site.post.next()).cancel()
    assert await connection.code(b"") == (500, "internal_error")
    assert site.asked == []


async def test_a_failure_is_forgotten_when_its_client_has_left(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_posts, "FORGOTTEN", 0.0)
    failures: Failures = {}
    posts = PlainPosts({}, web.Server(nothing), failures, idle=3600)
    posts.failed(posts.server(), Failure(StoreUnavailable("no room"), 0.0))
    assert failures
    await round_trip(site)
    assert not failures


@pytest.mark.parametrize("reason", ["refuses", "raises"])
async def test_what_is_not_begun_is_asked_of_the_application_once(
    reason: str, site: Site, connection: Connection
) -> None:
    setattr(site.post, reason, RuntimeError("a bug"))
    for number in range(1, 3):
        connection.write(post(b"one"))
        assert await digest(connection) == digest_of(b"one")
        assert site.asked == ["POST /send 3"] * number


# Clients that leave, and clients that do not read


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave without a word: an end could mean that all is said, and the answer awaited."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def nothing(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=404)


async def plain_server(post: Told, *, idle: float) -> tuple[asyncio.Server, PlainPosts]:
    """Without an application; whoever gets to it is answered 404."""
    posts = PlainPosts({"/send": post}, web.Server(nothing), {}, idle=idle)
    return await asyncio.get_running_loop().create_server(posts, "127.0.0.1", 0), posts


@asynccontextmanager
async def plainly(post: Told, *, idle: float = 3600) -> AsyncIterator[tuple[Server, PlainPosts]]:
    listening, posts = await plain_server(post, idle=idle)
    try:
        yield Server(listening.sockets[0].getsockname()[1]), posts
    finally:
        listening.close()
        await posts.shutdown(0.05)
        await posts.server.shutdown()


@pytest.mark.parametrize("ending", [_give, _fail, _cancel, _refuse])
async def test_a_client_that_leaves_before_its_answer_is_forgotten_and_what_was_done_for_it_is_logged(
    ending: Ending, log: pytest.LogCaptureFixture
) -> None:
    told = Told()
    told.holds = True
    async with plainly(told) as (server, posts):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post())
        future = await told.next()
        reset(writer)
        async with asyncio.timeout(60):
            await posts.shutdown(3600)  # waits for all that it has not forgotten
        ending(future, said({}, b""))
        await taken_in()
        assert [record.levelno for record in log.records] == ([logging.INFO] if ending is _give else [])


@pytest.mark.parametrize("ending", [_give, _refuse])
async def test_a_client_that_has_said_all_still_gets_its_answer_and_the_end(ending: Ending, site: Site) -> None:
    site.post.holds = True
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(post())
    future = await site.post.next()
    writer.write_eof()
    await round_trip(site)
    ending(future, said({}, b""))
    async with asyncio.timeout(60):
        found = await reader.read()
    assert found.startswith(b"HTTP/1.1 204") if ending is _give else not found
    writer.close()


async def test_a_client_that_leaves_with_a_next_one_behind_is_forgotten_too(log: pytest.LogCaptureFixture) -> None:
    told = Told()
    told.holds = True
    async with plainly(told) as (server, posts):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post())
        future = await told.next()
        writer.write(post(b"x" * 100_000))
        async with server.connection() as other:  # see `round_trip`
            other.write(PING)
            await other.answer()
        writer.transport.abort()
        future.set_result(said({}, b""))
        async with asyncio.timeout(60):
            await posts.shutdown(3600)
    assert {record.levelno for record in log.records} <= {logging.INFO}


async def test_a_client_that_does_not_read_its_answers_gets_no_more_of_them(site: Site, connection: Connection) -> None:
    site.post.holds = True
    large, begun = {"X-Say": "x" * 60_000}, 0
    while len(site.post.begun) == begun:
        connection.write(post())
        await round_trip(site)
        if len(site.post.begun) > begun:
            begun += 1
            (await site.post.next()).set_result(large)
            await taken_in()
        else:
            break
        assert begun < 1000, "60 MB of answers are kept for nobody"
    for _ in range(begun):
        assert (await connection.answer())[1]["x-say"] == large["X-Say"]
    (await site.post.next()).set_result(said({}, b""))
    assert await digest(connection) == digest_of(b"")


class Slow:
    """An application whose answers wait."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.reading: list[bool] = []

    @public
    async def get(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.reading.append(request.transport.is_reading())
        await self.gate.wait()
        return web.Response()


async def test_more_pipelined_than_aiohttps_server_queues_is_not_read() -> None:
    """It pauses reading at 32 requests; the hand-over takes that back, and then it never pauses again."""
    slow = Slow()
    auth = Auth(AuthSettings(), Tokens(JwtSettings(), "x" * 32), KeyRing(Database(None)))
    app = build_application(auth, [web.get("/slow", slow.get)])
    server = await serve(app, Address("127.0.0.1", 0))
    _, writer = await asyncio.open_connection("127.0.0.1", server.addresses[0][1])
    writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
    async with asyncio.timeout(60):
        while not slow.reading:
            await asyncio.sleep(0)
    writer.transport.abort()
    slow.gate.set()
    await server.cleanup()
    assert slow.reading[0] is False


async def test_a_hand_over_while_the_client_does_not_read_is_no_error(
    log: pytest.LogCaptureFixture, site: Site
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=64 << 20)
    site.post.holds = True
    writer.write(post())
    future = await site.post.next()
    writer.write(PING)
    await round_trip(site)
    future.set_result({"X-Say": "x" * (30 << 20)})
    async with asyncio.timeout(60):
        await reader.readuntil(b"pong")
    writer.close()
    assert {record.levelno for record in log.records} <= {logging.INFO}


async def test_handed_over_it_gets_no_more_than_it_reads_either(site: Site, connection: Connection) -> None:
    connection.write(PING + post(path="/large") * 2000)
    before = -1
    while len(site.asked) > before:
        before = len(site.asked)
        for _ in range(100):
            await taken_in()
    assert 2 <= len(site.asked) < 1000, "60 MB of answers are kept for nobody"


async def test_a_client_that_goes_on_before_the_answer_is_read_no_further(site: Site) -> None:
    site.post.holds = True
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(post())
    future = await site.post.next()
    writer.write(b"x" * (64 << 20))
    waiting = [0, writer.transport.get_write_buffer_size()]
    async with asyncio.timeout(60):
        while waiting[-1] != waiting[-2]:  # what the system takes in, it takes before it is asked again
            await round_trip(site)
            waiting.append(writer.transport.get_write_buffer_size())
    assert waiting[-1] > 32 << 20
    writer.transport.abort()
    future.cancel()


# Idle ones


async def test_a_connection_that_brings_nothing_ends() -> None:
    async with plainly(Told(), idle=0.05) as (server, _), server.connection() as connection:
        assert await connection.ended() == b""


async def test_a_connection_that_brings_no_more_ends() -> None:
    async with plainly(Told(), idle=0.05) as (server, _), server.connection() as connection:
        connection.write(post())
        assert await digest(connection) == digest_of(b"Hello")
        assert await connection.ended() == b""


async def test_an_answer_may_take_longer_than_a_connection_may_be_idle() -> None:
    told = Told()
    told.holds = True
    async with plainly(told, idle=0.05) as (server, _), server.connection() as connection:
        connection.write(post())
        future = await told.next()
        for _ in range(2):
            async with server.connection() as later:
                assert await later.ended() == b""  # so the first one's time has been over for longer
        future.set_result(said({}, b""))
        assert await digest(connection) == digest_of(b"")
        assert await connection.ended() == b""


async def test_each_request_begins_the_time_anew() -> None:
    async with plainly(Told(), idle=0.3) as (server, _), server.connection() as used, server.connection() as idle:
        ended = asyncio.create_task(idle.ended())
        while not ended.done():  # it came later than the other
            used.write(post())
            assert await digest(used) == digest_of(b"Hello")
        used.write(post())
        assert await digest(used) == digest_of(b"Hello")


# The end


async def refused(site: Site) -> None:
    """Return once nothing new is accepted."""
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            while True:
                async with site.connection():
                    await asyncio.sleep(0.002)


async def test_at_the_end_what_rests_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LAST_ANSWERS", 3600.0)
    async with running() as site, site.connection() as new, site.connection() as used:
        used.write(post())
        assert await digest(used) == digest_of(b"Hello")
        async with asyncio.timeout(60):
            await site.server.cleanup()
        assert (await new.ended(), await used.ended()) == (b"", b"")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", site.port)


@pytest.mark.parametrize("by", [said({}, b"Hello"), None], ids=["ours", "the application"])
async def test_at_the_end_what_is_being_answered_gets_its_answer_first(
    by: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "LAST_ANSWERS", 3600.0)
    async with running() as site, site.connection() as connection:
        site.post.holds = True
        connection.write(post())
        future = await site.post.next()
        cleaning = asyncio.create_task(site.server.cleanup())
        await refused(site)
        assert not cleaning.done()
        future.set_result(by)
        assert await digest(connection) == digest_of(b"Hello")
        assert await connection.ended() == b""
        async with asyncio.timeout(60):
            await cleaning


async def test_at_the_end_what_never_gets_its_answer_is_broken_off(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "LAST_ANSWERS", 0.05)
    async with running() as site, site.connection() as connection:
        site.post.holds = True
        connection.write(post())
        future = await site.post.next()
        async with asyncio.timeout(60):
            await site.server.cleanup()
        with contextlib.suppress(ConnectionResetError):
            assert await connection.ended() == b""
        future.set_result(said({}, b"Hello"))
        await taken_in()
        assert [record.levelno for record in log.records] == [logging.INFO]


# The access log


async def test_a_plain_one_is_logged_as_any_other(site: Site, alone: Site, log: pytest.LogCaptureFixture) -> None:
    found = []
    for server in (site, alone):
        log.clear()
        async with server.connection() as connection:
            connection.write(post(b"Hello"))
            await connection.answer()
        [line] = await lines(log)
        assert isinstance(line.msg, dict)
        assert line.msg["ms"] >= 0
        found.append((line.name, line.levelno, {**line.msg, "ms": 0, "timestamp": ""}))
    assert found[0] == found[1]
    shown = found[0][2]
    assert (shown["method"], shown["path"], shown["status"]) == ("POST", "/send", 204)
    assert (shown["remote"], shown["message"]) == ("127.0.0.1", 5)


async def test_each_request_is_one_line_whoever_answers_it(
    log: pytest.LogCaptureFixture, site: Site, connection: Connection
) -> None:
    for data in (post(b"1"), post(b"22"), post(b"333"), PING, post(b"4444")):
        connection.write(data)
        await connection.answer()
    async with asyncio.timeout(60):
        while len(found := await lines(log)) < 5:
            await asyncio.sleep(0.002)
    assert {line.levelno for line in found} == {logging.INFO}
    shown = [line.msg for line in found if isinstance(line.msg, dict)]
    assert [(line["path"], line.get("message")) for line in shown] == [
        ("/send", 1),
        ("/send", 2),
        ("/send", 3),
        ("/ping", None),
        ("/send", 4),
    ]


async def test_at_level_warning_there_is_no_line(log: pytest.LogCaptureFixture) -> None:
    log.set_level(logging.WARNING)
    async with running() as site, site.connection() as connection:
        connection.write(post())
        assert await digest(connection) == digest_of(b"Hello")
    assert log.records == []
