"""The SMS worker against a real Kannel: bearerbox, smsbox, fakesmsc as the centre (Debian: kannel, kannel-extras)."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from programs import require_program

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.sms import SmsWorker
from vestnik.delivery.workers.sms_segments import segments
from vestnik.delivery.workers.sms_settings import SmsSettings
from vestnik.delivery.workers.worker import Refused, Unavailable

pytestmark = pytest.mark.service

PHONE = "79990000001"
PASSWORD = "p&ss w/rd"
TESTS_OF_KANNEL = ["/usr/lib/kannel/test"]  # where Debian's kannel-extras has fakesmsc
PATIENCE = 60.0

CONFIGURATION = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = unused
smsbox-port = {smsbox}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
log-level = 0
access-log = {folder}/access.log

group = smsc
smsc = fake
smsc-id = fake
port = {centre}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-level = 0

group = sendsms-user
username = tester
password = "{password}"
concatenation = true
max-messages = 10
white-list-regex = "^(7|49)"
"""


@dataclass
class Centre:
    """What fakesmsc shows of the messages that reached it."""

    log: Path

    def messages(self) -> list[str]:
        return re.findall(r"Got message \d+: <(.*)>$", self.log.read_text(errors="replace"), re.MULTILINE)

    async def wait_for(self, count: int) -> list[str]:
        await until(lambda: len(self.messages()) >= count)
        return self.messages()


@dataclass
class Kannel:
    folder: Path
    url: str
    ports: dict[str, int]

    def params(self, **changes: Any) -> dict[str, Any]:
        known = {"gateway": "kannel", "username": "tester", "password": PASSWORD, "from": "Duty", "to": PHONE}
        return {**known, "url": self.url, "timeout": "10s", **changes}

    @asynccontextmanager
    async def centre(self) -> AsyncIterator[Centre]:
        program = require_program("fakesmsc", TESTS_OF_KANNEL)
        # -m 0: nothing is sent from the centre, which only listens.
        arguments = ["-H", "127.0.0.1", "-r", str(self.ports["centre"]), "-m", "0", "1 2 text unused"]
        log = self.folder / "fakesmsc.log"
        async with running(log, program, *arguments):
            await shown(self.folder / "bearerbox.log", "Fakesmsc client connected")
            yield Centre(log)


@asynccontextmanager
async def running(log: Path, program: str, *arguments: str) -> AsyncIterator[Process]:
    """A program whose output goes to a file; ended by its id."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, cwd=log.parent, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        await ended(process)


async def ended(process: Process) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.returncode is None:
            process.send_signal(number)
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                continue


async def listening(port: int, process: Process) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            assert process.returncode is None, "ended before it listened: see its log in tmp_path"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return


async def shown(log: Path, pattern: str) -> None:
    await until(lambda: re.search(pattern, log.read_text(errors="replace")) is not None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


def free_ports(*names: str) -> dict[str, int]:
    sockets = [socket.socket() for _ in names]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}
    finally:
        for each in sockets:
            each.close()


@pytest.fixture
async def kannel(tmp_path: Path) -> AsyncIterator[Kannel]:
    bearerbox, smsbox = require_program("bearerbox"), require_program("smsbox")
    ports = free_ports("admin", "smsbox", "centre", "sendsms")
    configuration = tmp_path / "kannel.conf"
    configuration.write_text(CONFIGURATION.format(**ports, folder=tmp_path, password=PASSWORD))
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(running(tmp_path / "bearerbox.log", bearerbox, str(configuration)))
        await listening(ports["smsbox"], process)
        process = await stack.enter_async_context(running(tmp_path / "smsbox.log", smsbox, str(configuration)))
        await listening(ports["sendsms"], process)
        yield Kannel(tmp_path, f"http://127.0.0.1:{ports['sendsms']}/cgi-bin/sendsms", ports)


@asynccontextmanager
async def started(params: dict[str, Any]) -> AsyncIterator[SmsWorker]:
    worker = SmsWorker(SmsSettings.model_validate(params), "sms")
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


def task(text: str, task_id: int = 7, recipient: str = PHONE) -> Task:
    return Task(id=TaskId(task_id), message_id=MessageId(1), channel="sms", recipient=recipient, text=text)


async def test_latin_and_cyrillic_texts_reach_the_centre(kannel: Kannel) -> None:
    async with kannel.centre() as centre, started(kannel.params()) as worker:
        await worker.deliver(task("Hello, [€] & {~} + 100%"))
        assert await centre.wait_for(1) == [f"Duty {PHONE} text Hello, [€] & {{~}} + 100%"]
        await worker.deliver(task("Привет, мир!"))
        sender, phone, kind, encoded = (await centre.wait_for(2))[1].split(" ")
    assert (sender, phone, kind) == ("Duty", PHONE, "ucs-2")
    assert unquote_to_bytes(encoded.replace("+", " ")).decode("utf-16-be") == "Привет, мир!"


async def test_the_task_stands_in_kannels_access_log(kannel: Kannel) -> None:
    async with kannel.centre() as centre, started(kannel.params()) as worker:
        await worker.deliver(task("Hello", task_id=123456789012))
        await centre.wait_for(1)
        await shown(kannel.folder / "access.log", r"\[ACT:vestnik-123456789012\]")


async def test_kannel_splits_into_as_many_segments_as_counted(kannel: Kannel) -> None:
    texts = ["a" * 160, "a" * 161, "a" * 307, "€" * 80, "€" * 81, "a" * 152 + "€" + "a" * 152, "я" * 70, "я" * 135]
    expected = 0
    async with kannel.centre() as centre, started(kannel.params()) as worker:
        for number, text in enumerate(texts):
            await worker.deliver(task(text, task_id=number))
            expected += segments(text)
            assert len(await centre.wait_for(expected)) == expected


async def test_a_message_is_queued_while_no_centre_is_connected_and_goes_out_later(kannel: Kannel) -> None:
    async with started(kannel.params()) as worker:
        assert await worker.deliver(task("Later")) is None
    async with kannel.centre() as centre:
        assert await centre.wait_for(1) == [f"Duty {PHONE} text Later"]


async def test_a_wrong_password_is_unauthorised(kannel: Kannel) -> None:
    async with started(kannel.params(password="wrong-password")) as worker:
        with pytest.raises(Unavailable, match="Authorization failed") as caught:
            await worker.deliver(task("Hello"))
    assert caught.value.unauthorised


async def test_a_number_outside_the_white_list_is_refused(kannel: Kannel) -> None:
    async with started(kannel.params()) as worker:
        with pytest.raises(Refused, match="denied by white"):
            await worker.deliver(task("Hello", recipient="12025550123"))


async def test_another_path_is_later_and_says_where_to_look(kannel: Kannel) -> None:
    async with started(kannel.params(url=kannel.url + "x")) as worker:
        with pytest.raises(Unavailable, match=r"Unknown request.*`url`") as caught:
            await worker.deliver(task("Hello"))
    assert not caught.value.maybe_sent
