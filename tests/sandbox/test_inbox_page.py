"""The inbox page over HTTP: what it shows, how it is switched, whom it refuses, how its stream ends."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from vestnik.sandbox.application import build_application
from vestnik.sandbox.far_side import Arrival, Fault, HttpFarSide, Inbox
from vestnik.sandbox.live import Changes
from vestnik.sandbox.page import InboxPage
from vestnik.sandbox.view import SHOWN, SHOWN_TEXT, InboxView

SCRIPT = "<script>alert(1)</script>"
Client = TestClient[web.Request, web.Application]


class Pigeon(HttpFarSide):
    """A far side small enough to see through."""

    name = "pigeon"
    faults = (Fault.NONE, Fault.DOWN, Fault.REFUSE)

    def routes(self) -> Sequence[web.RouteDef]:
        return [web.post("/pigeon/{loft}", self._fly)]

    def refused(self) -> web.Response:
        return web.Response(status=410, text="no such loft")

    def rate_limited(self) -> web.Response:
        return web.Response(status=429)

    async def _fly(self, request: web.Request) -> web.StreamResponse:
        arrival = Arrival(self.name, request.match_info["loft"], await request.text())
        return await self.respond(request, [arrival], web.Response(text="coo"))


class Sparrow(Pigeon):
    name = "sparrow"
    broken = False

    async def set_fault(self, fault: Fault) -> None:
        if self.broken:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        await super().set_fault(fault)

    def routes(self) -> Sequence[web.RouteDef]:
        return []


class House:
    """The page with its parts in reach."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.pigeon, self.sparrow = Pigeon(self.inbox), Sparrow(self.inbox)
        self.changes = Changes(self.inbox)
        self.view = InboxView(self.inbox, [self.pigeon, self.sparrow])
        self.page = InboxPage(self.view, self.changes, ["curl --data 'message=<b>' http://x/"])
        self.app = build_application(self.page, [self.pigeon, self.sparrow])

    async def arrive(self, text: str = "coo", *, far_side: str = "pigeon", **more: Any) -> None:
        await self.inbox.add(Arrival(far_side, more.pop("recipient", "loft 7"), text, **more))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    house.changes.start()
    yield house
    await house.changes.stop()


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    async with TestClient(TestServer(house.app, host="127.0.0.1")) as client:
        yield client


async def updates(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of a stream: their ids and contents."""
    event_id = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("id: "):
            event_id = line.removeprefix("id: ")
        elif line.startswith("data: "):
            yield event_id, json.loads(line.removeprefix("data: "))


async def next_update(stream: AsyncIterator[tuple[str, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    async with asyncio.timeout(4):
        return await anext(stream)


async def refusal(response: aiohttp.ClientResponse, status: int, code: str) -> str:
    assert response.status == status
    body = await response.json()
    assert body["code"] == code
    return str(body["description"])


async def test_the_page_shows_what_arrived_newest_first(house: House, client: Client) -> None:
    await house.arrive("the first")
    await house.arrive("the second", far_side="sparrow", subject="Seeds", reference="s-1", details={"wind": "north"})

    page = await (await client.get("/")).text()

    assert page.index("the second") < page.index("the first")
    for shown in ("Seeds", "s-1", "wind", "north", "loft 7"):
        assert shown in page


async def test_the_empty_page_suggests_commands(client: Client) -> None:
    page = await (await client.get("/")).text()

    assert "curl --data &#39;message=&lt;b&gt;&#39; http://x/" in page
    assert f"curl -X PUT {client.make_url('/')}faults/pigeon" in page


async def test_texts_from_outside_are_never_markup(house: House, client: Client) -> None:
    await house.arrive(SCRIPT, recipient=SCRIPT, subject=SCRIPT, reference=SCRIPT, details={SCRIPT: SCRIPT})

    page = await (await client.get("/")).text()

    assert SCRIPT not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 6


async def test_half_a_surrogate_pair_does_not_break_the_page(house: House, client: Client) -> None:
    await house.arrive("half \ud83d a smile", details={"\ud83d": "\ud83d"})

    assert "half ? a smile" in await (await client.get("/")).text()


async def test_a_very_long_text_is_cut_on_the_page_but_whole_in_json(house: House, client: Client) -> None:
    await house.arrive("a" * SHOWN_TEXT + "bcd")

    page = await (await client.get("/")).text()
    listed = await (await client.get("/inbox")).json()

    assert "abcd" not in page
    assert "3 more characters" in page
    assert listed["arrivals"][0]["text"].endswith("abcd")


async def test_the_page_shows_a_limited_number(house: House, client: Client) -> None:
    for _ in range(SHOWN + 1):
        await house.arrive()

    page = await (await client.get("/")).text()

    assert page.count("<li class=") == SHOWN + 1  # one of them is the blank card
    assert 'data-number="1"' not in page


async def test_the_page_can_be_narrowed_to_one_far_side(house: House, client: Client) -> None:
    await house.arrive("from a pigeon")
    await house.arrive("from a sparrow", far_side="sparrow")

    page = await (await client.get("/?far_side=sparrow")).text()

    assert "from a sparrow" in page
    assert "from a pigeon" not in page


@pytest.mark.parametrize("path", ["/", "/inbox", "/faults", "/static/inbox.js", "/nowhere"])
async def test_every_answer_carries_the_security_headers(client: Client, path: str) -> None:
    headers = (await client.get(path)).headers

    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("name", ["inbox.js", "inbox.css", "icon.svg"])
async def test_the_page_brings_its_own_files(client: Client, name: str) -> None:
    page = await (await client.get("/")).text()

    assert f'"/static/{name}"' in page
    assert (await client.get(f"/static/{name}")).status == 200


async def test_arrivals_are_listed_oldest_first_with_utc_times(house: House, client: Client) -> None:
    await house.arrive("one", subject="S", reference="r", details={"k": "v"})
    await house.arrive("two")

    one, two = (await (await client.get("/inbox")).json())["arrivals"]

    assert one.pop("arrived_at").endswith("Z")
    assert one == {
        "number": 1,
        "far_side": "pigeon",
        "recipient": "loft 7",
        "subject": "S",
        "text": "one",
        "reference": "r",
        "details": {"k": "v"},
    }
    assert (two["number"], two["subject"]) == (2, None)


async def test_the_list_can_start_after_a_number_and_keep_to_one_far_side(house: House, client: Client) -> None:
    for far_side in ("pigeon", "sparrow", "pigeon", "sparrow"):
        await house.arrive(far_side=far_side)

    listed = await (await client.get("/inbox", params={"after": "1", "far_side": "sparrow"})).json()

    assert [arrival["number"] for arrival in listed["arrivals"]] == [2, 4]


@pytest.mark.parametrize("after", ["", "-1", "1.5", "one", "٣", "9" * 16])
async def test_a_bad_number_is_answered_422(client: Client, after: str) -> None:
    assert "after" in await refusal(await client.get("/inbox", params={"after": after}), 422, "invalid_input")


async def test_an_unknown_far_side_in_a_list_is_answered_422(client: Client) -> None:
    description = await refusal(await client.get("/inbox?far_side=eagle"), 422, "invalid_input")

    assert "pigeon, sparrow" in description


async def test_clearing_empties_the_inbox(house: House, client: Client) -> None:
    await house.arrive()

    assert (await client.delete("/inbox")).status == 204
    assert house.inbox.arrivals() == []


async def test_faults_are_listed_with_those_that_have_a_meaning(house: House, client: Client) -> None:
    await house.sparrow.set_fault(Fault.DOWN)
    await house.arrive()

    assert await (await client.get("/faults")).json() == {
        "far_sides": [
            {"name": "pigeon", "fault": "none", "faults": ["none", "down", "refuse"], "arrived": 1},
            {"name": "sparrow", "fault": "down", "faults": ["none", "down", "refuse"], "arrived": 0},
        ]
    }


async def test_a_fault_is_switched_on_and_off(house: House, client: Client) -> None:
    answer = await client.put("/faults/pigeon", json={"fault": "refuse"})
    assert (await answer.json())["fault"] == "refuse"
    assert (await client.post("/pigeon/7", data="coo")).status == 410

    await client.put("/faults/pigeon", json={"fault": "none"})
    assert (await client.post("/pigeon/7", data="coo")).status == 200


async def test_the_fault_of_an_unknown_far_side_is_answered_404(client: Client) -> None:
    description = await refusal(await client.put("/faults/eagle", json={"fault": "down"}), 404, "not_found")

    assert "pigeon, sparrow" in description


@pytest.mark.parametrize(
    "body",
    ["", "down", "[]", '{"fault": "slow"}', '{"fault": "on fire"}', '{"fault": ["down"]}', '{"fault": "down", "x": 1}'],
)
async def test_a_bad_fault_is_answered_422(house: House, client: Client, body: str) -> None:
    await refusal(await client.put("/faults/pigeon", data=body), 422, "invalid_input")

    assert house.pigeon.fault is Fault.NONE


async def test_a_switch_that_cannot_be_turned_is_answered_409(house: House, client: Client) -> None:
    house.sparrow.broken = True

    description = await refusal(await client.put("/faults/sparrow", json={"fault": "down"}), 409, "conflict")

    assert "Address already in use" in description


async def test_a_body_in_an_unknown_charset_is_answered_422(client: Client) -> None:
    headers = {"Content-Type": "application/json; charset=klingon"}

    await refusal(await client.put("/faults/pigeon", data="{}", headers=headers), 422, "invalid_input")


async def test_without_scripts_the_forms_switch_and_clear(house: House, client: Client) -> None:
    await house.arrive()

    switched = await client.post("/faults/pigeon", data={"fault": "down"}, allow_redirects=False)
    cleared = await client.post("/inbox/clear", allow_redirects=False)

    assert [(answer.status, answer.headers["Location"]) for answer in (switched, cleared)] == [(303, "/"), (303, "/")]
    assert house.pigeon.fault is Fault.DOWN
    assert house.inbox.arrivals() == []


async def test_an_unknown_path_is_answered_as_json(client: Client) -> None:
    await refusal(await client.get("/nowhere"), 404, "not_found")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "192.0.2.1", "[::2]", "["]
)
async def test_a_host_that_is_not_loopback_is_refused(house: House, client: Client, host: str) -> None:
    await house.arrive("private")

    answer = await client.get("/inbox", headers={"Host": host})

    assert "private" not in await refusal(answer, 403, "foreign_host")


@pytest.mark.parametrize("host", ["localhost:8090", "127.0.0.1", "127.1.2.3:80", "[::1]:8090"])
async def test_every_loopback_host_is_answered(client: Client, host: str) -> None:
    assert (await client.get("/faults", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    ],
)
async def test_a_page_elsewhere_changes_nothing(house: House, client: Client, headers: dict[str, str]) -> None:
    await house.arrive()

    answers = [
        await client.put("/faults/pigeon", json={"fault": "down"}, headers=headers),
        await client.post("/faults/pigeon", data={"fault": "down"}, headers=headers),
        await client.delete("/inbox", headers=headers),
        await client.post("/inbox/clear", headers=headers),
        await client.post("/pigeon/7", data="forged", headers=headers),
    ]

    for answer in answers:
        await refusal(answer, 403, "foreign_origin")
    assert house.pigeon.fault is Fault.NONE
    assert len(house.inbox.arrivals()) == 1


async def test_our_own_page_is_let_through(house: House, client: Client) -> None:
    origin = str(client.make_url("/")).rstrip("/")

    by_script = await client.put("/faults/pigeon", json={"fault": "down"}, headers={"Origin": origin})
    # What a browser sends with a form of a page under no-referrer.
    form_headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    by_form = await client.post("/inbox/clear", headers=form_headers, allow_redirects=False)

    assert (by_script.status, by_form.status) == (200, 303)


async def test_a_stream_tells_of_arrivals_switches_and_clearing(house: House, client: Client) -> None:
    await house.arrive("before")
    async with client.get("/events") as response:
        assert response.content_type == "text/event-stream"
        stream = updates(response)

        first_id, first = await next_update(stream)
        assert [arrival["text"] for arrival in first["arrivals"]] == ["before"]
        assert first_id == house.view.event_id(1)

        await house.arrive("after\nwards", details={"a": "b"})
        event_id, update = await next_update(stream)
        assert [arrival["text"] for arrival in update["arrivals"]] == ["after\nwards"]
        assert event_id == house.view.event_id(2)

        await client.put("/faults/sparrow", json={"fault": "down"})
        _, update = await next_update(stream)
        assert update["arrivals"] == []
        assert [far_side["fault"] for far_side in update["far_sides"]] == ["none", "down"]

        await client.delete("/inbox")
        event_id, update = await next_update(stream)
        assert (update["oldest"], update["arrivals"]) == (3, [])
        assert event_id == house.view.event_id(2)


async def test_a_stream_goes_on_where_it_broke(house: House, client: Client) -> None:
    for text in ("one", "two", "three"):
        await house.arrive(text)

    for request in (
        {"headers": {"Last-Event-ID": house.view.event_id(2)}},
        {"params": {"after": house.view.event_id(2)}},
    ):
        async with client.get("/events", **request) as response:  # type: ignore[arg-type]  # one of two keywords
            _, update = await next_update(updates(response))
            assert [arrival["text"] for arrival in update["arrivals"]] == ["three"]


@pytest.mark.parametrize("event_id", ["0badcafe.2", "nonsense", "2", "'; --", "0badcafe.99999999999999999999"])
async def test_an_id_of_another_run_starts_from_the_beginning(house: House, client: Client, event_id: str) -> None:
    for text in ("one", "two"):
        await house.arrive(text)

    async with client.get("/events", headers={"Last-Event-ID": event_id}) as response:
        _, update = await next_update(updates(response))

    assert [arrival["text"] for arrival in update["arrivals"]] == ["one", "two"]
    assert update["run"] == house.view.run


async def test_a_silent_stream_sends_comments(house: House, client: Client) -> None:
    house.page.keep_alive = 0.02
    async with client.get("/events") as response, asyncio.timeout(4):
        while (line := await response.content.readline()) != b": still here\n":
            assert line != b""


async def test_a_closed_page_ends_its_stream(house: House, client: Client) -> None:
    house.page.keep_alive = 0.02
    assert client.server.runner is not None
    server = client.server.runner.server
    assert server is not None
    async with aiohttp.ClientSession() as other, other.get(client.make_url("/events")) as response:
        await next_update(updates(response))
        assert len(server.connections) == 1

    async with asyncio.timeout(4):
        while server.connections:
            await asyncio.sleep(0.01)


async def test_open_streams_end_at_once_when_the_sandbox_stops(house: House, client: Client) -> None:
    async with client.get("/events") as response:
        stream = updates(response)
        await next_update(stream)

        async with asyncio.timeout(4):
            await house.changes.stop()
            rest = [update async for _, update in stream]

    assert all(update["arrivals"] == [] for update in rest)
