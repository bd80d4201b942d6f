"""What a mail server says, in which pieces and when, and what becomes of a mail by it.

Beside test_email.py, where the sandbox's server breaks at each phase: here the far side is told line by line.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop
from threaded_server import PATIENCE, Peer, Server, serving, wait, wait_politely

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.email import EmailWorker
from vestnik.delivery.workers.email_connections import Connections
from vestnik.delivery.workers.email_replies import Lost
from vestnik.delivery.workers.email_settings import EmailSettings
from vestnik.delivery.workers.email_transaction import Mail
from vestnik.delivery.workers.worker import Refused, Unavailable

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

PLAIN, PIPELINING = b"250 here", b"250-here\r\n250 PIPELINING"
MAIL = Mail("v@example.test", "a@example.test", b"Subject: x\r\n\r\n.hello\r\n")


def settings(server: Server, **params: Any) -> EmailSettings:
    usual = {
        "host": "127.0.0.1",
        "port": server.port,
        "tls": "none",
        "from": "v@example.test",
        "to": "a@example.test",
        "helo": "tests.example.test",
        "command_timeout": "5s",
        "final_timeout": "5s",
    }
    return EmailSettings.model_validate(usual | params)


@contextlib.asynccontextmanager
async def worker_for(server: Server, **params: Any) -> AsyncIterator[EmailWorker]:
    worker = EmailWorker(settings(server, **params), "mail")
    try:
        yield worker
    finally:
        await worker.stop()


def a_task(recipient: str = "a@example.test") -> Task:
    return Task(id=TaskId(1), message_id=MessageId(1), channel="mail", recipient=recipient, text="hello")


async def failure(worker: EmailWorker) -> Refused | Unavailable:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises((Refused, Unavailable)) as caught:
            await worker.deliver(a_task())
    assert isinstance(caught.value, Refused | Unavailable)
    return caught.value


# The far side


def command(peer: Peer) -> bytes:
    """The next one's verb; b"" when the client has hung up."""
    line = peer.stream.readline()
    peer.server.seen.append((peer.number, line[:4]))
    return line[:4]


def greet(peer: Peer, extensions: bytes = PLAIN) -> None:
    peer.say(b"220 hello\r\n")
    assert command(peer) == b"EHLO"
    peer.say(extensions + b"\r\n")


def text(peer: Peer) -> bytes:
    lines = b""
    while not lines.endswith(b"\r\n.\r\n"):
        line = peer.stream.readline()
        if not line:
            break
        lines += line
    return lines


def take(peer: Peer) -> None:
    """One mail, and a yes to everything but the end of it."""
    for verb, reply in ((b"MAIL", b"250 ok\r\n"), (b"RCPT", b"250 ok\r\n"), (b"DATA", b"354 go on\r\n")):
        assert command(peer) == verb
        peer.say(reply)
    text(peer)


def take_all(peer: Peer, extensions: bytes = PLAIN) -> None:
    greet(peer, extensions)
    with contextlib.suppress(AssertionError):  # another verb than MAIL: it says good-bye
        while True:
            take(peer)
            peer.say(b"250 taken\r\n")


def verbs(server: Server, connection: int) -> list[bytes]:
    return [verb for number, verb in server.seen if number == connection]


# Replies in any pieces


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("extensions", [PLAIN, PIPELINING], ids=["one by one", "pipelining"])
async def test_replies_may_come_in_any_pieces(size: int, extensions: bytes) -> None:
    def say(peer: Peer, octets: bytes) -> None:
        for at in range(0, len(octets), size):
            peer.say(octets[at : at + size])
            threading.Event().wait(0.002 if size == 1 else 0)

    def script(peer: Peer) -> None:
        greet(peer, extensions)
        for reply in (b"250-one\r\n250 ok\r\n", b"250 ok\n", b"354-go\r\n354-on\r\n354\r\n"):
            command(peer)
            say(peer, reply)
        text(peer)
        say(peer, b"250-2.0.0 taken\r\n250-\r\n250   as \tnumber 7 \r\n")

    with serving(script) as server:
        async with worker_for(server) as worker:
            assert await worker.deliver(a_task()) == "2.0.0 taken as number 7"


async def test_several_commands_go_at_once_where_the_server_lets_us() -> None:
    def script(peer: Peer) -> None:
        greet(peer, PIPELINING)
        for _ in range(2):
            assert [command(peer) for _ in range(3)] == [b"MAIL", b"RCPT", b"DATA"]  # and no answer so far
            peer.say(b"250 ok\r\n250 ok\r\n354 go on\r\n")
            text(peer)
            peer.say(b"250 taken\r\n")

    with serving(script) as server:
        async with worker_for(server) as worker:
            for _ in range(2):
                assert await worker.deliver(a_task()) == "taken"
        assert server.connections == 1


async def test_after_a_refusal_the_reset_goes_along_with_the_next_envelope() -> None:
    def script(peer: Peer) -> None:
        greet(peer, PIPELINING)
        assert [command(peer) for _ in range(3)] == [b"MAIL", b"RCPT", b"DATA"]
        peer.say(b"250 ok\r\n550 nobody\r\n503 whom to?\r\n")
        assert [command(peer) for _ in range(4)] == [b"RSET", b"MAIL", b"RCPT", b"DATA"]
        peer.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n")
        text(peer)
        peer.say(b"250 taken\r\n")

    with serving(script) as server:
        async with worker_for(server) as worker:
            assert (await failure(worker)).reason == "550 nobody (answer to RCPT)"
            assert await worker.deliver(a_task()) == "taken"


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (b"550 no\r\n503 order\r\n503 order\r\n", "550 no (answer to MAIL)"),
        (b"550 no\r\n250 ok\r\n554 no\r\n", "550 no (answer to MAIL)"),
        (b"250 ok\r\n452 full\r\n554 nobody\r\n", "452 full (answer to RCPT)"),
        (b"250 ok\r\n250 ok\r\n451 busy\r\n", "451 busy (answer to DATA)"),
    ],
)
async def test_the_first_refusal_counts_and_the_connection_goes_on(replies: bytes, reason: str) -> None:
    def script(peer: Peer) -> None:
        greet(peer, PIPELINING)
        for _ in range(3):
            command(peer)
        peer.say(replies)
        assert command(peer) == b"RSET"
        peer.say(b"250 ok\r\n")
        take(peer)
        peer.say(b"250 taken\r\n")

    with serving(script) as server:
        async with worker_for(server) as worker:
            assert (await failure(worker)).reason == reason
            assert await worker.deliver(a_task()) == "taken"
        assert server.connections == 1


@pytest.mark.parametrize(
    "rest", [b"354 go on\r\n", b"250 what?\r\n", b"\xff\xfe\r\n", b"", None], ids=["354", "250", "noise", "end", "hang"]
)
async def test_a_refusal_counts_whatever_comes_after_it_and_no_text_follows(rest: bytes | None) -> None:
    over = threading.Event()

    def script(peer: Peer) -> None:
        greet(peer, PIPELINING)
        for _ in range(3):
            command(peer)
        peer.say(b"250 ok\r\n550 nobody\r\n" + (rest or b""))
        if rest != b"":
            peer.server.seen.append((0, peer.stream.read()))
        over.set()

    with serving(script) as server:
        async with worker_for(server, command_timeout="200ms") as worker:
            error = await failure(worker)
            await wait_politely(over)
        assert (type(error), error.reason) == (Refused, "550 nobody (answer to RCPT)")
        assert [octets for number, octets in server.seen if number == 0] in ([b""], [])


# Replies that nobody asked for


def then(*steps: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """The first connection goes as told, the others take everything."""

    def script(peer: Peer) -> None:
        if peer.number > 1:
            take_all(peer)
            return
        greet(peer)
        for step in steps:
            step(peer)

    return script


def says(octets: bytes) -> Callable[[Peer], None]:
    return lambda peer: peer.say(octets)


def waits(event: threading.Event) -> Callable[[Peer], None]:
    return lambda _: wait(event)


def notes_the_rest(peer: Peer) -> None:
    peer.server.seen.append((peer.number, peer.stream.read()))


async def test_a_reply_too_many_is_not_taken_for_the_next_one() -> None:
    with serving(then(take, says(b"250 taken\r\n250 taken\r\n"), notes_the_rest)) as server:
        async with worker_for(server) as worker:
            for _ in range(2):
                assert await worker.deliver(a_task()) == "taken"
            await wait_politely(server.ended)
        assert verbs(server, 1)[4:] == [b""]
        assert server.connections == 2


async def test_a_reply_too_many_in_the_middle_is_not_taken_for_that_to_the_mail() -> None:
    def take_with_doubt(peer: Peer) -> None:
        for reply in (b"250 ok\r\n", b"250 ok\r\n250 ok\r\n"):
            command(peer)
            peer.say(reply)
        peer.read_to_the_end()

    with serving(then(take_with_doubt)) as server:
        async with worker_for(server) as worker:
            error = await failure(worker)
    assert isinstance(error, Lost)
    assert "unasked" in error.reason


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "unnoticed"])
@pytest.mark.parametrize("says_why", [True, False])
async def test_a_connection_that_was_given_up_while_idle_is_not_used(says_why: bool, noticed: bool) -> None:
    taken = threading.Event()
    farewell = says(b"421 4.4.2 idle for too long\r\n" if says_why else b"")
    with serving(then(take, says(b"250 taken\r\n"), waits(taken), farewell)) as server:
        async with worker_for(server) as worker:
            await worker.deliver(a_task())
            taken.set()
            if noticed:
                await wait_politely(server.ended)
            else:
                wait(server.ended)
            assert await worker.deliver(a_task()) == "taken"
        assert verbs(server, 1) == [b"EHLO", b"MAIL", b"RCPT", b"DATA"]
        assert server.connections == 2


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "unnoticed"])
async def test_a_connection_on_which_something_came_while_idle_is_not_used(noticed: bool) -> None:
    taken, said = threading.Event(), threading.Event()
    late = (waits(taken), says(b"250 late\r\n"), lambda _: said.set(), notes_the_rest)
    with serving(then(take, says(b"250 taken\r\n"), *late)) as server:
        async with worker_for(server) as worker:
            await worker.deliver(a_task())
            taken.set()
            if noticed:
                await wait_politely(said)
            else:
                wait(said)
            assert await worker.deliver(a_task()) == "taken"
            await wait_politely(server.ended)
        assert verbs(server, 1)[4:] in ([b""], [])  # closed with something unread in it, it is reset


async def test_a_server_that_takes_its_leave_at_the_mail_is_not_asked_again() -> None:
    with serving(then(take, says(b"421 4.3.0 closing\r\n"), notes_the_rest)) as server:
        async with worker_for(server) as worker:
            assert isinstance(await failure(worker), Lost)
            assert await worker.deliver(a_task()) == "taken"
            await wait_politely(server.ended)
        assert verbs(server, 1)[4:] in ([b""], [])  # closed with something unread in it, it is reset


async def test_a_server_that_talks_without_end_fills_no_memory_and_takes_no_mail() -> None:
    def talk(peer: Peer) -> None:
        command(peer)
        while True:
            peer.say(b"250-and another thing\r\n" * 1000)

    with serving(then(talk)) as server:
        async with worker_for(server) as worker:
            error = await failure(worker)
            assert isinstance(error, Lost)
            assert "a reply without end" in error.reason
            await wait_politely(server.ended)


async def test_a_line_without_end_is_no_reply() -> None:
    def talk(peer: Peer) -> None:
        command(peer)
        peer.say(b"250 " + b"x" * 100_000)
        peer.read_to_the_end()

    with serving(then(talk)) as server:
        async with worker_for(server) as worker:
            assert isinstance(await failure(worker), Lost)


@pytest.mark.parametrize("reply", [b"500 what?\r\n", b"450 no\r\n", b"354 go on\r\n"])
async def test_a_server_that_cannot_start_over_is_left(reply: bytes) -> None:
    def refuse(peer: Peer) -> None:
        command(peer)
        peer.say(b"550 no\r\n")
        assert command(peer) == b"RSET"
        peer.say(reply)

    with serving(then(refuse)) as server:
        async with worker_for(server) as worker:
            assert isinstance(await failure(worker), Refused)
            assert await worker.deliver(a_task()) == "taken"
        assert server.connections == 2


# The text


@contextlib.asynccontextmanager
async def connected(server: Server, **params: Any) -> AsyncIterator[Any]:
    connection = await Connections(settings(server, **params)).open()
    try:
        yield connection
    finally:
        connection.abort()


@pytest.mark.parametrize("content", [MAIL.content, b"x" * 10_000 + b"\r\n"], ids=["short", "long"])
async def test_no_text_goes_to_a_server_that_hung_up_after_asking_for_it(content: bytes) -> None:
    def ask_for_it(peer: Peer) -> None:
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
            command(peer)
            peer.say(reply)

    with serving(then(ask_for_it)) as server:
        async with connected(server) as connection:
            sending = asyncio.create_task(connection.send(Mail(MAIL.sender, MAIL.recipient, content)))
            while len(server.seen) < 4:
                await asyncio.sleep(0)
            wait(server.ended)  # 354 and the end are there, and the loop has read neither
            with pytest.raises(Lost):
                await sending
            assert not connection.usable


@pytest.mark.parametrize("size", [100, 8 << 10, 100_000])
async def test_a_text_ends_in_one_dot_however_long_it_is(size: int) -> None:
    came: list[bytes] = []

    def read(peer: Peer) -> None:
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
            command(peer)
            peer.say(reply)
        came.append(text(peer))
        peer.say(b"250 taken\r\n")
        peer.read_to_the_end()

    content = b".\r\n..\r\n" + b"x" * size + b"\r\n.x\r\n"
    with serving(then(read)) as server:
        async with connected(server) as connection:
            assert await connection.send(Mail(MAIL.sender, MAIL.recipient, content)) == "taken"
    assert came == [b"..\r\n...\r\n" + b"x" * size + b"\r\n..x\r\n.\r\n"]


@pytest.mark.parametrize(
    "envelope", [("a@b>\r\nDATA", "c@d"), ("a@b", "c@d>\r\nRCPT TO:<e@f"), ("a\0@b", "c@d"), ("a@b", "é@d")]
)
async def test_a_command_cannot_hold_another(envelope: tuple[str, str]) -> None:
    with serving(take_all) as server:
        async with connected(server) as connection:
            with pytest.raises(ValueError, match="control characters"):
                await connection.send(Mail(*envelope, MAIL.content))
            assert connection.usable
        assert verbs(server, 1) == [b"EHLO"]
