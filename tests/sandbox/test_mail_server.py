"""The sandbox's mail server, talked to by the standard library's client and by hand."""

from __future__ import annotations

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from typing import TypeVar

import pytest

from vestnik.sandbox.far_side import Fault, Inbox
from vestnik.sandbox.mail_server import MailServer
from vestnik.sandbox.smtp_session import Phase
from vestnik.settings.values import Address

T = TypeVar("T")


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    started = MailServer(Inbox())
    await started.start(Address("127.0.0.1", 0))
    yield started
    await started.stop()


def a_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Отправитель <from@example.test>"
    mail["To"] = "one@example.test, two@example.test"
    mail["Subject"] = "Привет"
    mail["Message-ID"] = "<1@example.test>"
    mail["Date"] = "Tue, 03 Feb 2026 04:05:06 +0000"
    mail.set_content("Первая строка\n.вторая\n")
    return mail


async def talk(server: MailServer, conversation: Callable[[smtplib.SMTP], T]) -> T:
    """In a thread: the server is in this one."""

    def whole() -> T:
        with smtplib.SMTP("127.0.0.1", server.port, local_hostname="tests", timeout=60) as client:
            return conversation(client)

    async with asyncio.timeout(60):
        return await asyncio.to_thread(whole)


async def send(server: MailServer, mail: EmailMessage | None = None) -> dict[str, tuple[int, bytes]]:
    return await talk(server, lambda client: client.send_message(mail or a_mail()))


async def refused_with(server: MailServer) -> int:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        await send(server)
    return int(caught.value.recipients["one@example.test"][0])


async def test_a_mail_arrives_once_for_each_recipient_decoded(server: MailServer) -> None:
    assert await send(server) == {}
    first, second = server.inbox.arrivals(far_side="mail")
    assert (first.recipient, second.recipient) == ("one@example.test", "two@example.test")
    assert first.subject == "Привет"
    assert first.text == "Первая строка\n.вторая"
    assert first.reference == "<1@example.test>"
    assert first.details == {
        "from": "Отправитель <from@example.test>",
        "envelope-from": "from@example.test",
        "date": "Tue, 03 Feb 2026 04:05:06 +0000",
    }


async def test_what_arrived_is_kept_as_it_came(server: MailServer) -> None:
    await send(server)
    (content,) = server.contents
    assert content.startswith(b"From: =?utf-8?")
    assert server.taken == 1


async def test_a_part_is_chosen_that_a_person_can_read(server: MailServer) -> None:
    mail = a_mail()
    mail.add_alternative("<p>Первая</p>", subtype="html")
    mail.add_attachment(b"\0", maintype="application", subtype="octet-stream")
    await send(server, mail)
    assert server.inbox.arrivals()[0].text.startswith("Первая строка")


async def test_a_mail_without_a_text_arrives_empty(server: MailServer) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"] = "from@example.test", "to@example.test"
    mail.set_content(b"\0", maintype="application", subtype="octet-stream")
    await send(server, mail)
    (arrival,) = server.inbox.arrivals()
    assert (arrival.text, arrival.subject) == ("", None)


@pytest.mark.parametrize(
    "content", [b"no header at all", b"Content-Type: text/plain; charset=klingon\r\n\r\nHab SoSlI'"]
)
async def test_a_mail_that_is_none_arrives_all_the_same(server: MailServer, content: bytes) -> None:
    await talk(server, lambda client: client.sendmail("a@example.test", ["b@example.test"], content))
    (arrival,) = server.inbox.arrivals()
    assert arrival.text


async def test_any_login_is_welcome_and_none_is_needed(server: MailServer) -> None:
    await talk(server, lambda client: client.login("anybody", "anything"))
    await send(server)


async def test_with_accounts_a_login_is_needed_and_must_be_right(server: MailServer) -> None:
    server.accounts = {"me": "right"}
    assert (await talk(server, lambda client: client.login("me", "right")))[0] == 235
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await talk(server, lambda client: client.login("me", "wrong"))
    with pytest.raises(smtplib.SMTPSenderRefused) as caught:
        await send(server)
    assert caught.value.smtp_code == 530


async def test_refuse_and_rate_limit_answer_each_recipient(server: MailServer) -> None:
    await server.set_fault(Fault.REFUSE)
    assert await refused_with(server) == 550
    await server.set_fault(Fault.RATE_LIMIT)
    assert await refused_with(server) == 450
    await server.set_fault(Fault.NONE)
    await send(server)
    assert len(server.inbox.arrivals()) == 2


async def test_down_closes_the_port_and_its_end_opens_the_same_one(server: MailServer) -> None:
    port = server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"220 ")
    await server.set_fault(Fault.DOWN)
    await server.set_fault(Fault.DOWN)
    with pytest.raises(ConnectionError):
        await send(server)
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()
    await server.set_fault(Fault.SLOW)
    server.slow_seconds = 0.01
    await send(server)
    assert server.port == port


async def test_a_server_can_be_started_down() -> None:
    server = MailServer(Inbox())
    await server.set_fault(Fault.DOWN)
    await server.start(Address("127.0.0.1", 0))
    with pytest.raises(ConnectionError):
        await send(server)
    await server.set_fault(Fault.NONE)
    await send(server)
    await server.stop()


async def test_slow_answers_rightly_after_its_time(server: MailServer) -> None:
    server.slow_seconds = 0.1
    await server.set_fault(Fault.SLOW)
    began = asyncio.get_running_loop().time()
    assert await send(server) == {}
    assert asyncio.get_running_loop().time() - began >= 0.1


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.GARBAGE])
async def test_drop_and_garbage_take_the_mail_first(server: MailServer, fault: Fault) -> None:
    await server.set_fault(fault)
    with pytest.raises((smtplib.SMTPException, OSError)):
        await send(server)
    assert len(server.inbox.arrivals()) == 2


async def test_a_script_can_break_one_connection_only(server: MailServer) -> None:
    server.script.replies = {Phase.MAIL: "451 not you"}
    server.script.only_connection = 2
    await send(server)
    with pytest.raises(smtplib.SMTPSenderRefused):
        await send(server)
    await send(server)
    assert server.connections == 3


async def test_a_scripted_refusal_after_the_dot_keeps_nothing(server: MailServer) -> None:
    server.script.replies = {Phase.DOT: "554 no"}
    with pytest.raises(smtplib.SMTPDataError):
        await send(server)
    assert (server.taken, server.inbox.arrivals()) == (0, [])


async def test_stop_cuts_who_is_connected_and_frees_the_port() -> None:
    server = MailServer(Inbox())
    await server.start(Address("127.0.0.1", 0))
    port = server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    await server.stop()
    async with asyncio.timeout(60):
        await server.idle.wait()
    with socket.socket() as freed:
        freed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        freed.bind(("127.0.0.1", port))
    writer.close()
    await server.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.port


async def test_a_taken_port_is_told() -> None:
    first, second = MailServer(Inbox()), MailServer(Inbox())
    await first.start(Address("127.0.0.1", 0))
    with pytest.raises(OSError, match="address already in use"):
        await second.start(Address("127.0.0.1", first.port))
    await second.stop()
    await first.stop()


async def test_the_library_keeps_quiet_in_the_log(server: MailServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await talk(server, lambda client: client.login("anybody", "anything"))
    await send(server)
    assert [record for record in caplog.records if record.name == "mail.log"] == []
