"""The one way out to a far side, and everything that far side may do."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from sites import Answer, Site
from yarl import URL

from vestnik.quiz.sources.fetching import Fetched, Fetcher
from vestnik.quiz.sources.http_settings import HttpSettings
from vestnik.quiz.sources.pace import Paces
from vestnik.quiz.sources.source import SourceFailed

KEY = "k-very-secret"
Fetch = Callable[..., Awaitable[Fetched]]


def settings(url: str, **changes: Any) -> HttpSettings:
    given = {"kind": "any", "url": url, "mode": "TIMER", "interval": "60000", "timeout": "5s", **changes}
    return HttpSettings.model_validate(given)


@pytest.fixture
async def fetch(site: Site) -> AsyncIterator[Fetch]:
    """Gets a path of the site, with settings of one's choice."""
    opened: list[Fetcher] = []
    paces = Paces()

    async def get(path: str = "/x", **changes: Any) -> Fetched:
        fetcher = Fetcher(settings(site.url(path), **changes), paces, first_pause=0.01)
        opened.append(fetcher)
        return await fetcher.get(URL(site.url(path)))

    yield get
    for fetcher in opened:
        await fetcher.close()


async def test_an_answer_comes_with_where_it_was_found(site: Site, fetch: Fetch) -> None:
    site.answers("/x", Answer("Сколько?", headers={"Content-Type": "text/html; charset=utf-8"}))
    assert await fetch() == Fetched(URL(site.url("/x")), "Сколько?".encode(), "utf-8")


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ('application/json; x=1; Charset="UTF-8"', "utf-8"),
        ("text/html;charset=windows-1251", "windows-1251"),
        ("text/html", None),
        ("'charset%c3%28*;charset*", None),  # the standard library's parser raises IndexError
    ],
)
async def test_the_charset_is_what_the_header_claims(
    site: Site, fetch: Fetch, content_type: str, charset: str | None
) -> None:
    site.answers("/x", Answer("x", headers={"Content-Type": content_type}))
    assert (await fetch()).charset == charset


async def test_headers_go_with_the_request(site: Site, fetch: Fetch) -> None:
    site.answers("/x", Answer("x"))
    await fetch(headers={"X-Api-Key": KEY})
    (request,) = site.requests
    assert request.headers["X-Api-Key"] == KEY
    assert request.headers["Accept-Encoding"] == "gzip"
    assert "Cookie" not in request.headers


@pytest.mark.parametrize(
    "packed", [gzip.compress(b"Why?"), zlib.compress(b"Why?"), gzip.compress(b"Wh") + gzip.compress(b"y?")]
)
async def test_packed_answers_are_unpacked(site: Site, fetch: Fetch, packed: bytes) -> None:
    site.answers("/x", Answer(packed, headers={"Content-Encoding": "gzip"}))
    assert (await fetch()).body == b"Why?"


async def test_an_answer_that_unpacks_to_gigabytes_ends_at_the_limit(site: Site, fetch: Fetch) -> None:
    bomb = gzip.compress(bytes(200 << 20))
    site.answers("/x", Answer(bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(SourceFailed, match="answered with more than 1,048,576 bytes"):
        await fetch(size="1MB")


async def test_an_answer_without_an_end_ends_at_the_limit(site: Site, fetch: Fetch) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65536))

    site.answers("/x", endless)
    with pytest.raises(SourceFailed, match="more than 1,048,576 bytes"):
        await fetch(size="1MB")


async def test_an_answer_that_drips_ends_at_the_time_limit(site: Site, fetch: Fetch) -> None:
    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    site.answers("/x", dripping)
    with pytest.raises(SourceFailed, match="no whole answer within 1 s"):
        await fetch(timeout="1s")
    assert len(site.requests) == 3


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (b"not packed at all", "gzip", "cannot be unpacked"),
        (b"x", "br", "packed as br, which was not asked for"),
        (gzip.compress(b"x" * 1000)[:-10], "gzip", "broke its answer off"),
    ],
)
async def test_what_is_packed_badly_is_said_so(site: Site, fetch: Fetch, body: bytes, encoding: str, why: str) -> None:
    site.answers("/x", Answer(body, headers={"Content-Encoding": encoding}))
    with pytest.raises(SourceFailed, match=why):
        await fetch()


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"half")
    assert request.transport is not None
    request.transport.close()
    return response


async def test_half_an_answer_is_asked_for_again(site: Site, fetch: Fetch) -> None:
    site.answers("/x", half, Answer("whole"))
    assert (await fetch()).body == b"whole"


async def test_and_given_up_when_it_is_always_half(site: Site, fetch: Fetch) -> None:
    site.answers("/x", half)
    with pytest.raises(SourceFailed, match="broke the connection before the answer was whole"):
        await fetch()
    assert len(site.requests) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 520])
async def test_an_error_that_may_pass_is_tried_again(site: Site, fetch: Fetch, status: int) -> None:
    site.answers("/x", Answer(status=status), Answer("whole"))
    assert (await fetch()).body == b"whole"


async def test_a_proxys_page_is_quoted_by_its_title(site: Site, fetch: Fetch) -> None:
    site.answers("/x", Answer("<html><title>502 Bad Gateway</title></html>", status=502))
    with pytest.raises(SourceFailed, match=r'answered 502 Bad Gateway with an HTML page \("502 Bad Gateway"\)'):
        await fetch()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, '{"error":"Unauthenticated"}', "401 Unauthorized: Unauthenticated"),
        (401, '{"success":false,"error":"Invalid API key."}', r"401 Unauthorized: Invalid API key\."),
        (403, '{"message": "premium filter"}', "403 Forbidden: premium filter"),
        (404, '{"type":"about:blank","title":"Not Found","detail":"no such tour"}', "404 Not Found: no such tour"),
        (404, "", "404 Not Found$"),
        (410, "\x1b[31mgone", "410 Gone$"),
        (304, "", "304 Not Modified$"),
        (204, "", "204 No Content$"),
    ],
)
async def test_an_error_that_stays_is_quoted_in_the_far_sides_words(
    site: Site, fetch: Fetch, status: int, body: str, words: str
) -> None:
    site.answers("/x", Answer(body, status, headers={"Content-Type": "application/json"}))
    with pytest.raises(SourceFailed, match=words):
        await fetch()
    assert len(site.requests) == 1


async def test_too_many_requests_is_waited_out(site: Site, fetch: Fetch) -> None:
    site.answers("/x", Answer(status=429, headers={"Retry-After": "1"}), Answer("whole"))
    began = time.monotonic()
    assert (await fetch()).body == b"whole"
    assert time.monotonic() - began >= 0.9


async def test_without_retry_after_the_rates_period_is_waited(site: Site, fetch: Fetch) -> None:
    site.answers("/x", Answer('{"response_code":5}', status=429), Answer("whole"))
    began = time.monotonic()
    await fetch(rate="1/s")
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize("as_date", [False, True])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_host_that_wants_hours_gets_them(site: Site, fetch: Fetch, status: int, as_date: bool) -> None:
    value = formatdate(time.time() + 3600, usegmt=True) if as_date else "3600"
    body = '{"success":false,"error":"Rate limit exceeded. Please try again later."}'
    site.answers("/x", Answer(body, status, headers={"Retry-After": value}))
    with pytest.raises(SourceFailed, match=r"Rate limit exceeded\. Please try again later\.") as caught:
        await fetch()
    assert caught.value.retry_after is not None
    assert 3500 < caught.value.retry_after <= 3600
    with pytest.raises(SourceFailed, match=r"was not asked: it asked to be left alone for 3[56]\d\d s more"):
        await fetch("/y")
    assert len(site.requests) == 1


async def test_nobody_there_is_said_so(site: Site, fetch: Fetch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fetcher = Fetcher(settings(f"http://127.0.0.1:{port}/"), Paces(), first_pause=0.01)
    with pytest.raises(SourceFailed, match=r"no connection to 127.0.0.1: Connect"):
        await fetcher.get(URL(f"http://127.0.0.1:{port}/"))
    await fetcher.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=context)
    fetcher = Fetcher(settings(f"https://127.0.0.1:{server.port}/"), Paces(), first_pause=0.01)
    with pytest.raises(SourceFailed, match=r"no secure connection to 127\.0\.0\.1: .*certificate"):
        await fetcher.get(URL(f"https://127.0.0.1:{server.port}/"))
    await fetcher.close()
    await server.close()


async def test_tls_with_a_server_that_has_none_is_said_so(site: Site) -> None:
    url = site.url("/x").replace("http:", "https:")
    fetcher = Fetcher(settings(url), Paces(), first_pause=0.01)
    with pytest.raises(SourceFailed, match=r"no secure connection to 127\.0\.0\.1: "):
        await fetcher.get(URL(url))
    await fetcher.close()


async def test_what_is_no_http_is_said_so() -> None:
    async def rude(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.test ESMTP\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = URL(f"http://127.0.0.1:{port}/?key={KEY}")
    fetcher = Fetcher(settings(f"http://127.0.0.1:{port}/"), Paces(), first_pause=0.01)
    with pytest.raises(SourceFailed, match="gave no sound HTTP answer") as caught:
        await fetcher.get(url)
    assert KEY not in str(caught.value)
    await fetcher.close()
    server.close()


def redirect(location: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": location})


async def test_redirects_are_followed(site: Site, fetch: Fetch) -> None:
    site.answers("/x", redirect("/y", 301))
    site.answers("/y", redirect("z#part", 308))
    site.answers("/z", Answer("found"))
    found = await fetch()
    assert (found.body, str(found.url)) == (b"found", site.url("/z"))


async def test_redirects_in_a_circle_are_given_up(site: Site, fetch: Fetch) -> None:
    site.answers("/x", redirect("/x"))
    with pytest.raises(SourceFailed, match="redirects more than 5 times"):
        await fetch()


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://example.org/", "javascript:alert(1)", "http://[", "gopher://x"]
)
async def test_redirects_to_no_web_address_are_refused(site: Site, fetch: Fetch, location: str) -> None:
    site.answers("/x", redirect(location))
    with pytest.raises(SourceFailed, match="redirects to"):
        await fetch()


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{other}/",
        "http://localhost:{other}/",
        "http://2130706433:{other}/",
        "http://127.1:{other}/",
        "http://0.0.0.0:{other}/",
        "http://[::ffff:127.0.0.1]:{other}/",
        "http://[::1]:{other}/",
        "http://10.0.0.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_redirects_to_private_addresses_are_refused(site: Site, fetch: Fetch, location: str) -> None:
    other = Site()
    await other.server.start_server()
    other.answers("/", Answer("the secrets of another service"))
    site.answers("/x", redirect(location.format(other=other.server.port)))
    with pytest.raises(SourceFailed, match=r"is not public|no sound HTTP answer"):
        await fetch()
    assert other.requests == []
    await other.server.close()


class Names(AbstractResolver):
    """`flipping` is public when it is asked for first, and this machine afterwards."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        address = "192.0.2.1" if host == "documentation.test" else "127.0.0.1"
        return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None: ...


async def test_a_name_of_a_private_address_is_refused_unless_it_is_allowed(site: Site) -> None:
    site.answers("/x", Answer("found"))
    url = f"http://intranet.test:{site.server.port}/x"
    strict = Fetcher(settings(url), Paces(), resolver=Names)
    with pytest.raises(SourceFailed, match=r"intranet.test leads to 127.0.0.1, which is not public; allow_private"):
        await strict.get(URL(url))
    allowed = Fetcher(settings(url, allow_private="true"), Paces(), resolver=Names)
    assert (await allowed.get(URL(url))).body == b"found"
    with pytest.raises(SourceFailed, match=r"evil.test leads to 127.0.0.1"):
        await allowed.get(URL(f"http://evil.test:{site.server.port}/x"))
    for fetcher in (strict, allowed):
        await fetcher.close()


class OnLoopback(HttpSettings):
    """As if every port of this machine were a public site."""

    @property
    def exempt(self) -> frozenset[tuple[str, int]]:
        return frozenset(("127.0.0.1", port) for port in range(1, 65536))


async def test_keys_do_not_follow_a_redirect_to_another_site(site: Site) -> None:
    other = Site()
    await other.server.start_server()
    other.answers("/y", Answer("found"))
    site.answers("/x", redirect(other.url("/y")))
    given = settings(site.url("/x"), headers={"X-Api-Key": KEY}).model_dump()
    fetcher = Fetcher(OnLoopback.model_validate(given), Paces())
    assert (await fetcher.get(URL(site.url("/x")))).body == b"found"
    await fetcher.close()
    await other.server.close()
    assert [KEY in request.headers.values() for request in (*site.requests, *other.requests)] == [True, False]


async def test_no_key_stands_in_an_error(site: Site, fetch: Fetch) -> None:
    body = f'{{"error": "the key {KEY} is not valid, Bearer {KEY}"}}'
    site.answers("/x", Answer(body, 401, headers={"Content-Type": "application/json"}))
    with pytest.raises(SourceFailed, match="401") as caught:
        await fetch(headers={"Authorization": f"Bearer {KEY}"})
    assert KEY not in str(caught.value)
    site.answers("/x", redirect(f"ftp://x/?key={KEY}"))
    with pytest.raises(SourceFailed) as caught:
        await fetch(params={"key": KEY})
    assert KEY not in str(caught.value)


async def test_a_fetcher_can_be_closed_twice_and_unused(site: Site) -> None:
    fetcher = Fetcher(settings(site.url("/x")), Paces())
    await fetcher.close()
    await fetcher.close()
