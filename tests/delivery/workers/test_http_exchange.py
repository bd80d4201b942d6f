"""Exchanges with an HTTP server over kept connections: when one is used again, and above all when not.

The far side runs in threads, so that it can do something while the event loop is kept from noticing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import trustme
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from threaded_server import PATIENCE, Peer, Server, serving, wait, wait_politely
from yarl import URL

from vestnik.delivery.workers.http_connections import LONGEST_IDLE, LONGEST_LIFE, Connections
from vestnik.delivery.workers.http_exchange import Answer, Exchange, Request
from vestnik.delivery.workers.worker import Unavailable

#: The daemon may run on either, and their transports are of different classes.
LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def ok(body: bytes = b"yes", *headers: bytes, version: bytes = b"1.1", status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/%s %s" % (version, status), b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def read_request(peer: Peer) -> bytes:
    """The next request with its body; b"" when the client has hung up."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = peer.stream.readline()
        if not line:
            return b""
        head += line
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
    whole = head + peer.stream.read(length)
    peer.server.seen.append((peer.number, whole))
    return whole


def answer_all(peer: Peer, answer: bytes = ok()) -> None:
    while read_request(peer):
        peer.say(answer)


@contextlib.asynccontextmanager
async def exchange(limit: float = PATIENCE) -> AsyncIterator[Exchange]:
    opened = Exchange(limit, ["opensesame"], max_body=1000)
    try:
        yield opened
    finally:
        await opened.close()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def get(server: Server, path: str = "/x") -> Request:
    return Request("GET", f"{url(server)}{path}")


async def lost(exchange: Exchange, request: Request) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await exchange.ask(request)
    return caught.value


# Used again


async def test_one_connection_carries_one_request_after_another() -> None:
    with serving(answer_all) as server:
        async with exchange() as asking:
            assert [await asking.ask(get(server, f"/{n}")) for n in range(5)] == [Answer(200, "yes")] * 5
        assert server.connections == 1
        assert [request.split()[1] for _, request in server.seen] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


async def test_there_are_as_many_connections_as_requests_at_once() -> None:
    everybody = threading.Barrier(4)

    def script(peer: Peer) -> None:
        while read_request(peer):
            everybody.wait(PATIENCE)
            peer.say(ok())

    with serving(script) as server:
        async with exchange() as asking:
            for _ in range(3):
                await asyncio.gather(*(asking.ask(get(server)) for _ in range(4)))
        assert server.connections == 4


async def test_each_server_has_connections_of_its_own() -> None:
    with serving(answer_all) as one, serving(answer_all) as other:
        async with exchange() as asking:
            for server in (one, other, one, other):
                await asking.ask(get(server))
        assert (one.connections, other.connections) == (1, 1)


async def test_the_one_used_last_is_used_first() -> None:
    everybody = threading.Barrier(2)

    def script(peer: Peer) -> None:
        read_request(peer)
        everybody.wait(PATIENCE)
        if peer.number == 2:
            wait(first_is_back)
        peer.say(ok())
        answer_all(peer)

    first_is_back = threading.Event()
    with serving(script) as server:
        async with exchange() as asking:
            one, other = (asyncio.create_task(asking.ask(get(server))) for _ in range(2))
            await asyncio.wait((one, other), return_when=asyncio.FIRST_COMPLETED)
            first_is_back.set()
            await asyncio.gather(one, other)
            for _ in range(3):
                await asking.ask(get(server))
        assert [number for number, _ in server.seen[2:]] == [2, 2, 2]


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"", status=b"204 No Content"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n",
        ok(b"no", status=b"400 Bad Request"),
        ok(b"later", status=b"503 Service Unavailable"),
        ok(b"yes", b"Connection: keep-alive", version=b"1.0"),
        ok(b"\x1f\x8b", b"Content-Encoding: gzip"),
        ok(b"x" * 1000),
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok(),
    ],
)
async def test_a_whole_answer_of_any_kind_leaves_a_connection_that_is_used_again(answer: bytes) -> None:
    with serving(lambda peer: answer_all(peer, answer)) as server:
        async with exchange() as asking:
            first, again = [await asking.ask(get(server)) for _ in range(2)]
        assert first == again
        assert first.status >= 200
        assert server.connections == 1


# Not used again


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"yes", b"Connection: close"),
        ok(version=b"1.0"),
        ok(b"x" * 2500),
        ok(b"x" * 200_000),
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ok() + ok(b"more"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n",  # without its end
    ],
    ids=["says so", "HTTP/1.0", "too long", "far too long", "no HTTP any more", "two answers", "half"],
)
async def test_an_answer_that_ends_it_leaves_no_connection(answer: bytes) -> None:
    def script(peer: Peer) -> None:
        read_request(peer)
        peer.say(answer if peer.number == 1 else ok())
        peer.read_to_the_end()

    with serving(script) as server:
        async with exchange(limit=0.3) as asking:
            await asking.ask(get(server))
            assert (await asking.ask(get(server))).text == "yes"
            await wait_politely(server.ended)
        assert [number for number, _ in server.seen] == [1, 2]


async def test_a_body_up_to_the_end_of_the_connection_is_read() -> None:
    def script(peer: Peer) -> None:
        read_request(peer)
        peer.say(b"HTTP/1.1 200 OK\r\n\r\nyes")

    with serving(script) as server:
        async with exchange() as asking:
            assert [await asking.ask(get(server)) for _ in range(2)] == [Answer(200, "yes")] * 2
        assert server.connections == 2


async def test_a_connection_is_closed_when_it_was_idle_for_long() -> None:
    with serving(answer_all) as server:
        async with exchange() as asking:
            await asking.ask(get(server))
            await wait_politely(server.ended)
            await asking.ask(get(server))
        assert server.connections == 2


@contextlib.asynccontextmanager
async def connections(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Connections]:
    connector = aiohttp.TCPConnector(force_close=True, limit=0, ssl=tls or True)
    opened = Connections(connector, URL(url(server) if tls is None else url(server).replace("http:", "https:")))
    try:
        yield opened
    finally:
        opened.close()
        await connector.close()


async def test_a_connection_is_fresh_for_a_moment_and_never_for_long() -> None:
    with serving(answer_all) as server:
        async with connections(server) as opened:
            connection = await opened.open()
            now = connection.idle_since
            assert connection.is_fresh(now + LONGEST_IDLE)
            assert not connection.is_fresh(now + LONGEST_IDLE + 0.001)
            connection.idle_since = now + LONGEST_LIFE  # busy all the time
            assert connection.is_fresh(now + LONGEST_LIFE)
            assert not connection.is_fresh(now + LONGEST_LIFE + 0.001)
            connection.close()
            assert not connection.is_fresh(now)


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "unnoticed"])
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(reset: bool, noticed: bool) -> None:
    answered = threading.Event()

    def script(peer: Peer) -> None:
        read_request(peer)
        peer.say(ok())
        if peer.number == 1:
            wait(answered)
            peer.hang_up(reset=reset)

    with serving(script) as server:
        async with exchange() as asking:
            await asking.ask(get(server))
            answered.set()
            if noticed:
                await wait_politely(server.ended)
            else:
                wait(server.ended)  # the loop has not read it yet when it is to send
            assert await asking.ask(get(server)) == Answer(200, "yes")
        assert [number for number, _ in server.seen] == [1, 2]


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "unnoticed"])
async def test_an_answer_to_nothing_is_not_taken_for_that_to_the_next_request(noticed: bool) -> None:
    answered, said = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        read_request(peer)
        peer.say(ok(b"first"))
        if peer.number == 1:
            wait(answered)
            peer.say(ok(b"once more"))
            said.set()
        answer_all(peer, ok(b"second"))

    with serving(script) as server:
        async with exchange() as asking:
            assert (await asking.ask(get(server))).text == "first"
            answered.set()
            if noticed:
                await wait_politely(said)
                await asyncio.sleep(0.01)  # reading it tells nobody
            else:
                wait(said)
            assert (await asking.ask(get(server))).text == "first"
        assert [number for number, _ in server.seen] == [1, 2]


async def test_who_asks_the_server_to_close_does_not_come_again() -> None:
    with serving(answer_all) as server:
        async with exchange() as asking:
            for _ in range(2):
                await asking.ask(Request("GET", f"{url(server)}/", {"connection": "Close"}))
        assert server.connections == 2


async def test_closing_closes_what_is_kept() -> None:
    with serving(answer_all) as server:
        async with exchange() as asking:
            await asking.ask(get(server))
            await asking.close()
            await wait_politely(server.ended)


async def test_a_connection_in_use_while_all_is_closed_is_not_kept() -> None:
    with serving(answer_all) as server:
        async with connections(server) as opened:
            connection = await opened.open()
            connection.send(b"GET / HTTP/1.1\r\n\r\n")
            _, body = await connection.receive()
            assert await body.read() == b"yes"
            assert connection.is_over()
            opened.close()
            opened.give_back(connection)
            assert opened.take_kept() is None
            await wait_politely(server.ended)


async def test_a_server_that_speaks_first_is_asked_all_the_same() -> None:
    def script(peer: Peer) -> None:
        peer.say(b"220 mail.example ESMTP\r\n")
        answer_all(peer)

    with serving(script) as server:
        async with exchange() as asking:
            assert (await lost(asking, get(server))).maybe_sent


# Lost


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_request_that_a_kept_connection_lost_may_have_arrived_and_is_not_repeated(
    method: str, reset: bool
) -> None:
    def script(peer: Peer) -> None:
        read_request(peer)
        peer.say(ok())
        read_request(peer)
        peer.hang_up(reset=reset)

    with serving(script) as server:
        async with exchange() as asking:
            request = Request(method, f"{url(server)}/x", body=None if method == "GET" else b"body")
            await asking.ask(request)
            assert (await lost(asking, request)).maybe_sent
            assert [number for number, _ in server.seen] == [1, 1]
            assert await asking.ask(request) == Answer(200, "yes")  # over a new one


async def test_an_answer_that_comes_too_late_is_nobody_elses() -> None:
    late = threading.Event()

    def script(peer: Peer) -> None:
        came = read_request(peer)
        if b"/slow" in came:
            wait(late)
        peer.say(ok(came.split()[1]))
        answer_all(peer, ok(b"another"))

    with serving(script) as server:
        async with exchange(limit=0.2) as asking:
            error = await lost(asking, get(server, "/slow"))
            assert (error.maybe_sent, error.reason) == (True, "no answer within 0.2 s")
            late.set()
            assert (await asking.ask(get(server, "/quick"))).text == "/quick"
        assert [number for number, _ in server.seen] == [1, 2]


async def test_an_answer_that_drips_does_not_hold_us_for_longer_than_the_timeout() -> None:
    def script(peer: Peer) -> None:
        read_request(peer)
        peer.say(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while True:
            peer.say(b"x")
            threading.Event().wait(0.02)

    with serving(script) as server:
        async with exchange(limit=0.2) as asking, asyncio.timeout(PATIENCE):
            assert (await lost(asking, get(server))).maybe_sent


@pytest.mark.parametrize("before", [0, 1])
async def test_an_exchange_that_is_broken_off_leaves_no_connection(before: int) -> None:
    came = threading.Event()

    def script(peer: Peer) -> None:
        if peer.number == 1:
            for _ in range(before):
                read_request(peer)
                peer.say(ok())
            read_request(peer)
            came.set()
            peer.read_to_the_end()
        answer_all(peer)

    with serving(script) as server:
        async with exchange() as asking:
            for _ in range(before):
                await asking.ask(get(server))
            asked = asyncio.create_task(asking.ask(get(server)))
            await wait_politely(came)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await asking.ask(get(server))
            assert server.connections == 2
            await wait_politely(server.ended)


async def test_an_answer_that_did_not_wait_for_the_whole_request_counts() -> None:
    answered = threading.Event()

    def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.say(ok(b"too large", status=b"413 Content Too Large"))
            wait(answered)
            peer.read_to_the_end()
        answer_all(peer)

    with serving(script) as server:
        async with exchange() as asking:
            answer = await asking.ask(Request("POST", f"{url(server)}/", body=b"x" * (16 << 20)))
            assert answer == Answer(413, "too large")
            assert await asking.ask(get(server)) == Answer(200, "yes")  # over a new one: the rest is still to be sent
            answered.set()
            await wait_politely(server.ended)


# TLS


async def test_connections_are_kept_over_tls_as_well() -> None:
    authority, here, there = trustme.CA(), ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(there)
    authority.configure_trust(here)
    answered = threading.Event()

    def script(peer: Peer) -> None:
        for _ in range(3):
            read_request(peer)
            peer.say(ok())
        wait(answered)

    with serving(script, there) as server:
        async with connections(server, here) as opened:
            connection = await opened.open()
            for _ in range(3):
                connection.send(b"GET / HTTP/1.1\r\n\r\n")
                head, body = await connection.receive()
                assert (head.code, await body.read()) == (200, b"yes")
                opened.give_back(connection)
                assert opened.take_kept() is connection
            answered.set()
            opened.give_back(connection)
            wait(server.ended)
            assert opened.take_kept() is None
        assert server.connections == 1


# What is sent


async def sent(request: Callable[[str], Request]) -> bytes:
    with serving(answer_all) as server:
        async with exchange() as asking:
            await asking.ask(request(url(server)))
        return server.seen[0][1].replace(url(server).removeprefix("http://").encode(), b"HOST")


async def test_a_request_is_what_it_says_and_little_more() -> None:
    assert await sent(lambda url: Request("GET", f"{url}/a/../b%2F?c=d/e")) == (
        b"GET /a/../b%2F?c=d/e HTTP/1.1\r\nHost: HOST\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        b"User-Agent: vestnik\r\n\r\n"
    )
    assert await sent(lambda url: Request("POST", url, {"ACCEPT": "a", "X-Я": "é"}, b"12345")) == (
        b"POST / HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: identity\r\nUser-Agent: vestnik\r\n"
        b"ACCEPT: a\r\nX-\xd0\xaf: \xc3\xa9\r\nContent-Length: 5\r\n\r\n12345"
    )


@pytest.mark.parametrize(("rest", "target"), [("", b"/"), ("?a=/b", b"/?a=/b"), ("/?", b"/?"), ("//x", b"//x")])
async def test_the_target_is_the_url_without_its_origin(rest: str, target: bytes) -> None:
    assert (await sent(lambda url: Request("GET", url + rest))).split()[1] == target


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_body_that_may_be_and_is_not_there_has_no_length(method: str) -> None:
    assert b"\r\nContent-Length: 0\r\n" in await sent(lambda url: Request(method, url))


@given(text=st.text())
def test_whatever_stands_in_a_header_or_a_url_makes_no_further_line(text: str) -> None:
    async def ask(request: Request) -> bytes:
        return await sent(lambda url: Request(request.method, url + request.url, request.headers))

    for request in (Request("GET", "/", {"X": text}), Request("GET", "/", {text: "x"}), Request("GET", f"/{text}")):
        try:
            came = asyncio.run(ask(request))
        except ValueError:
            continue
        assert came.count(b"\n") == came.count(b"\r") == came.count(b"\r\n") == (7 if request.headers else 6)
        assert b"\0" not in came


@pytest.mark.parametrize("url", ["", "/x", "h/x", "ftp://h/x", "http://", "http:///x", "http://h/a b", "http://h/#a"])
async def test_what_is_no_url_is_not_asked(url: str) -> None:
    async with exchange() as asking:
        with pytest.raises(ValueError, match="an absolute URL"):
            await asking.ask(Request("GET", url))
