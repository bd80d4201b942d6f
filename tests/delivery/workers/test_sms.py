from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from answering_server import answering, fixed
from pydantic import ValidationError

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.sms import SmsWorker
from vestnik.delivery.workers.sms_settings import SmsSettings
from vestnik.delivery.workers.worker import Refused, Unavailable
from vestnik.sandbox.far_side import Fault, HttpFarSide, Inbox
from vestnik.sandbox.sms_gateways import KannelGateway, ProbeGateway
from vestnik.settings.document import Plain

PHONE = "79990000001"
PASSWORD = "p&ss w/rd"
TOKEN = "header.claims.signature"
KANNEL = {"gateway": "kannel", "username": "user", "password": PASSWORD, "from": "Duty", "to": PHONE}
PROBE = {"gateway": "probe", "token": TOKEN, "to": PHONE}


def task(text: str = "Hello", recipient: str = PHONE, task_id: int = 7) -> Task:
    return Task(id=TaskId(task_id), message_id=MessageId(1), channel="sms", recipient=recipient, text=text)


def http(url: str, accepted: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
    described = {"url": url, "json": {"phone": "{phone}", "text": "{text}"}, **request}
    return {"gateway": "http", "to": PHONE, "request": described, **({"accepted": accepted} if accepted else {})}


@asynccontextmanager
async def started(params: dict[str, Any]) -> AsyncIterator[SmsWorker]:
    worker = SmsWorker(SmsSettings.model_validate(params), "sms")
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def fails(params: dict[str, Any], sent: Task | None = None) -> Refused | Unavailable:
    """How the delivery failed; without any secret in the reason."""
    async with started(params) as worker, asyncio.timeout(60):
        with pytest.raises((Refused, Unavailable)) as caught:
            await worker.deliver(sent or task())
    error = caught.value
    assert isinstance(error, Refused | Unavailable)
    assert all(secret not in str(error) for secret in (PASSWORD, "p%26ss", TOKEN))
    return error


def marks(error: Refused | Unavailable) -> str:
    if isinstance(error, Refused):
        return "refused"
    if error.unauthorised:
        return "unauthorised"
    return "maybe sent" if error.maybe_sent else "later"


# The gateways of the sandbox


@asynccontextmanager
async def serving(far_side: HttpFarSide) -> AsyncIterator[str]:
    application = web.Application()
    application.add_routes(far_side.routes())
    async with TestServer(application) as server:
        yield str(server.make_url(f"/{far_side.name}"))


@pytest.fixture
async def kannel() -> AsyncIterator[tuple[KannelGateway, dict[str, Any]]]:
    far_side = KannelGateway(Inbox())
    far_side.username, far_side.password = "user", PASSWORD
    async with serving(far_side) as url:
        yield far_side, {**KANNEL, "url": f"{url}/cgi-bin/sendsms", "timeout": "5s"}


@pytest.fixture
async def probe() -> AsyncIterator[tuple[ProbeGateway, dict[str, Any]]]:
    far_side = ProbeGateway(Inbox())
    far_side.token = TOKEN
    async with serving(far_side) as url:
        yield far_side, {**PROBE, "url": url, "timeout": "5s"}


@pytest.fixture(params=["kannel", "probe"])
def gateway(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


TEXTS = ["Hello", "Привет, мир!", "a & b = c + d % e # f ? {phone}", "line one\nline two", "€[]{}~|^\\", "😀 «да»"]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_arrives_as_it_was_sent(gateway: tuple[HttpFarSide, dict[str, Any]], text: str) -> None:
    far_side, params = gateway
    async with started(params) as worker:
        assert await worker.deliver(task(text)) is None
    [arrival] = far_side.inbox.arrivals()
    assert (arrival.recipient, arrival.text) == (PHONE, text)


async def test_a_repeated_task_goes_under_the_same_reference(gateway: tuple[HttpFarSide, dict[str, Any]]) -> None:
    far_side, params = gateway
    async with started(params) as worker:
        await worker.deliver(task())
        await worker.deliver(task())
        await worker.deliver(task(task_id=8))
    first, second, other = (arrival.reference for arrival in far_side.inbox.arrivals())
    assert first == second != other
    assert "7" in (first or "")


@pytest.mark.parametrize(("text", "coding"), [("Hello", "0"), ("{price: 5 €}", "0"), ("Привет", "2")])
async def test_kannel_is_told_the_coding(kannel: tuple[KannelGateway, dict[str, Any]], text: str, coding: str) -> None:
    far_side, params = kannel
    async with started(params) as worker:
        await worker.deliver(task(text))
    assert far_side.inbox.arrivals()[0].details == {"from": "Duty", "coding": coding}


async def test_what_kannel_queues_counts_as_delivered(kannel: tuple[KannelGateway, dict[str, Any]]) -> None:
    far_side, params = kannel
    far_side.queued = True
    async with started(params) as worker:
        assert await worker.deliver(task()) is None


async def test_a_wrong_password_for_kannel_is_unauthorised(kannel: tuple[KannelGateway, dict[str, Any]]) -> None:
    far_side, params = kannel
    far_side.password = "another"
    assert marks(await fails(params)) == "unauthorised"


async def test_a_wrong_token_for_the_probe_is_unauthorised(probe: tuple[ProbeGateway, dict[str, Any]]) -> None:
    far_side, params = probe
    far_side.token = "another"
    assert marks(await fails(params)) == "unauthorised"


@pytest.mark.parametrize(
    ("fault", "kannel_outcome", "probe_outcome"),
    [
        (Fault.DOWN, "later", "later"),
        (Fault.REFUSE, "refused", "refused"),
        (Fault.RATE_LIMIT, "later", "later"),
        (Fault.GARBAGE, "maybe sent", "maybe sent"),
        (Fault.DROP, "maybe sent", "maybe sent"),
        (Fault.SLOW, "maybe sent", "maybe sent"),
    ],
)
async def test_every_fault_of_the_sandbox_has_its_outcome(
    gateway: tuple[HttpFarSide, dict[str, Any]], fault: Fault, kannel_outcome: str, probe_outcome: str
) -> None:
    far_side, params = gateway
    far_side.slow_seconds = 0.2
    await far_side.set_fault(fault)
    error = await fails({**params, "timeout": "50ms"} if fault is Fault.SLOW else params)
    assert marks(error) == (kannel_outcome if far_side.name == "kannel" else probe_outcome)


async def test_a_dropped_connection_sends_nothing_twice(gateway: tuple[HttpFarSide, dict[str, Any]]) -> None:
    far_side, params = gateway
    await far_side.set_fault(Fault.DROP)
    await fails(params)
    assert len(far_side.inbox.arrivals()) == 1


async def test_a_slow_gateway_within_the_timeout_delivers(gateway: tuple[HttpFarSide, dict[str, Any]]) -> None:
    far_side, params = gateway
    far_side.slow_seconds = 0.05
    await far_side.set_fault(Fault.SLOW)
    async with started(params) as worker:
        assert await worker.deliver(task()) is None


async def test_the_probes_rate_limit_says_how_long_to_wait(probe: tuple[ProbeGateway, dict[str, Any]]) -> None:
    far_side, params = probe
    far_side.retry_after = 17
    await far_side.set_fault(Fault.RATE_LIMIT)
    error = await fails(params)
    assert isinstance(error, Unavailable)
    assert error.retry_after == 17


# Gateways that answer as a test wants


PARAMS: dict[str, Callable[[str], dict[str, Any]]] = {
    "kannel": lambda url: {**KANNEL, "url": url},
    "probe": lambda url: {**PROBE, "url": url},
    "http": http,
}
EVERY = sorted(PARAMS)


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (202, "whatever", "maybe sent"),
        (202, "", "maybe sent"),
        (200, "<html></html>", "maybe sent"),
        (400, "Sender missing and no global set, rejected", "refused"),
        (415, "Unsupported content-type, rejected", "refused"),
        (401, "", "unauthorised"),
        (403, "Authorization failed for sendsms", "unauthorised"),
        (403, "Not routable. Do not try again.", "refused"),
        (404, "Unknown request.", "later"),
        (408, "", "later"),
        (425, "", "later"),
        (429, "", "later"),
        (500, "Sending failed.", "later"),
        (502, "", "later"),
        (503, "Temporal failure, try again later.", "later"),
        (504, "", "maybe sent"),
    ],
)
async def test_kannels_answers(status: int, text: str, outcome: str) -> None:
    async with answering(fixed(status, text)) as url:
        error = await fails({**KANNEL, "url": url})
    assert (marks(error), str(status) in error.reason) == (outcome, True)


@pytest.mark.parametrize(
    "text", ["0: Accepted for delivery", "3: Queued for later delivery", "Sent.", "Sent. Message splits: 2"]
)
async def test_kannel_says_yes(text: str) -> None:
    async with answering(fixed(202, text)) as url, started({**KANNEL, "url": url}) as worker:
        assert await worker.deliver(task()) is None


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (200, '{"code": 5, "message": "overloaded"}', "later"),
        (200, '{"code": 0, "message": "queued"}', "maybe sent"),
        (200, '{"code": false, "message": "OK"}', "maybe sent"),
        (200, '{"code": true, "message": "OK"}', "maybe sent"),
        (200, '{"code": 0.0, "message": "OK"}', "maybe sent"),
        (200, '{"code": "0", "message": "OK"}', "maybe sent"),
        (200, '{"code": 0}', "maybe sent"),
        (200, "[]", "maybe sent"),
        (200, "[" * 20_000, "maybe sent"),
        (200, '{"code": 0, "mess', "maybe sent"),
        (200, "", "maybe sent"),
        (201, '{"code": 0, "message": "OK"}', "maybe sent"),
        (204, "", "maybe sent"),
        (400, '{"code": 400, "message": "bad phone"}', "refused"),
        (400, "garbage", "refused"),
        (401, "", "unauthorised"),
        (403, "", "later"),
        (404, "", "later"),
        (408, "", "later"),
        (422, "", "later"),
        (429, "", "later"),
        (500, "", "later"),
        (502, "<html>bad gateway", "later"),
        (503, "", "later"),
        (504, "", "maybe sent"),
    ],
)
async def test_the_probes_answers(status: int, text: str, outcome: str) -> None:
    async with answering(fixed(status, text)) as url:
        error = await fails({**PROBE, "url": url})
    assert (marks(error), str(status) in error.reason) == (outcome, True)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (201, "maybe sent"),
        (204, "maybe sent"),
        (400, "refused"),
        (401, "unauthorised"),
        (403, "unauthorised"),
        (404, "refused"),
        (408, "later"),
        (422, "refused"),
        (425, "later"),
        (429, "later"),
        (500, "later"),
        (502, "later"),
        (503, "later"),
        (504, "maybe sent"),
    ],
)
async def test_the_answers_of_a_described_api(status: int, outcome: str) -> None:
    async with answering(fixed(status, "so it is")) as url:
        error = await fails(http(url))
    assert (marks(error), str(status) in error.reason) == (outcome, True)


@pytest.mark.parametrize("status", [200, 202])
async def test_200_and_202_of_a_described_api_say_yes(status: int) -> None:
    async with answering(fixed(status)) as url, started(http(url)) as worker:
        assert await worker.deliver(task()) is None


@pytest.mark.parametrize("status", [201, 409])
async def test_other_statuses_say_yes_where_that_is_described(status: int) -> None:
    async with answering(fixed(status)) as url, started(http(url, {"status": ["201", "409"]})) as worker:
        assert await worker.deliver(task()) is None


async def test_the_body_must_match_where_that_is_described() -> None:
    accepted = {"status": "200", "body": r'"ok":\s*true'}
    async with answering(fixed(200, '{"ok": true}')) as url, started(http(url, accepted)) as worker:
        assert await worker.deliver(task()) is None
    async with answering(fixed(200, '{"ok": false}')) as url:
        assert marks(await fails(http(url, accepted))) == "maybe sent"
    async with answering(fixed(400, '{"ok": true}')) as url:
        assert marks(await fails(http(url, accepted))) == "refused"


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("status", [429, 503])
async def test_the_gateway_says_how_many_seconds_to_wait(name: str, status: int) -> None:
    async with answering(fixed(status, **{"Retry-After": "42"})) as url:
        error = await fails(PARAMS[name](url))
    assert isinstance(error, Unavailable)
    assert (error.retry_after, error.maybe_sent) == (42, False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 1),
        ("-5", None),
        ("soon", None),
        ("999999999", 86400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),
        ("99:99", None),
    ],
)
async def test_odd_waits_are_bounded_or_left_out(value: str, seconds: float | None) -> None:
    async with answering(fixed(429, **{"Retry-After": value})) as url:
        error = await fails(http(url))
    assert isinstance(error, Unavailable)
    assert error.retry_after == seconds


async def test_a_wait_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    async with answering(fixed(429, **{"Retry-After": date})) as url:
        error = await fails(http(url))
    assert isinstance(error, Unavailable)
    assert error.retry_after is not None
    assert 100 < error.retry_after <= 120


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(name: str, status: int) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/secret-place"})

    async with answering(handler) as url:
        error = await fails(PARAMS[name](url))
    assert (marks(error), len(asked)) == ("later", 1)
    assert "redirect" in error.reason
    assert "secret-place" not in error.reason


@pytest.mark.parametrize("name", EVERY)
async def test_a_closed_port_is_safe_to_try_again(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refuses, and nobody else gets it
        error = await fails(PARAMS[name](f"http://127.0.0.1:{taken.getsockname()[1]}/x"))
    assert marks(error) == "later"


@pytest.mark.parametrize("name", EVERY)
async def test_an_unknown_host_is_safe_to_try_again(name: str) -> None:
    assert marks(await fails(PARAMS[name]("http://nowhere.invalid/x"))) == "later"


async def test_a_connection_that_does_not_come_about_is_safe_to_try_again() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]  # the backlog is full: further SYNs are not answered
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        await asyncio.sleep(0.05)
        error = await fails({**http(f"http://127.0.0.1:{address[1]}/x"), "timeout": "200ms"})
        for filler in fillers:
            filler.close()
    assert (marks(error), "no connection" in error.reason) == ("later", True)


async def test_a_failed_tls_handshake_is_safe_to_try_again() -> None:
    async with answering(fixed(200)) as url:
        assert marks(await fails(http(url.replace("http:", "https:")))) == "later"


# Gateways that break HTTP


WHOLE_ANSWER = b"(the whole answer went out)"


@asynccontextmanager
async def raw(*chunks: bytes, hold: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads a request's head, sends the chunks, and closes (or holds on to) the connection.

    Its list has the heads, each followed by WHOLE_ANSWER once all chunks could be sent.
    """
    seen: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
            seen.append(WHOLE_ANSWER)
            if hold:
                await over.wait()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", seen
        over.set()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (b"HTTP/1.1 200",),
        (b"220 mail.example ESMTP\r\n",),
        (b"\x00\xff\xfe",),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n",),
    ],
    ids=["nothing", "half a status", "another protocol", "noise", "an endless header"],
)
async def test_a_broken_answer_leaves_open_whether_it_was_sent(name: str, chunks: tuple[bytes, ...]) -> None:
    async with raw(*chunks) as (url, seen):
        assert marks(await fails(PARAMS[name](url))) == "maybe sent"
    assert len([head for head in seen if head != WHOLE_ANSWER]) == 1


@pytest.mark.parametrize("name", ["kannel", "probe"])
async def test_half_a_body_of_success_leaves_open_whether_it_was_sent(name: str) -> None:
    async with raw(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"code": 0, ') as (url, _):
        assert marks(await fails(PARAMS[name](url))) == "maybe sent"


@pytest.mark.parametrize("name", EVERY)
async def test_the_status_of_a_refusal_counts_though_its_body_hangs(name: str) -> None:
    async with raw(b"HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\nno su", hold=True) as (url, _):
        error = await fails({**PARAMS[name](url), "timeout": "200ms"})
    assert marks(error) == "refused"


async def test_an_endless_body_is_cut() -> None:
    head = b'HTTP/1.1 200 OK\r\n\r\n{"code": 0, "message": "OK"}'
    async with raw(head + b" " * 70_000, *[b" " * 65_536] * 500) as (url, seen):
        assert marks(await fails({**PROBE, "url": url})) == "maybe sent"
    assert WHOLE_ANSWER not in seen


async def test_a_compressed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(b"yes" + b" " * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with raw(head + bomb) as (url, seen):
        assert marks(await fails({**PROBE, "url": url})) == "maybe sent"
        assert marks(await fails(http(url, {"body": "yes"}))) == "maybe sent"
    assert b"gzip" not in seen[0]


@pytest.mark.parametrize("name", EVERY)
async def test_an_echoed_secret_does_not_get_into_a_reason(name: str) -> None:
    async def echo(request: web.Request) -> web.Response:
        said = f"bad: {request.rel_url.raw_query_string} {dict(request.query)} {request.headers.get('Authorization')}"
        return web.Response(status=400, text=said)

    async with answering(echo) as url:
        params = PARAMS[name](url)
        if name == "http":
            params["request"]["headers"] = {"Authorization": f"Bearer {TOKEN}"}
            params["request"]["query"] = {"key": PASSWORD}
        error = await fails(params)
    assert "***" in error.reason


async def test_a_reason_is_one_short_printable_line() -> None:
    async with answering(fixed(400, "bad\r\n\x1b[31mphone\u2028" + "x" * 10_000)) as url:
        error = await fails(http(url))
    assert error.reason.isprintable()
    assert len(error.reason) < 300


# What a described request looks like


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[str, list[tuple[web.Request, bytes]]]]:
    seen: list[tuple[web.Request, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request, await request.read()))
        return web.Response()

    async with answering(handler) as url:
        yield url, seen


ODD = 'a&b=c "d" \\ {phone} {id} {x} 100% й\nz'


async def test_placeholders_are_replaced_in_json_and_nowhere_else() -> None:
    template = {
        "to": ["{phone}"],
        "text": "<{text}>",
        "{id}": "{id}",
        "plain": Plain("5"),
        "flag": Plain("true"),
        "quoted": "5",
        "none": None,
        "other": "{x} {{text.__class__}}",
    }
    async with recording() as (url, seen), started(http(url, json=template)) as worker:
        await worker.deliver(task(ODD))
    [(request, body)] = seen
    assert request.content_type == "application/json"
    assert json.loads(body) == {
        "to": [PHONE],
        "text": f"<{ODD}>",
        "{id}": "7",
        "plain": 5,
        "flag": True,
        "quoted": "5",
        "none": None,
        "other": "{x} {{text.__class__}}",
    }


async def test_placeholders_are_encoded_in_url_and_query() -> None:
    async with recording() as (url, seen):
        request: dict[str, Any] = {"method": "GET", "json": None, "query": {"t": "{text}"}}
        async with started(http(f"{url}api/{{phone}}/{{text}}?ref={{id}}", **request)) as worker:
            await worker.deliver(task(f"../{ODD}"))
    [(asked, body)] = seen
    assert (asked.method, body) == ("GET", b"")
    assert asked.path == f"/api/{PHONE}/../{ODD}"
    assert "%2F" in asked.raw_path
    assert dict(asked.query) == {"ref": "7", "t": f"../{ODD}"}


async def test_placeholders_are_encoded_in_a_form() -> None:
    async with recording() as (url, seen):
        form = {"to": "+{phone}", "text": "{text}"}
        async with started(http(url, json=None, form=form, method="PUT")) as worker:
            await worker.deliver(task(ODD))
    [(asked, _)] = seen
    assert (asked.method, asked.content_type) == ("PUT", "application/x-www-form-urlencoded")
    assert dict(await asked.post()) == {"to": f"+{PHONE}", "text": ODD}


async def test_headers_are_sent_as_described() -> None:
    headers = {"X-Ref": "r-{id}", "Authorization": "Bearer abc", "content-type": "application/vnd.x+json"}
    async with recording() as (url, seen), started(http(url, headers=headers)) as worker:
        await worker.deliver(task())
    [(asked, _)] = seen
    assert asked.headers["X-Ref"] == "r-7"
    assert asked.headers["Authorization"] == "Bearer abc"
    assert asked.headers.getall("Content-Type") == ["application/vnd.x+json"]


async def test_kannels_url_may_have_a_query_and_extra_variables() -> None:
    async with recording() as (url, seen):
        await fails({**KANNEL, "url": f"{url}?smsc=a", "extra": {"dlr-mask": "31"}})
    [(asked, _)] = seen
    assert asked.query["smsc"] == "a"
    assert asked.query["dlr-mask"] == "31"
    assert asked.query["password"] == PASSWORD
    assert asked.query["charset"] == "UTF-8"


# Settings


def problems(params: dict[str, Any]) -> dict[str, str]:
    """Key → kind of error, or the sentence of one of ours."""
    with pytest.raises(ValidationError) as caught:
        SmsSettings.model_validate(params)
    return {
        ".".join(map(str, error["loc"])): str(error.get("ctx", {}).get("error", error["type"]))
        for error in caught.value.errors()
    }


def test_every_missing_key_is_told_at_its_place() -> None:
    assert problems({"gateway": "kannel", "to": PHONE}) == dict.fromkeys(
        ("url", "username", "password", "from"), "missing"
    )
    assert problems({"gateway": "probe"}) == dict.fromkeys(("to", "url", "token"), "missing")
    assert problems({"gateway": "http", "to": PHONE}) == {"request": "missing"}
    assert problems({"gateway": "http", "to": PHONE, "request": {}}) == {"request.url": "missing"}


def test_a_key_of_another_gateway_is_told_with_the_right_ones() -> None:
    found = problems({**PROBE, "url": "http://h", "password": "x", "extra": {"a": "b"}})
    assert found == dict.fromkeys(("password", "extra"), "no such key: gateway probe has url, token")


def test_unknown_keys_and_gateways_are_told_at_their_place() -> None:
    assert problems({"gateway": "smpp", "to": PHONE}) == {"gateway": "literal_error"}
    assert problems({**PROBE, "url": "http://h", "tokn": "x"}) == {"tokn": "extra_forbidden"}
    assert problems(http("http://h", jsn={})) == {"request.jsn": "extra_forbidden"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/x",
        "ftp://h/x",
        "http://",
        "http://h/a b",
        "http://h/й",
        "http://{phone}.h/",
        "http://u:p@h/x",
        "http://h:99999/x",
        "http://h/#a",
        "http://a..b/",
        f"http://{'x' * 64}/",
    ],
)
def test_a_bad_url_is_told(url: str) -> None:
    assert "request.url" in problems(http(url))


@pytest.mark.parametrize(
    "number", ["123", "70000000000", "+7 999 000-00-01", "89990000001234", "abc", "", "٧٩٩٩٠٠٠٠٠٠١"]
)
def test_a_bad_number_is_told_at_its_place(number: str) -> None:
    found = problems({**PROBE, "url": "http://h", "to": [PHONE, number]})
    assert list(found) == ["to.1"]
    assert "phone number such as" in found["to.1"]


@pytest.mark.parametrize(
    "url", ["http://[::1]:8080/x", "https://gate_way.example", "http://127.0.0.1/{phone}?t={text}"]
)
def test_a_good_url_is_taken(url: str) -> None:
    settings = SmsSettings.model_validate(http(url))
    assert settings.request is not None
    assert settings.request.url == url


def test_numbers_lose_their_plus_and_stand_once() -> None:
    params = {**PROBE, "url": "http://h", "to": [f"+{PHONE}", "4915112345678", PHONE]}
    assert SmsWorker(SmsSettings.model_validate(params), "sms").recipients() == (PHONE, "4915112345678")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"form": {"text": "{text}"}}, "request"),
        ({"method": "GET"}, "request"),
        ({"json": {"text": "{text}"}}, "request"),
        ({"json": {"phone": "{phone}"}}, "request"),
        ({"headers": {"a b": "c"}}, "request.headers"),
        ({"headers": {"Host": "c"}}, "request.headers"),
        ({"headers": {"A": "b\r\nC: d"}}, "request.headers"),
        ({"headers": {"A": "{text}"}}, "request.headers"),
        ({"method": "get"}, "request.method"),
    ],
)
def test_a_request_that_cannot_work_is_told(changes: dict[str, Any], key: str) -> None:
    assert list(problems(http("http://h", **changes))) == [key]


def test_other_values_that_cannot_work_are_told() -> None:
    assert list(problems(http("http://h", {"body": "("}))) == ["accepted.body"]
    assert list(problems(http("http://h", {"status": ["99"]}))) == ["accepted.status.0"]
    assert list(problems({**KANNEL, "url": "http://h", "extra": {"text": "x"}})) == ["extra"]
    assert list(problems({**PROBE, "url": "http://h", "token": "a\r\nb"})) == ["token"]
    assert list(problems({**PROBE, "url": "http://h", "max_segments": "0"})) == ["max_segments"]
    assert list(problems({**PROBE, "url": "http://h", "timeout": "0s"})) == ["timeout"]


def test_secrets_do_not_show() -> None:
    shown = repr(SmsSettings.model_validate({**KANNEL, "url": "http://h"}))
    shown += repr(SmsSettings.model_validate({**PROBE, "url": "http://h"}))
    shown += repr(SmsSettings.model_validate(http("http://h", headers={"Authorization": f"Bearer {TOKEN}"})))
    assert PASSWORD not in shown
    assert TOKEN not in shown


# Texts and the rest of the contract


def worker_of(**changes: Any) -> SmsWorker:
    return SmsWorker(SmsSettings.model_validate({**PROBE, "url": "http://h", **changes}), "sms")


@pytest.mark.parametrize("text", ["a", "я" * 670, "a" * 1530, "line\nline"])
def test_a_text_of_up_to_ten_segments_can_be_carried(text: str) -> None:
    assert worker_of().text_problem(text) is None


def test_a_longer_text_is_told_with_how_much_it_takes() -> None:
    assert worker_of(max_segments="3").text_problem("я" * 335) == "at most 3 SMS segments (this text takes 5)"


@pytest.mark.parametrize("text", ["", "a\x00b", "\ud83d"])
def test_a_text_that_is_none_is_told(text: str) -> None:
    assert worker_of().text_problem(text)


@pytest.mark.parametrize("text", [" ", " \n\t\u00a0", " " * 100_000])
def test_a_blank_text_costs_nobody_an_sms(text: str) -> None:
    assert worker_of().text_problem(text) == SmsWorker.text_rule
    assert worker_of().text_problem(f"{text}a") != SmsWorker.text_rule


async def test_a_recipient_that_is_no_number_is_refused_before_anything_is_sent() -> None:
    assert marks(await fails({**PROBE, "url": "http://127.0.0.1:1"}, task(recipient="79990000001&to=1"))) == "refused"


async def test_stopping_is_harmless_however_often() -> None:
    worker = worker_of()
    await worker.stop()
    await worker.start()
    await worker.stop()
    await worker.stop()
    with pytest.raises(RuntimeError):
        await worker.deliver(task())


async def test_many_deliveries_at_once_share_one_worker(probe: tuple[ProbeGateway, dict[str, Any]]) -> None:
    far_side, params = probe
    async with started(params) as worker:
        await asyncio.gather(*(worker.deliver(task(task_id=number)) for number in range(1, 41)))
    assert {arrival.reference for arrival in far_side.inbox.arrivals()} == {str(n) for n in range(1, 41)}
