from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from vestnik.sandbox.far_side import Arrival, Fault, HttpFarSide, Inbox
from vestnik.sandbox.sms_gateways import KannelGateway, ProbeGateway

SENDSMS = "/kannel/cgi-bin/sendsms"
GOOD = {"username": "sandbox", "password": "sandbox", "from": "Duty", "to": "79990000001", "text": "Hello"}
PROBE_BODY = {"id": 7, "phone": 79990000001, "text": "Привет"}
BEARER = {"Authorization": "Bearer a.b.c"}

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def kannel(inbox: Inbox) -> KannelGateway:
    return KannelGateway(inbox)


@pytest.fixture
def probe(inbox: Inbox) -> ProbeGateway:
    return ProbeGateway(inbox)


@pytest.fixture
async def client(kannel: KannelGateway, probe: ProbeGateway) -> AsyncIterator[Client]:
    application = web.Application()
    far_sides: tuple[HttpFarSide, ...] = (kannel, probe)
    for far_side in far_sides:
        application.add_routes(far_side.routes())
    async with TestClient(TestServer(application)) as client:
        yield client


async def sendsms(client: Client, **changes: str | None) -> tuple[int, str]:
    """`None` leaves the variable out."""
    variables = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    response = await client.get(SENDSMS, params=variables)
    return response.status, await response.text()


async def test_kannel_takes_a_message_and_keeps_what_came_with_it(client: Client, inbox: Inbox) -> None:
    answer = await sendsms(client, coding="2", charset="UTF-8", text="Привет, {мир}", account="vestnik-5")
    assert answer == (202, "0: Accepted for delivery")
    [arrival] = inbox.arrivals()
    assert (arrival.far_side, arrival.recipient, arrival.text) == ("kannel", "79990000001", "Привет, {мир}")
    assert (arrival.reference, arrival.details) == ("vestnik-5", {"from": "Duty", "coding": "2"})


async def test_kannel_reads_ucs2_without_a_charset_as_utf16(client: Client, inbox: Inbox) -> None:
    url = f"{SENDSMS}?username=sandbox&password=sandbox&from=1&to=2&coding=2&text=%04%1F"
    async with client.get(URL(url, encoded=True)) as response:
        assert response.status == 202
    assert [a.text for a in inbox.arrivals()] == ["П"]


async def test_kannel_queues_when_no_centre_is_connected(client: Client, kannel: KannelGateway) -> None:
    kannel.queued = True
    assert await sendsms(client) == (202, "3: Queued for later delivery")


async def test_kannel_sends_to_each_of_several_numbers(client: Client, inbox: Inbox) -> None:
    assert (await sendsms(client, to="79990000001 79990000002"))[0] == 202
    assert [a.recipient for a in inbox.arrivals()] == ["79990000001", "79990000002"]


async def test_kannel_falls_back_to_its_own_sender(client: Client, kannel: KannelGateway, inbox: Inbox) -> None:
    kannel.default_sender = "13013"
    assert (await sendsms(client, **{"from": None}))[0] == 202
    assert inbox.arrivals()[0].details["from"] == "13013"


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"password": "wrong"}, 403, "Authorization failed for sendsms"),
        ({"username": None}, 403, "Authorization failed for sendsms"),
        ({"to": None}, 400, "Missing receiver number, rejected"),
        ({"to": ""}, 400, "Empty receiver number not allowed, rejected"),
        ({"to": "abc"}, 400, "Number(s) has/have been denied by white- and/or black-lists."),
        ({"from": None}, 400, "Sender missing and no global set, rejected"),
        ({"account": "[]"}, 400, "Account field misformed or too long, rejected"),
        ({"account": "x" * 65}, 400, "Account field misformed or too long, rejected"),
        ({"coding": "7"}, 400, "Coding field misformed, rejected"),
        ({"charset": "nonsense"}, 400, "Charset or body misformed, rejected"),
    ],
)
async def test_kannel_refuses_in_the_words_of_smsbox(
    client: Client, inbox: Inbox, changes: dict[str, str | None], status: int, words: str
) -> None:
    assert await sendsms(client, **changes) == (status, words)
    assert inbox.arrivals() == []


async def send(client: Client, body: Any, message_id: str = "7", **kwargs: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body)
    response = await client.post(f"/probe/v1/send/{message_id}", data=data, **{"headers": BEARER, **kwargs})
    return response.status, await response.json()


async def test_the_probe_takes_a_message(client: Client, inbox: Inbox) -> None:
    assert await send(client, PROBE_BODY) == (200, {"code": 0, "message": "OK"})
    [arrival] = inbox.arrivals()
    assert (arrival.far_side, arrival.recipient, arrival.text, arrival.reference) == (
        "probe",
        "79990000001",
        "Привет",
        "7",
    )


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic a.b.c"])
async def test_the_probe_wants_a_bearer_token(client: Client, inbox: Inbox, header: str) -> None:
    status, answer = await send(client, PROBE_BODY, headers={"Authorization": header})
    assert (status, answer["code"], inbox.arrivals()) == (401, 401, [])


async def test_the_probe_compares_the_token_when_told_which(client: Client, probe: ProbeGateway) -> None:
    probe.token = "x.y.z"
    assert (await send(client, PROBE_BODY))[0] == 401
    assert (await send(client, PROBE_BODY, headers={"Authorization": "Bearer x.y.z"}))[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        [],
        {},
        {**PROBE_BODY, "id": "7"},
        {**PROBE_BODY, "id": True},
        {**PROBE_BODY, "phone": "79990000001"},
        {**PROBE_BODY, "phone": 2**63},
        {**PROBE_BODY, "text": 5},
        {**PROBE_BODY, "text": None},
    ],
)
async def test_the_probe_refuses_a_body_of_other_types(client: Client, inbox: Inbox, body: Any) -> None:
    status, answer = await send(client, body)
    assert (status, answer["code"], type(answer["message"])) == (400, 400, str)
    assert inbox.arrivals() == []


@pytest.mark.parametrize("message_id", ["abc", "1.5", str(2**63)])
async def test_the_probe_refuses_an_id_that_is_no_int64(client: Client, message_id: str) -> None:
    assert (await send(client, PROBE_BODY, message_id))[0] == 400


async def kannel_answer(client: Client) -> tuple[int, str]:
    return await sendsms(client)


async def probe_answer(client: Client) -> tuple[int, str]:
    response = await client.post("/probe/v1/send/7", json=PROBE_BODY, headers=BEARER)
    return response.status, await response.text()


@pytest.mark.parametrize(
    ("fault", "kannel_says", "probe_says", "taken"),
    [
        (Fault.DOWN, (502, "502 Bad Gateway"), (502, "502 Bad Gateway"), False),
        (Fault.REFUSE, (403, "Not routable. Do not try again."), (400, '"code": 400'), False),
        (Fault.RATE_LIMIT, (503, "Temporal failure, try again later."), (429, '"code": 429'), False),
        (Fault.GARBAGE, (200, "not json"), (200, "not json"), True),
        (Fault.SLOW, (202, "0: Accepted"), (200, '"code": 0'), True),
    ],
)
async def test_faults_answer_in_the_gateways_own_words(
    *,
    client: Client,
    kannel: KannelGateway,
    probe: ProbeGateway,
    inbox: Inbox,
    fault: Fault,
    kannel_says: tuple[int, str],
    probe_says: tuple[int, str],
    taken: bool,
) -> None:
    for far_side in (kannel, probe):
        far_side.slow_seconds = 0.01
        await far_side.set_fault(fault)
    for answer, expected in ((await kannel_answer(client), kannel_says), (await probe_answer(client), probe_says)):
        assert answer[0] == expected[0]
        assert expected[1] in answer[1]
    assert {a.far_side for a in inbox.arrivals()} == ({"kannel", "probe"} if taken else set())


async def test_a_rate_limit_of_the_probe_says_how_long(client: Client, probe: ProbeGateway) -> None:
    await probe.set_fault(Fault.RATE_LIMIT)
    probe.retry_after = 17
    async with client.post("/probe/v1/send/7", json=PROBE_BODY, headers=BEARER) as response:
        assert response.headers["Retry-After"] == "17"


async def test_a_dropped_connection_still_took_the_message(client: Client, probe: ProbeGateway, inbox: Inbox) -> None:
    await probe.set_fault(Fault.DROP)
    with pytest.raises(aiohttp.ClientError):
        await probe_answer(client)
    async with asyncio.timeout(60):
        [arrival] = await inbox.wait_for(1)
    assert isinstance(arrival, Arrival)
