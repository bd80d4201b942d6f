"""What comes back when something is wrong, and what is written down of a request."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp_apigami import json_schema
from marshmallow import Schema, ValidationError, fields, validate
from prometheus_client import CollectorRegistry, Counter

from vestnik.errors import Conflict, DatabaseDamaged, InvalidInput, NotFound, StoreUnavailable
from vestnik.storage.database import Database
from vestnik.storage.sqlite_errors import StorageFailed
from vestnik.web.access_log import AccessLogger
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import MAX_BODY, build_application
from vestnik.web.auth import Auth, AuthSettings, Tokens, public
from vestnik.web.metrics import MetricsApi
from vestnik.web.openapi import DOCUMENT, PUBLIC_PREFIXES

Client = TestClient[web.Request, web.Application]

RAISED: dict[str, Exception] = {
    "invalid": InvalidInput({"delay": "must be a whole number", "message": "is required"}),
    "missing": NotFound("there is no message 7"),
    "conflict": Conflict("it ended already"),
    "full": StoreUnavailable("/var/lib/secret/path.db: the disk is full"),
    "disk": StorageFailed("/var/lib/secret/path.db: input/output error"),
    "damaged": DatabaseDamaged("/var/lib/secret/path.db: the database is damaged"),
    "bug": RuntimeError("the password is hunter2"),
    "gone": web.HTTPGone(),
    "body": web.RequestPayloadError("what was sent"),
    "ours": ConnectionResetError("of something that we asked"),
    "moved": web.HTTPFound("/elsewhere"),
}

UNKNOWN = "the message store failed: it is not known whether this was kept"


def _refused(_value: str) -> None:
    raise ValidationError("Goes with off only.")


_letter = [
    validate.Regexp("^.$", error="Not a letter."),
    validate.Length(max=1),
]


class ActionSchema(Schema):
    action = fields.String(required=True, validate=validate.OneOf(["on", "off"]))
    inner = fields.Nested(Schema.from_dict({"n": fields.Integer(required=True, validate=validate.Range(1, 9))}))
    names = fields.List(fields.String(validate=[validate.Length(min=1), *_letter]), validate=validate.Length(1, 2))
    flag = fields.Boolean()
    count = fields.Integer(validate=validate.Range(min=1))
    at = fields.String(validate=_refused)


@public
async def raising(request: web.Request) -> web.Response:
    raise RAISED[request.match_info["what"]]


@public
async def echo(request: web.Request) -> web.Response:
    return web.Response(text=await request.text(), headers={"X-Message-Id": "77"})


@public
@json_schema(ActionSchema)
async def act(request: web.Request) -> web.Response:
    return web.json_response(request["json"])


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    database = Database(None)
    await database.open()
    settings = AuthSettings()
    auth = Auth(settings, Tokens(settings.jwt, "x" * 32), KeyRing(database), public_prefixes=PUBLIC_PREFIXES)
    registry = CollectorRegistry()
    Counter("things", "Things", registry=registry).inc()
    routes = [
        web.get("/raise/{what}", raising),
        web.post("/echo", echo),
        web.post("/act", act),
        *MetricsApi(registry).routes(),
    ]
    app = build_application(auth, routes)
    server = TestServer(app)
    await server.start_server(access_log_class=AccessLogger)
    async with TestClient(server) as found:
        yield found
    await database.close()


@pytest.mark.parametrize(
    ("what", "status", "body"),
    [
        (
            "invalid",
            422,
            {
                "code": "invalid_input",
                "description": "delay must be a whole number; message is required",
                "errors": {"delay": "must be a whole number", "message": "is required"},
            },
        ),
        ("missing", 404, {"code": "not_found", "description": "there is no message 7"}),
        ("conflict", 409, {"code": "conflict", "description": "it ended already"}),
        ("full", 503, {"code": "store_unavailable", "description": "the message store cannot take more just now"}),
        ("disk", 503, {"code": "storage_failed", "description": UNKNOWN}),
        ("damaged", 503, {"code": "database_damaged", "description": UNKNOWN}),
        (
            "bug",
            500,
            {"code": "internal_error", "description": "something went wrong on our side; the log has the details"},
        ),
        (
            "ours",
            500,
            {"code": "internal_error", "description": "something went wrong on our side; the log has the details"},
        ),
        ("body", 400, {"code": "bad_request", "description": "the body is not what its head says"}),
        ("gone", 410, {"code": "error", "description": "gone"}),
    ],
)
async def test_each_error_is_an_answer(what: str, status: int, body: object, client: Client) -> None:
    response = await client.get(f"/raise/{what}")
    assert response.status == status
    assert await response.json() == body
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


async def test_a_bug_is_told_to_the_log_and_not_to_the_client(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    text = await (await client.get("/raise/bug?message=private")).text()
    assert "hunter2" not in text
    assert "Traceback" not in text
    [record] = [r for r in caplog.records if r.name == "vestnik.web.errors"]
    assert record.getMessage() == "an error of ours in GET /raise/bug"
    assert record.exc_info is not None


async def test_a_full_store_says_when_to_come_again(client: Client) -> None:
    response = await client.get("/raise/full")
    assert int(response.headers["Retry-After"]) > 0
    assert "path.db" not in await response.text()


async def test_no_such_route_is_404_and_no_such_method_405(client: Client) -> None:
    response = await client.get("/nowhere")
    assert (response.status, (await response.json())["code"]) == (404, "not_found")
    response = await client.delete("/echo")
    assert (response.status, (await response.json())["code"]) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


async def test_a_body_that_is_too_large_is_413(client: Client) -> None:
    assert (await client.post("/echo", data=b"x" * MAX_BODY)).status == 200
    response = await client.post("/echo", data=b"x" * (MAX_BODY + 1))
    assert (response.status, (await response.json())["code"]) == (413, "too_large")


async def test_a_redirection_is_none_of_our_errors(client: Client) -> None:
    response = await client.get("/raise/moved", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, "/elsewhere")


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"action": "is required"}),
        ({"action": None}, {"action": "must not be null"}),
        ({"action": 5}, {"action": "must be a string"}),
        ({"action": "loud"}, {"action": "must be one of on, off"}),
        ({"action": "on", "what": 1}, {"what": "is not a known field"}),
        ({"action": "on", "inner": {"n": "y"}}, {"inner.n": "must be a whole number"}),
        ({"action": "on", "inner": {"n": 0}}, {"inner.n": "must be between 1 and 9"}),
        ({"action": "on", "inner": 5}, {"inner": "must be an object"}),
        ({"action": "on", "names": 5}, {"names": "must be a list"}),
        ({"action": "on", "names": []}, {"names": "must have a length between 1 and 2"}),
        ({"action": "on", "names": [""]}, {"names.0": "must have a length of at least 1 and is not a letter"}),
        ({"action": "on", "names": ["xy"]}, {"names.0": "is not a letter and must have a length of at most 1"}),
        ({"action": "on", "flag": "maybe"}, {"flag": "must be true or false"}),
        ({"action": "on", "count": 0}, {"count": "must be at least 1"}),
        ({"action": "on", "at": "soon"}, {"at": "goes with off only"}),
        ([1], None),
        ("x", None),
    ],
)
async def test_a_body_that_its_schema_does_not_take_is_422(
    body: object, errors: dict[str, str] | None, client: Client
) -> None:
    response = await client.post("/act", json=body)
    found = await response.json()
    assert (response.status, found["code"]) == (422, "invalid_input")
    if errors:
        assert found["errors"] == errors


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b'{"action": 1e999999}', b""])
async def test_a_body_that_is_no_json_is_the_clients_mistake(body: bytes, client: Client) -> None:
    response = await client.post("/act", data=body, headers={"Content-Type": "application/json"})
    assert response.status in (400, 422)
    assert (await response.json())["code"] in ("bad_request", "invalid_input")


# Access log


async def test_the_access_log_has_no_query(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vestnik.access")
    await client.post("/echo?message=private", data=FormData({"message": "secret body"}))
    async with asyncio.timeout(60):  # the line is written after the answer has gone
        while not (lines := [r.msg for r in caplog.records if r.name == "vestnik.access"]):
            await asyncio.sleep(0)
    [line] = lines
    assert isinstance(line, dict)
    wanted = {"method": "POST", "path": "/echo", "status": 200, "message": 77, "remote": "127.0.0.1"}
    assert wanted.items() <= line.items()
    assert line["ms"] >= 0
    assert "private" not in str(line)
    assert "secret" not in str(line)


async def test_the_access_log_can_be_quiet(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "vestnik.access")
    await client.post("/echo")
    assert not [r for r in caplog.records if r.name == "vestnik.access"]


# Document and metrics


async def test_the_document_is_openapi_without_swagger_leftovers(client: Client) -> None:
    found = await (await client.get(DOCUMENT)).json()
    assert found["openapi"] == "3.0.3"
    assert set(found["components"]["securitySchemes"]) == {"token", "apiKey"}
    assert "consumes" not in json.dumps(found["paths"])
    assert "produces" not in json.dumps(found["paths"])


async def test_metrics_are_prometheus_text(client: Client) -> None:
    response = await client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "things_total 1.0" in await response.text()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"action": "on", "action": "off"}', "action"),
        ('{"action": "on", "inner": {"n": 1, "n": 2}}', "n"),
        ('{"action": "on", "inner": {"n": 1, "\\u006e": 1}}', "n"),
        ('{"": 1, "": 2}', "body"),
    ],
)
async def test_a_name_that_stands_twice_in_a_body_is_refused(client: Client, body: str, field: str) -> None:
    response = await client.post("/act", data=body, headers={"Content-Type": "application/json"})
    found = await response.json()
    assert (response.status, found["errors"]) == (422, {field: "is given more than once"})


async def test_the_same_name_in_two_objects_is_right(client: Client) -> None:
    body = {"action": "on", "names": ["a"], "inner": {"n": 1}}
    response = await client.post("/act", json=body)
    assert (response.status, await response.json()) == (200, body)


async def test_a_body_over_the_limit_is_told_the_limit(client: Client) -> None:
    response = await client.post("/echo", data=b"x" * (MAX_BODY + 1))
    found = await response.json()
    assert (response.status, found["code"]) == (413, "too_large")
    assert found["description"] == "the body is larger than 256 KiB"
