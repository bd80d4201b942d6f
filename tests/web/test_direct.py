"""Handlers outside the chain of middlewares, and the 204 that they answer."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp.plugin import AiohttpClient

from vestnik.errors import NotFound
from vestnik.storage.database import Database
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, JwtSettings, Tokens, public
from vestnik.web.direct import direct, serve_directly
from vestnik.web.errors import error_response
from vestnik.web.no_content import NoContent
from vestnik.web.safe_headers import SAFE_HEADERS

Client = TestClient[Any, Any]


@direct
@public
async def good(_request: web.Request) -> web.StreamResponse:
    return NoContent({"X-Message-Id": "7", "Location": "/there"})


@direct
@public
async def bad(_request: web.Request) -> web.StreamResponse:
    raise NotFound("there is nothing")


@direct
@public
async def worse(_request: web.Request) -> web.StreamResponse:
    raise RuntimeError("a bug")


@direct
@public
async def refused(_request: web.Request) -> web.StreamResponse:
    return error_response(403, "forbidden", "not you")


@public
async def plain(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="plain")


@pytest.fixture(params=["direct", "behind the chain"])
async def client(request: pytest.FixtureRequest, aiohttp_client: AiohttpClient) -> Client:
    auth = Auth(AuthSettings(), Tokens(JwtSettings(), "x" * 32), KeyRing(Database(None)))
    routes = [web.post(f"/{handler.__name__}", handler) for handler in (good, bad, worse, refused)]
    app = build_application(auth, [*routes, web.post("/plain", plain)])
    test_server = TestServer(app)
    found: Client = await aiohttp_client(test_server)
    assert test_server.runner is not None
    assert test_server.runner.server is not None
    if request.param == "direct":
        serve_directly(test_server.runner.server, app)
    return found


async def test_it_answers_with_its_fields_a_date_and_the_safe_headers(client: Client) -> None:
    for _ in range(2):  # on one connection
        async with client.post("/good", data=b"x") as response:
            assert response.status == 204
            assert await response.read() == b""
            assert {**response.headers, "Date": ""} == {
                "X-Message-Id": "7",
                "Location": "/there",
                "Date": "",
                **SAFE_HEADERS,
            }
            assert parsedate_to_datetime(response.headers["Date"]).tzinfo is not None


async def test_what_it_raises_is_answered_as_everywhere(client: Client) -> None:
    async with client.post("/bad") as response:
        assert (response.status, await response.json()) == (
            404,
            {"code": "not_found", "description": "there is nothing"},
        )
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with client.post("/worse") as response:
        assert (response.status, (await response.json())["code"]) == (500, "internal_error")


async def test_what_it_answers_itself_has_the_safe_headers_too(client: Client) -> None:
    async with client.post("/refused") as response:
        assert (response.status, (await response.json())["code"]) == (403, "forbidden")
        assert SAFE_HEADERS.items() <= dict(response.headers).items()


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"POST /good HTTP/1.0\r\n", False),
        (b"POST /good HTTP/1.0\r\nConnection: keep-alive\r\n", True),
        (b"POST /good HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", False),
        (b"POST /good HTTP/1.1\r\nHost: a\r\n", True),
    ],
)
async def test_a_connection_is_kept_or_closed_as_asked(client: Client, head: bytes, kept: bool) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head + b"Content-Length: 0\r\n\r\n")
    answer = await reader.readuntil(b"\r\n\r\n")
    assert b" 204 " in answer.splitlines()[0]
    assert b"X-Message-Id: 7" in answer
    writer.write((head if kept else b"") + b"Content-Length: 0\r\n\r\n" if kept else b"")
    if kept:
        assert b"X-Message-Id: 7" in await reader.readuntil(b"\r\n\r\n")
    else:
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_several_at_once_on_one_connection_are_answered_in_their_order(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    writer.write(b"POST /good" + head + b"POST /bad" + head + b"POST /good" + head)
    found = [(await reader.readuntil(b"\r\n\r\n")).splitlines()[0]]
    second = await reader.readuntil(b"\r\n\r\n")
    found.append(second.splitlines()[0])
    await reader.readuntil(b"}")
    found.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
    assert [line.split()[1] for line in found] == [b"204", b"404", b"204"]
    writer.close()
    await writer.wait_closed()


async def test_other_methods_paths_and_queries_are_answered_as_everywhere(client: Client) -> None:
    async with client.get("/good") as response:
        assert response.status == 405
    async with client.post("/none") as response:
        assert response.status == 404
    async with client.post("/plain") as response:
        assert await response.text() == "plain"
    async with client.post("/good?a=1") as response:
        assert response.status == 204


async def test_a_client_that_waits_to_be_asked_for_the_body_is_asked(client: Client) -> None:
    async with client.post("/good", data=b"x" * 1000, expect100=True) as response:
        assert response.status == 204
