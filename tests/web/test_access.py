"""Who is let through, over real HTTP, on routes of the test's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from multidict import CIMultiDict

from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade
from vestnik.web import api_keys
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import ANYBODY, CALLER, Auth, AuthSettings, Caller, Tokens, loopback_only, public, role_required
from vestnik.web.foreign_pages import ForeignPages
from vestnik.web.openapi import DOCUMENT, PUBLIC_PREFIXES, UI

SECRET = "q8Zt4Lw1Xv7Rb2Ny9Kc5Hd3Mf6Jp0Gs+uE"


class Site:
    """Routes of every kind, and who may call them."""

    def __init__(self, settings: dict[str, Any], database: Database, *, metrics_open: bool = False) -> None:
        found = AuthSettings.model_validate(settings)
        self.tokens = Tokens(found.jwt, SECRET)
        self.database = database
        self.auth = Auth(
            found, self.tokens, KeyRing(database), metrics_open=metrics_open, public_prefixes=PUBLIC_PREFIXES
        )

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/open", self.open),
            web.get("/here", self.here),
            web.get("/admin", self.admin),
            web.get("/forgotten", self.forgotten),
            web.view("/view", ForgottenView),
            web.get("/docsx", self.forgotten),
            web.post("/send", self.send),
        ]

    @public
    async def open(self, _request: web.Request) -> web.Response:
        return web.Response(text="open")

    @loopback_only
    async def here(self, _request: web.Request) -> web.Response:
        return web.Response(text="here")

    @role_required
    async def admin(self, request: web.Request) -> web.Response:
        return web.Response(text=str(request[CALLER].subject))

    async def forgotten(self, _request: web.Request) -> web.Response:
        return web.Response(text="nobody said who may see this")

    @public
    async def send(self, request: web.Request) -> web.Response:
        caller = await self.auth.sender(request)
        return caller if isinstance(caller, web.Response) else web.json_response([caller.sender, caller.role])

    def token(self, role: str = "admin") -> dict[str, str]:
        expires = int(time.time()) + 60
        return {"Authorization": "Bearer " + jwt.encode({"role": role, "exp": expires, "sub": "ann"}, SECRET, "HS256")}

    async def key(self, name: str = "shop") -> tuple[str, dict[str, str]]:
        row, key = await self.database.write(lambda c: api_keys.create(c, name, time.time()))
        return row.id, {"X-API-Key": key}


class ForgottenView(web.View):
    async def get(self) -> web.Response:
        return web.Response(text="nobody said who may see this")


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    found = Database(None)
    await found.open()
    await found.maintain(upgrade)
    yield found
    await found.close()


Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[Client]:
    async with TestClient(TestServer(build_application(site.auth, site.routes()))) as client:
        yield client


@pytest.fixture
async def site(database: Database) -> Site:
    return Site({"send": "open"}, database)


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    async with serving(site) as found:
        yield found


async def code_of(response: ClientResponse) -> str:
    found: str = (await response.json())["code"]
    return found


# By the route


@pytest.mark.parametrize("path", ["/forgotten", "/view", "/docsx"])
async def test_a_route_that_says_nothing_is_closed_to_everybody(path: str, site: Site, client: Client) -> None:
    for headers in ({}, site.token(), (await site.key(path))[1]):
        response = await client.get(path, headers=headers)
        assert response.status == 403
        assert await code_of(response) == "forbidden"


async def test_the_documentation_is_open(client: Client) -> None:
    for path in (DOCUMENT, UI):
        assert (await client.get(path)).status == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YWRtaW46"}, {"X-API-Key": "x"}])
async def test_a_role_needs_a_token(headers: dict[str, str], client: Client) -> None:
    response = await client.get("/admin", headers=headers)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert await response.json() == {"code": "unauthorized", "description": "a bearer token is required"}


async def test_a_good_token_passes_and_says_who_it_is(site: Site, client: Client) -> None:
    response = await client.get("/admin", headers=site.token())
    assert (response.status, await response.text()) == (200, "ann")
    lower = {"Authorization": site.token()["Authorization"].replace("Bearer", "bearer")}
    assert (await client.get("/admin", headers=lower)).status == 200


async def test_a_role_that_is_not_configured_is_forbidden(site: Site, client: Client) -> None:
    response = await client.get("/admin", headers=site.token("guest"))
    assert response.status == 403
    assert await code_of(response) == "forbidden"
    assert (await client.post("/send", headers=site.token("guest"))).status == 403


async def test_a_bad_token_is_told_why_and_never_why_in_detail(client: Client) -> None:
    response = await client.get("/admin", headers={"Authorization": "Bearer a.b.c"})
    assert response.status == 401
    assert "Traceback" not in await response.text()


async def test_bytes_that_are_no_text_are_a_bad_token(site: Site, client: Client) -> None:
    assert client.port is not None
    for header in (b"Authorization: Bearer \xff\xfe.\xff", b"X-API-Key: \xff\xfe"):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        lines = (b"POST /send HTTP/1.1", b"Host: x", b"Content-Length: 0", b"Connection: close", header, b"", b"")
        writer.write(b"\r\n".join(lines))
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert answer.startswith(b"HTTP/1.1 401 ")


async def test_from_this_machine_loopback_routes_answer(client: Client) -> None:
    assert (await client.get("/here")).status == 200


@pytest.mark.parametrize(("metrics_open", "status"), [(False, 403), (True, 200)])
async def test_from_elsewhere_they_answer_when_opened(metrics_open: bool, status: int, database: Database) -> None:
    """The peer's address is what a handler is told of; the request itself never leaves the process."""
    site = Site({}, database, metrics_open=metrics_open)
    response = await _through_middleware(site, site.here, remote="192.0.2.7")
    assert response.status == status


async def _through_middleware(site: Site, handler: Callable[..., Any], *, remote: str) -> web.StreamResponse:
    app = web.Application()
    app.router.add_get("/x", handler)
    request = make_mocked_request("GET", "/x", app=app).clone(remote=remote)
    request._match_info = await app.router.resolve(request)
    request._match_info.add_app(app)
    return await site.auth.middleware(request, handler)


# By the sender


async def test_where_sending_is_open_anybody_may(client: Client) -> None:
    assert await (await client.post("/send")).json() == [None, None]


@pytest.mark.parametrize("send", ["open", "key"])
async def test_a_key_or_a_token_says_who_sends(send: str, database: Database) -> None:
    site = Site({"send": send}, database)
    key_id, key = await site.key()
    async with serving(site) as client:
        assert await (await client.post("/send", headers=key)).json() == [key_id, None]
        assert await (await client.post("/send", headers=site.token())).json() == [None, "admin"]


async def test_where_a_key_is_needed_nobody_sends_without(database: Database) -> None:
    async with serving(Site({"send": "key"}, database)) as client:
        response = await client.post("/send")
        assert response.status == 401
        assert (await response.json())["description"] == "an API key is required (X-API-Key)"


@pytest.mark.parametrize("send", ["open", "key"])
async def test_a_wrong_key_is_refused_also_where_none_is_needed(send: str, database: Database) -> None:
    async with serving(Site({"send": send}, database)) as client:
        response = await client.post("/send", headers={"X-API-Key": "vk_000000000000.wrong"})
        assert response.status == 401
        assert (await response.json())["description"] == "the API key is wrong or revoked"


async def test_a_revoked_key_stops_within_a_second_of_serving(database: Database) -> None:
    site = Site({"send": "key"}, database)
    key_id, key = await site.key()
    async with serving(site) as client:
        assert (await client.post("/send", headers=key)).status == 200
        await database.write(lambda c: api_keys.revoke(c, key_id, time.time()))
        revoked = time.monotonic()
        async with asyncio.timeout(60):
            while (await client.post("/send", headers=key)).status == 200:
                await asyncio.sleep(0.02)
        assert time.monotonic() - revoked < 1.2


# By the sender, from the headers alone


@pytest.mark.parametrize(("send", "found"), [("open", ANYBODY), ("key", None), (None, ANYBODY)])
async def test_without_a_key_it_is_known_at_once_who_sends_where_sending_is_open(
    send: str | None, found: Caller | None, database: Database
) -> None:
    auth = Site({"send": send}, database).auth
    assert auth.at_once(CIMultiDict(Host="a")) == found
    assert await auth.holder(CIMultiDict(Host="a")) is None


@pytest.mark.parametrize("send", ["open", "key"])
async def test_a_keys_holder_is_known_at_once_after_it_was_asked_for(send: str, database: Database) -> None:
    site = Site({"send": send}, database)
    key_id, key = await site.key()
    headers = CIMultiDict({"x-api-KEY": key["X-API-Key"]})
    assert site.auth.at_once(headers) is None
    assert await site.auth.holder(headers) == Caller(sender=key_id)
    assert site.auth.at_once(headers) == Caller(sender=key_id)


@pytest.mark.parametrize("send", ["open", "key"])
@pytest.mark.parametrize("key", ["", "vk_000000000000.wrong", "ключ", "\udcff"])
async def test_a_wrong_key_is_nobodys_also_where_none_is_needed(send: str, key: str, database: Database) -> None:
    auth = Site({"send": send}, database).auth
    headers = CIMultiDict({"X-API-Key": key})
    for _ in range(2):
        assert (auth.at_once(headers), await auth.holder(headers)) == (None, None)


@pytest.mark.parametrize("authorization", ["Bearer a.b.c", "Basic YWRtaW46", ""])
async def test_whoever_shows_a_token_is_looked_at_closely(authorization: str, site: Site, database: Database) -> None:
    _, key = await site.key()
    await site.auth.holder(CIMultiDict(key))
    for shown in ({}, key):
        headers = CIMultiDict({"Authorization": authorization, **shown})
        assert (site.auth.at_once(headers), await site.auth.holder(headers)) == (None, None)


@pytest.mark.parametrize(
    "shown",
    [{"Host": "elsewhere"}, {"Origin": "null"}, {"Origin": "http://elsewhere"}, {"Sec-Fetch-Site": "same-site"}],
)
async def test_another_sites_page_is_nobody(shown: dict[str, str], database: Database) -> None:
    settings = AuthSettings(send="open")
    tokens = Tokens(settings.jwt, SECRET)
    auth = Auth(settings, tokens, KeyRing(database), foreign_pages=ForeignPages(["ours"]))
    assert auth.at_once(CIMultiDict({"Host": "ours", **shown})) is None
    assert auth.at_once(CIMultiDict({"Host": "ours:8080", "Origin": "http://ours:8080"})) == ANYBODY
    assert auth.at_once(CIMultiDict({"Host": "ours", "Sec-Fetch-Site": "same-origin"})) == ANYBODY


# Guessing


@pytest.mark.parametrize("header", [{"X-API-Key": "vk_0.wrong"}, {"Authorization": "Bearer a.b.c"}])
async def test_after_ten_failures_the_address_has_to_wait(header: dict[str, str], site: Site, client: Client) -> None:
    for _ in range(10):
        assert (await client.post("/send", headers=header)).status == 401
    response = await client.post("/send", headers=header)
    assert response.status == 429
    assert await code_of(response) == "too_many_requests"
    assert 50 <= int(response.headers["Retry-After"]) <= 61
    # Right ones pass: others may share a proxy's address.
    assert (await client.get("/admin", headers=site.token())).status == 200
    _, key = await site.key()
    assert (await client.post("/send", headers=key)).status == 200
    assert (await client.get("/open")).status == 200
    assert (await client.post("/send")).status == 200


async def test_who_shows_nothing_guesses_nothing(site: Site, client: Client) -> None:
    for _ in range(20):
        assert (await client.get("/admin")).status == 401
    assert (await client.get("/admin", headers=site.token())).status == 200


async def test_a_role_that_is_not_allowed_is_no_guess(site: Site, client: Client) -> None:
    for _ in range(20):
        assert (await client.get("/admin", headers=site.token("guest"))).status == 403
    assert (await client.get("/admin", headers=site.token())).status == 200


# Whose message


@pytest.mark.parametrize(
    ("send", "caller", "sender", "may"),
    [
        ("open", Caller(), None, True),
        ("open", Caller(), "vk_1", False),
        ("open", Caller(sender="vk_1"), "vk_1", True),
        ("open", Caller(sender="vk_1"), "vk_2", False),
        ("open", Caller(sender="vk_1"), None, False),
        ("key", Caller(sender="vk_1"), "vk_1", True),
        ("key", Caller(sender="vk_1"), "vk_2", False),
        ("key", Caller(), None, False),
        ("key", Caller(role="admin"), "vk_1", True),
        ("key", Caller(role="admin"), None, True),
        ("open", Caller(role="admin"), "vk_1", True),
    ],
)
async def test_whose_key_registered_a_message_sees_it(
    send: str, caller: Caller, sender: str | None, may: bool, database: Database
) -> None:
    assert Site({"send": send}, database).auth.may_see(caller, sender) is may
