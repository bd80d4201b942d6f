"""One channel's sends over a socket, each with the application behind it and with the application alone."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
import pytest
from deliveries import JWT_SECRET, Locked, Served
from prometheus_client import CollectorRegistry

from vestnik.delivery.metrics import DeliveryMetrics
from vestnik.delivery.send_route import SendRoute
from vestnik.settings.values import Address
from vestnik.web import api_keys
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, JwtSettings, Tokens
from vestnik.web.foreign_pages import ForeignPages
from vestnik.web.plain_heads import Headers
from vestnik.web.serving import serve as serve_http


class Counted:
    """A SendRoute as a PlainPost, with how many it has answered."""

    def __init__(self, route: SendRoute) -> None:
        self.path = route.path
        self.answered = 0
        self._route = route

    def begin(self, headers: Headers, body: bytes) -> asyncio.Future[Any] | None:
        return self._route.begin(headers, body)

    def accepted(self, done: Any) -> Mapping[str, str] | None:
        fields = self._route.accepted(done)
        self.answered += fields is not None
        return fields


class Door:
    """A channel's route on a port of its own."""

    def __init__(self, plain: bool, post: Counted, metrics: CollectorRegistry, served: Served) -> None:
        self.plain = plain
        self.served = served
        self.url = ""
        self._post = post
        self._metrics = metrics
        self._channel = post.path.rpartition("/")[2]

    async def send(self, headers: Mapping[str, str] | None = None, **fields: str) -> tuple[int, Any, Mapping[str, str]]:
        """Status, the body where there is one, and headers of the answer."""
        data = urlencode({"message": "Hello", **fields}).encode()
        given = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        async with aiohttp.ClientSession() as session, session.post(self.url, data=data, headers=given) as response:
            found = await response.json() if response.content_type == "application/json" else await response.text()
            return response.status, found, response.headers

    async def taken(self, headers: Mapping[str, str] | None = None, **fields: str) -> int:
        """The id of a message that was taken."""
        status, found, given = await self.send(headers, **fields)
        assert (status, found) == (204, "")
        assert given["Location"] == f"/api/messages/{given['X-Message-Id']}"
        return int(given["X-Message-Id"])

    async def refused(self, headers: Mapping[str, str] | None = None, **fields: str) -> tuple[int, str]:
        """Status and code of an error, or "" where it has none."""
        status, found, _ = await self.send(headers, **fields)
        return status, found["code"] if found else ""

    def plainly(self, count: int) -> bool:
        """Whether so many were answered without the application; none of them where there is nothing else."""
        return self._post.answered == (count if self.plain else 0)

    def counts(self) -> tuple[float, ...]:
        """Accepted, repeated, refused."""
        names = [f"vestnik_messages_{name}_total" for name in ("accepted", "repeated", "refused")]
        return tuple(self._metrics.get_sample_value(name, {"channel": self._channel}) or 0.0 for name in names)

    async def senders(self) -> list[str | None]:
        """Of all that is stored, in their order."""
        return await self.served.durable.read(
            lambda c: [row["sender"] for row in c.execute("SELECT sender FROM message ORDER BY id")]
        )


Opens = Callable[..., AbstractAsyncContextManager[Door]]


@pytest.fixture(params=[True, False], ids=["plain", "application alone"])
def opened(request: pytest.FixtureRequest, served: Served) -> Opens:
    @asynccontextmanager
    async def start(
        channel: str = "held", *, send: Literal["open", "key"] = "open", hosts: tuple[str, ...] | None = None
    ) -> AsyncIterator[Door]:
        pages = ForeignPages(hosts)
        auth = Auth(
            AuthSettings(send=send), Tokens(JwtSettings(), JWT_SECRET), KeyRing(served.durable), foreign_pages=pages
        )
        metrics = CollectorRegistry()
        service = served.part.service
        route = SendRoute(service.registry.get(channel), service, served.flag, auth, DeliveryMetrics(metrics))
        door = Door(request.param, post := Counted(route), metrics, served)
        app = build_application(auth, [route.definition()])
        server = await serve_http(app, Address("127.0.0.1", 0), {route.path: post} if request.param else {})
        door.url = f"http://127.0.0.1:{server.addresses[0][1]}{route.path}"
        try:
            yield door
        finally:
            await server.cleanup()

    return start


@pytest.fixture
async def door(opened: Opens) -> AsyncIterator[Door]:
    async with opened() as found:
        yield found


# Who sends


async def test_where_sending_is_open_anybodys_is_taken(door: Door) -> None:
    message_id = await door.taken(delay="60", expire="30", subject="Тема")
    view = await door.served.part.service.find(message_id)
    assert (view.text, view.state, view.subject) == ("Hello", "scheduled", "Тема")
    assert (await door.senders(), door.counts(), door.plainly(1)) == ([None], (1, 0, 0), True)


@pytest.mark.parametrize("send", ["open", "key"])
async def test_a_right_key_says_who_sends_asked_of_the_database_or_known(opened: Opens, send: str) -> None:
    async with opened(send=send) as door:
        key = await door.served.key("shop")
        for _ in range(3):
            await door.taken(key)
        key_id = key["X-API-Key"].partition(".")[0]
        assert (await door.senders(), door.counts(), door.plainly(3)) == ([key_id] * 3, (3, 0, 0), True)


@pytest.mark.parametrize("send", ["open", "key"])
async def test_a_wrong_or_revoked_key_is_401(opened: Opens, send: str) -> None:
    async with opened(send=send) as door:
        key = await door.served.key("shop")
        await door.served.durable.write(lambda c: api_keys.revoke(c, "shop", time.time()))
        for shown in (key, {"X-API-Key": "vk_0.wrong"}, {"X-API-Key": ""}, {"X-API-Key": "ключ"}):
            assert await door.refused(shown) == (401, "unauthorized")
        assert (await door.senders(), door.counts(), door.plainly(0)) == ([], (0, 0, 0), True)


async def test_a_key_that_is_revoked_while_it_is_known_stops_within_a_second(opened: Opens) -> None:
    async with opened(send="key") as door:
        key = await door.served.key("shop")
        await door.taken(key)
        await door.served.durable.write(lambda c: api_keys.revoke(c, "shop", time.time()))
        revoked, status = time.monotonic(), 204
        async with asyncio.timeout(60):
            while status == 204:
                status, _, _ = await door.send(key)
        assert status == 401
        assert time.monotonic() - revoked < 1.5


async def test_a_wrong_key_is_guessed_ten_times_and_counted_once_each(opened: Opens) -> None:
    async with opened(send="key") as door:
        found = [await door.refused({"X-API-Key": "vk_0.wrong"}) for _ in range(11)]
        assert found == [(401, "unauthorized")] * 10 + [(429, "too_many_requests")]


async def test_where_a_key_is_needed_nobody_sends_without(opened: Opens) -> None:
    async with opened(send="key") as door:
        assert await door.refused() == (401, "unauthorized")
        assert (await door.senders(), door.counts(), door.plainly(0)) == ([], (0, 0, 0), True)


@pytest.mark.parametrize("send", ["open", "key"])
async def test_a_token_counts_more_than_a_key_and_is_none_of_ours(opened: Opens, send: str) -> None:
    async with opened(send=send) as door:
        key = await door.served.key("shop")
        await door.taken(door.served.token())
        await door.taken({**door.served.token(), **key})
        assert await door.refused({**door.served.token("guest"), **key}) == (403, "forbidden")
        assert await door.refused({"Authorization": "Bearer a.b.c", **key}) == (401, "unauthorized")
        assert (await door.senders(), door.counts(), door.plainly(0)) == ([None, None], (2, 0, 0), True)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "http://elsewhere.test"}, "foreign_origin"),
        ({"Origin": "null"}, "foreign_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "foreign_origin"),
        ({"Host": "elsewhere.test"}, "foreign_host"),
    ],
)
async def test_another_sites_page_is_refused_and_with_a_key_it_is_none(
    opened: Opens, headers: dict[str, str], code: str
) -> None:
    async with opened(hosts=("127.0.0.1", "ours.test")) as door:
        assert await door.refused(headers) == (403, code)
        assert (await door.senders(), door.counts(), door.plainly(0)) == ([], (0, 0, 0), True)
        await door.taken({**headers, **await door.served.key("shop")})
        assert door.plainly(1)


@pytest.mark.parametrize(
    "headers", [{"Host": "ours.test", "Origin": "http://ours.test"}, {"Sec-Fetch-Site": "same-origin"}]
)
async def test_a_page_of_ours_is_taken(opened: Opens, headers: dict[str, str]) -> None:
    async with opened(hosts=("127.0.0.1", "ours.test")) as door:
        for count in (1, 2):
            await door.taken(headers)
            assert door.plainly(count)


# What is sent


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_form_that_is_not_valid_is_422_and_counted_once(door: Door, keyed: bool) -> None:
    key = await door.served.key("shop") if keyed else {}
    for number in range(1, 4):
        status, found, _ = await door.send(key, delay="x", colour="red")
        assert (status, set(found["errors"])) == (422, {"delay", "colour"})
        assert (door.counts(), door.plainly(0)) == ((0, 0, number), True)
    assert await door.senders() == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/x-www-form-urlencoded; charset=utf-8", 204),
        ("application/x-www-form-urlencoded; charset=latin-1", 422),
        ("text/plain", 422),
    ],
)
async def test_another_content_type_is_left_to_the_application(door: Door, content_type: str, status: int) -> None:
    assert (await door.send({"Content-Type": content_type}))[0] == status
    assert door.plainly(0)
    assert door.counts() == ((1, 0, 0) if status == 204 else (0, 0, 1))


async def test_a_repeated_key_gives_the_earlier_id_and_other_content_is_422(door: Door) -> None:
    key = {"Idempotency-Key": "order-17"}
    first = await door.taken(key)
    assert [await door.taken(key) for _ in range(2)] == [first, first]
    assert (door.counts(), door.plainly(3)) == ((1, 2, 0), True)
    status, found, _ = await door.send(key, message="Other")
    assert (status, found["errors"]) == (422, {"Idempotency-Key": "came with other content before"})
    assert (door.counts(), door.plainly(3)) == ((1, 2, 0), True)
    assert len(await door.senders()) == 1


async def test_repeated_at_once_they_are_stored_once(door: Door) -> None:
    key = {"Idempotency-Key": "order-17"}
    ids = await asyncio.gather(*(door.taken(key) for _ in range(10)))
    assert len(set(ids)) == 1
    assert (door.counts(), door.plainly(10)) == ((1, 9, 0), True)


# When nothing can be taken


async def test_in_maintenance_it_is_503_and_empty(door: Door) -> None:
    key = await door.served.key("shop")
    door.served.flag.set(on=True)
    for headers in ({}, key, {"X-API-Key": "vk_0.wrong"}):
        assert await door.refused(headers) == (503, "")
    assert (await door.senders(), door.counts(), door.plainly(0)) == ([], (0, 0, 0), True)
    door.served.flag.set(on=False)
    await door.taken()
    assert door.plainly(1)


@pytest.mark.parametrize("keyed", [False, True])
async def test_on_a_disk_that_is_nearly_full_it_is_503(
    door: Door, keyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable = door.served.durable
    key = await door.served.key("shop") if keyed else {}
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", _full)
        await durable.look_at_space()
        status, found, headers = await door.send(key)
        assert (status, found["code"]) == (503, "store_unavailable")
        assert int(headers["Retry-After"]) > 0
        assert (await door.senders(), door.counts(), door.plainly(0)) == ([], (0, 0, 0), True)
    await durable.look_at_space()
    await door.taken(key)
    assert door.plainly(1)


def _full(_path: object) -> os.statvfs_result:
    """Of a file system of 400 MB, with nothing left."""
    return os.statvfs_result((4096, 4096, 100_000, 0, 0, 100_000, 100_000, 100_000, 0, 255))


async def test_while_the_store_is_locked_it_is_503_and_stored_never(door: Door) -> None:
    async with Locked(door.served.durable):
        assert await door.refused() == (503, "store_unavailable")
    assert (await door.senders(), door.counts(), door.plainly(0)) == ([], (0, 0, 0), True)
    await door.taken()
    assert (await door.senders(), door.counts(), door.plainly(1)) == ([None], (1, 0, 0), True)


async def test_what_is_kept_in_memory_is_plain_once_its_ids_are_reserved(opened: Opens) -> None:
    async with opened("quick") as door:
        made = [await door.taken() for _ in range(3)]
        assert len(set(made)) == 3
        assert (door.counts(), door.plainly(2)) == ((3, 0, 0), True)
