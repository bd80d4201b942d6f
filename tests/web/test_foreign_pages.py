"""What other sites' pages can have a browser ask, where no key is asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade
from vestnik.web import api_keys
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, JwtSettings, Tokens, public
from vestnik.web.foreign_pages import LOOPBACK_NAMES, ForeignPages

SECRET = "q8Zt4Lw1Xv7Rb2Ny9Kc5Hd3Mf6Jp0Gs+uE"
HERE = "127.0.0.1:8080"


def asked(pages: ForeignPages, **headers: str) -> str:
    """ "passed", or the code of the refusal."""
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = pages.refusal(found)
    if refusal is None:
        return "passed"
    assert (refusal.status, pages.plainly_none(found)) == (403, False)
    return "foreign_host" if "foreign_host" in str(refusal.text) else "foreign_origin"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:8080", "[::1]", "Vestnik.example.org:443"],
)
def test_by_its_own_names_it_is_known_at_any_port(host: str) -> None:
    pages = ForeignPages((*LOOPBACK_NAMES, "vestnik.Example.org"))
    for _ in range(2):
        assert asked(pages, Host=host) == "passed"
    assert pages.plainly_none({"Host": host})


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "[::2]:1", "a:b:c", "[x"],
)
def test_a_name_that_points_here_is_not_one_of_ours(host: str) -> None:
    pages = ForeignPages(LOOPBACK_NAMES)
    for _ in range(2):
        assert asked(pages, Host=host) == "foreign_host"
        assert asked(pages, Host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin") == "foreign_host"
    assert asked(ForeignPages(), Host=host) == "passed"


def test_who_names_no_host_is_no_browser() -> None:
    pages = ForeignPages(LOOPBACK_NAMES)
    assert pages.plainly_none({})
    assert asked(pages) == "passed"


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({"Sec_Fetch_Site": "cross-site"}, "foreign_origin"),
        ({"Sec_Fetch_Site": "same-site"}, "foreign_origin"),
        ({"Sec_Fetch_Site": "same-site", "Origin": "http://127.0.0.1:8080"}, "foreign_origin"),
        ({"Sec_Fetch_Site": "anything"}, "foreign_origin"),
        ({"Origin": "null"}, "foreign_origin"),
        ({"Origin": ""}, "foreign_origin"),
        ({"Origin": "http://["}, "foreign_origin"),
        ({"Origin": "http://evil.example"}, "foreign_origin"),
        ({"Origin": "http://127.0.0.1:8081"}, "foreign_origin"),
        ({"Origin": "http://127.0.0.1"}, "foreign_origin"),
        ({"Origin": "http://127.0.0.1:8080"}, "passed"),
        ({"Sec_Fetch_Site": "none"}, "passed"),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "null"}, "passed"),
    ],
)
def test_a_page_tells_whose_it_is(headers: dict[str, str], verdict: str) -> None:
    for pages in (ForeignPages(LOOPBACK_NAMES), ForeignPages()):
        assert asked(pages, Host=HERE) == "passed"
        assert not pages.plainly_none({"Host": HERE, **{k.replace("_", "-"): v for k, v in headers.items()}})
        assert asked(pages, Host=HERE, **headers) == verdict


def test_without_a_host_an_origin_is_anothers() -> None:
    assert asked(ForeignPages(LOOPBACK_NAMES), Origin="null") == "foreign_origin"


def test_what_it_remembers_has_an_end() -> None:
    pages = ForeignPages(LOOPBACK_NAMES)
    for port in range(2_000):
        assert asked(pages, Host=f"localhost:{port}") == "passed"
    assert sum(pages.plainly_none({"Host": f"localhost:{port}"}) for port in range(2_000)) < 1_001


# Over HTTP


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    found = Database(None)
    await found.open()
    await found.maintain(upgrade)
    yield found
    await found.close()


@pytest.fixture
def auth(database: Database) -> Auth:
    tokens = Tokens(JwtSettings(), SECRET)
    return Auth(AuthSettings(), tokens, KeyRing(database), foreign_pages=ForeignPages(LOOPBACK_NAMES))


@pytest.fixture
async def client(auth: Auth) -> AsyncIterator[TestClient[Any, Any]]:
    @public
    async def send(request: web.Request) -> web.StreamResponse:
        caller = auth.at_once(request.headers) or await auth.sender(request)
        return (
            caller if isinstance(caller, web.StreamResponse) else web.Response(text=str(caller.role or caller.sender))
        )

    async with TestClient(TestServer(build_application(auth, [web.post("/send", send)]))) as found:
        yield found


FOREIGN = [
    {"Host": "evil.example"},
    {"Origin": "null"},
    {"Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Authorization": "Basic YTpi"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_the_form_of_another_site_sends_nothing(client: TestClient[Any, Any], headers: dict[str, str]) -> None:
    async with client.post("/send", data={"message": "Hello"}, headers=headers) as response:
        assert response.status == 403
        assert (await response.json())["code"] in ("foreign_host", "foreign_origin")
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("headers", FOREIGN[:-1])
async def test_who_shows_credentials_comes_from_anywhere(
    client: TestClient[Any, Any], database: Database, headers: dict[str, str]
) -> None:
    row, key = await database.write(lambda c: api_keys.create(c, "shop", time.time()))
    token = Tokens(JwtSettings(), SECRET).sign(role="admin", subject="ann", lifetime=timedelta(minutes=1))
    for shown, name in (({"X-API-Key": key}, row.id), ({"Authorization": f"Bearer {token}"}, "admin")):
        async with client.post("/send", headers={**headers, **shown}) as response:
            assert (response.status, await response.text()) == (200, name)


async def test_programs_and_our_own_page_pass(client: TestClient[Any, Any]) -> None:
    own = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{client.port}"}
    for headers in ({}, own, {"Origin": own["Origin"]}, {"Host": "localhost"}):
        async with client.post("/send", headers=headers) as response:
            assert response.status == 200


async def test_http_1_0_needs_no_host(client: TestClient[Any, Any]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"POST /send HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b" 200 " in answer.splitlines()[0]
