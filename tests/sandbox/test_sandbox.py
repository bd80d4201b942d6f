"""The sandbox as a whole: where it listens, which far sides it has, how it starts and stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from pydantic import ValidationError

from vestnik.runtime.listening import CannotListen
from vestnik.sandbox.far_side import Arrival, Fault
from vestnik.sandbox.sandbox import Sandbox
from vestnik.sandbox.settings import SandboxSettings
from vestnik.settings.values import Address

ANYWHERE = SandboxSettings(listen=Address("127.0.0.1", 0), smtp=Address("127.0.0.1", 0))
MESSAGE = {"id": 7, "phone": 79990000001, "text": "Привет"}
TOKEN = {"Authorization": "Bearer any"}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(ANYWHERE)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.url) as client:
        yield client


def taken_port() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


async def can_connect(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def test_it_listens_where_the_architecture_says() -> None:
    settings = SandboxSettings()

    assert (str(settings.listen), str(settings.smtp)) == ("127.0.0.1:8090", "127.0.0.1:1025")


@pytest.mark.parametrize("address", ["127.0.0.1:80", "127.3.2.1:80", "localhost:80", "[::1]:80"])
def test_every_loopback_address_is_allowed(address: str) -> None:
    assert str(SandboxSettings.model_validate({"listen": address}).listen) == address


@pytest.mark.parametrize("key", ["listen", "smtp"])
@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "[::]", "mail.example.test", "localhost.example.test"])  # noqa: S104 - refused
def test_no_address_beyond_loopback_is_allowed(key: str, host: str) -> None:
    with pytest.raises(ValidationError, match=r"a loopback address such as 127\.0\.0\.1:8090"):
        SandboxSettings.model_validate({key: f"{host}:8090"})


async def test_it_has_every_far_side(client: aiohttp.ClientSession) -> None:
    async with client.get("/faults") as answer:
        far_sides = (await answer.json())["far_sides"]

    names = ["telegram", "kannel", "probe", "opentdb", "main", "mail"]
    assert [far_side["name"] for far_side in far_sides] == names


async def test_an_http_far_side_answers_below_its_prefix(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    async with client.post("/probe/v1/send/7", json=MESSAGE, headers=TOKEN) as answer:
        assert answer.status == 200

    (arrival,) = sandbox.inbox.arrivals(far_side="probe")
    assert (arrival.recipient, arrival.text) == ("79990000001", "Привет")


async def test_a_fault_reaches_the_far_side(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    async with client.put("/faults/probe", json={"fault": "down"}) as answer:
        assert answer.status == 200
    assert sandbox.far_sides["probe"].fault is Fault.DOWN

    async with client.post("/probe/v1/send/7", json=MESSAGE, headers=TOKEN) as answer:
        assert answer.status == 502


async def test_the_mail_server_is_switched_like_the_others(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    port = sandbox.mail_server.port
    assert await can_connect(port)

    async with client.put("/faults/mail", json={"fault": "down"}):
        assert not await can_connect(port)
    async with client.put("/faults/mail", json={"fault": "none"}):
        assert await can_connect(port)


async def test_the_empty_page_suggests_what_it_was_given() -> None:
    sandbox = Sandbox(ANYWHERE, examples=["curl -d message=Hello http://127.0.0.1:8080/api/send/alerts"])
    await sandbox.start()
    try:
        async with aiohttp.ClientSession(sandbox.url) as client, client.get("/") as page:
            assert "curl -d message=Hello http://127.0.0.1:8080/api/send/alerts" in await page.text()
    finally:
        await sandbox.stop()


async def test_the_address_is_known_only_while_it_runs() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = Sandbox(ANYWHERE).url


async def test_stopping_does_not_wait_for_open_pages() -> None:
    sandbox = Sandbox(ANYWHERE)
    await sandbox.start()
    async with aiohttp.ClientSession(sandbox.url) as client, client.get("/events") as page:
        await page.content.readline()
        async with asyncio.timeout(0.5):
            await sandbox.stop()


async def test_stopping_does_not_wait_for_a_slow_far_side() -> None:
    sandbox = Sandbox(ANYWHERE)
    await sandbox.start()
    far_side = sandbox.far_sides["probe"]
    far_side.slow_seconds = 60
    await far_side.set_fault(Fault.SLOW)
    async with aiohttp.ClientSession(sandbox.url) as client:
        sending = asyncio.create_task(client.post("/probe/v1/send/7", json=MESSAGE, headers=TOKEN))
        async with client.get("/faults"):  # the request above was written before this one
            pass
        async with asyncio.timeout(60):
            await sandbox.stop()
            with pytest.raises(aiohttp.ClientConnectionError):
                await sending


async def test_it_can_be_stopped_twice_and_started_again() -> None:
    sandbox = Sandbox(ANYWHERE)
    await sandbox.start()
    await sandbox.inbox.add(Arrival("mail", "a@example.test", "kept"))
    await sandbox.stop()
    await sandbox.stop()
    await sandbox.start()
    try:
        async with aiohttp.ClientSession(sandbox.url) as client, client.get("/events") as page, asyncio.timeout(60):
            while not (line := await page.content.readline()).startswith(b"data: "):
                assert line
            assert b"kept" in line
    finally:
        await sandbox.stop()


@pytest.mark.parametrize("key", ["listen", "smtp"])
async def test_a_taken_address_leaves_nothing_running(key: str) -> None:
    with taken_port() as taken, taken_port() as free:
        addresses = {"listen": Address("127.0.0.1", 0), "smtp": Address(*free.getsockname())}
        addresses |= {key: Address(*taken.getsockname())}
        if key == "listen":
            free.close()
        sandbox = Sandbox(SandboxSettings(**addresses))

        with pytest.raises(CannotListen, match=rf"^sandbox\.{key}: 127\.0\.0\.1:\d+ is in use"):
            await sandbox.start()

        with pytest.raises(RuntimeError, match="not running"):
            _ = sandbox.url
        with pytest.raises(RuntimeError, match="not running"):
            _ = sandbox.mail_server.port
