"""The e-mail worker against the sandbox's mail server, with every way in which a conversation can break."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from aiosmtpd.smtp import Session as SmtpState
from pydantic import ValidationError

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.catalogue import find_worker
from vestnik.delivery.workers.email import LONGEST_TEXT, EmailWorker
from vestnik.delivery.workers.email_connections import Connections
from vestnik.delivery.workers.email_replies import Lost
from vestnik.delivery.workers.email_settings import EmailSettings
from vestnik.delivery.workers.email_transaction import Connection, Mail
from vestnik.delivery.workers.worker import Refused, Unavailable
from vestnik.sandbox.far_side import Fault, Inbox
from vestnik.sandbox.mail_server import GARBAGE, MailServer
from vestnik.sandbox.smtp_session import Phase
from vestnik.settings.values import Address

SUBJECT, TEXT = "Обед в полдень", "Щи.\n.борщ\n..\n.\nкомпот"
BEFORE_THE_DOT = [Phase.BANNER, Phase.EHLO, Phase.MAIL, Phase.RCPT, Phase.DATA]
OF_THE_MAIL = [Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT]

#: The daemon may run on either, and their transports are of different classes.
LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@asynccontextmanager
async def running(server: MailServer) -> AsyncIterator[MailServer]:
    await server.start(Address("127.0.0.1", 0))
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture(params=["one by one", "pipelining"])
async def pipelining(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the sandbox's server says that it takes several commands at once (RFC 2920); it does take them."""
    announced: bool = request.param == "pipelining"
    if announced:
        monkeypatch.setattr(f"{MailServer.__module__}._Intake.handle_EHLO", announce_pipelining, raising=False)
    return announced


async def announce_pipelining(
    _intake: object, _session: object, state: SmtpState, _envelope: object, name: str, lines: list[str]
) -> list[str]:
    state.host_name = name
    return [lines[0], "250-PIPELINING", *lines[1:]]


@pytest.fixture
async def server(pipelining: bool) -> AsyncIterator[MailServer]:
    async with running(MailServer(Inbox())) as started:
        yield started


@asynccontextmanager
async def worker_for(port: int, **params: Any) -> AsyncIterator[EmailWorker]:
    worker = EmailWorker(settings(port=port, **params), "office-mail")
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@pytest.fixture
async def worker(server: MailServer) -> AsyncIterator[EmailWorker]:
    async with worker_for(server.port) as started:
        yield started


def settings(**params: Any) -> EmailSettings:
    usual = {
        "host": "127.0.0.1",
        "tls": "none",
        "from": "Вестник <v@example.test>",
        "to": "a@example.test",
        "helo": "tests.example.test",
        "connect_timeout": "60s",
        "command_timeout": "60s",
        "final_timeout": "60s",
    }
    return EmailSettings.model_validate(usual | params)


def a_task(recipient: str = "a@example.test", **fields: Any) -> Task:
    known: dict[str, Any] = {"id": TaskId(42), "subject": SUBJECT, "text": TEXT}
    return Task(message_id=MessageId(41), channel="office-mail", recipient=recipient, **known | fields)


async def failure(worker: EmailWorker, task: Task | None = None) -> Refused | Unavailable:
    async with asyncio.timeout(60):
        with pytest.raises((Refused, Unavailable)) as caught:
            await worker.deliver(task or a_task())
    assert isinstance(caught.value, Refused | Unavailable)
    return caught.value


def assert_safe(error: Refused | Unavailable) -> None:
    assert isinstance(error, Unavailable)
    assert not error.maybe_sent
    assert not error.unauthorised
    assert error.retry_after is None


def assert_ambiguous(error: Refused | Unavailable) -> None:
    assert isinstance(error, Unavailable)
    assert error.maybe_sent


# What arrives


async def test_a_mail_arrives_with_subject_text_and_the_servers_name_for_it(
    server: MailServer, worker: EmailWorker
) -> None:
    receipt = await worker.deliver(a_task())
    (arrival,) = server.inbox.arrivals()
    assert (arrival.recipient, arrival.subject, arrival.text) == ("a@example.test", SUBJECT, TEXT)
    assert arrival.details["from"] == "Вестник <v@example.test>"
    assert arrival.details["envelope-from"] == "v@example.test"
    assert receipt == "2.0.0 Ok: queued as 000001"


@pytest.mark.parametrize(
    "text", [".", "..", "a\n.\nb", "\n\n.x\n", "x" * 5000, "From me\nFrom you", "tab\tend ", "é\r\nü\rö"]
)
async def test_dots_and_line_ends_survive_the_way(server: MailServer, worker: EmailWorker, text: str) -> None:
    await worker.deliver(a_task(text=text))
    (arrival,) = server.inbox.arrivals()
    assert arrival.text == text.replace("\r\n", "\n").replace("\r", "\n")


async def test_the_longest_text_arrives(server: MailServer, worker: EmailWorker) -> None:
    await worker.deliver(a_task(text="😀" * LONGEST_TEXT))
    assert server.inbox.arrivals()[0].text == "😀" * LONGEST_TEXT


async def test_a_message_without_a_subject_gets_that_of_the_channel(server: MailServer) -> None:
    async with worker_for(server.port, subject="News") as worker:
        await worker.deliver(a_task(subject=None))
        await worker.deliver(a_task(subject=""))
        await worker.deliver(a_task(subject="Mine"))
    assert [arrival.subject for arrival in server.inbox.arrivals()] == ["News", "News", "Mine"]


async def test_the_message_id_is_the_same_at_every_try_and_another_for_another_task(
    server: MailServer, worker: EmailWorker
) -> None:
    for task in (a_task(), a_task(attempts=2, epoch=7, ambiguous=1), a_task(id=TaskId(43)), a_task("b@example.test")):
        await worker.deliver(task)
    first, again, *others = [arrival.reference for arrival in server.inbox.arrivals()]
    assert first == again
    assert len({first, *others}) == 3


async def test_a_line_break_in_a_subject_makes_no_header(server: MailServer, worker: EmailWorker) -> None:
    for subject in ("A\r\nBcc: x@example.test", "A =?UTF-8?Q?=0A?=Bcc: x@example.test"):
        await worker.deliver(a_task(subject=subject))
    for content in server.contents:
        assert "Bcc" not in message_from_bytes(content, policy=policy.default)
    assert server.verbs.count("RCPT") == 2


# Who is asked


def test_every_recipient_is_one_once_and_in_ascii() -> None:
    worker = EmailWorker(settings(to=["a@example.test", "b@почта.РФ", "a@EXAMPLE.test"]), "office-mail")
    assert worker.recipients() == ("a@example.test", "b@xn--80a1acny.xn--p1ai")


async def test_a_recipient_that_is_no_address_is_refused_without_asking(
    server: MailServer, worker: EmailWorker
) -> None:
    for recipient in ("", "nobody", "a@b> SIZE=1", "a@b\r\nRCPT TO:<c@d>", "имя@example.test"):
        assert isinstance(await failure(worker, a_task(recipient)), Refused)
    assert server.connections == 0


async def test_a_refused_recipient_does_not_touch_the_others(
    server: MailServer, worker: EmailWorker, pipelining: bool
) -> None:
    server.script.replies = {Phase.RCPT: "550 5.1.1 nobody here"}
    assert isinstance(await failure(worker), Refused)
    server.script.replies = {}
    await worker.deliver(a_task("b@example.test"))
    assert [arrival.recipient for arrival in server.inbox.arrivals()] == ["b@example.test"]
    assert server.connections == 1
    refused = ["MAIL", "RCPT", "DATA"] if pipelining else ["MAIL", "RCPT"]
    assert server.verbs == ["EHLO", *refused, "RSET", "MAIL", "RCPT", "DATA"]


# Every phase, every way to break


@pytest.mark.parametrize("phase", OF_THE_MAIL)
async def test_a_5yz_about_the_mail_is_a_refusal(server: MailServer, worker: EmailWorker, phase: Phase) -> None:
    server.script.replies = {phase: "554 5.7.1 not\x1b[31m you"}
    error = await failure(worker)
    assert isinstance(error, Refused)
    assert error.reason.startswith("554 5.7.1 not [31m you (answer to ")
    assert server.inbox.arrivals() == []


@pytest.mark.parametrize("phase", [Phase.BANNER, Phase.EHLO])
async def test_a_5yz_before_any_mail_is_not_about_the_mail(
    server: MailServer, worker: EmailWorker, phase: Phase
) -> None:
    server.script.replies = {phase: "554 5.3.2 no service"}
    error = await failure(worker)
    assert_safe(error)
    assert "554 5.3.2 no service" in error.reason


@pytest.mark.parametrize("code", [421, 450, 451, 452])
@pytest.mark.parametrize("phase", [*BEFORE_THE_DOT, Phase.DOT])
async def test_a_4yz_is_for_later_and_nothing_was_sent(
    server: MailServer, worker: EmailWorker, phase: Phase, code: int
) -> None:
    server.script.replies = {phase: f"{code} 4.3.2 later"}
    assert_safe(await failure(worker))
    assert server.inbox.arrivals() == []


@pytest.mark.parametrize("phase", BEFORE_THE_DOT)
async def test_a_connection_lost_before_the_dot_took_nothing(
    server: MailServer, worker: EmailWorker, phase: Phase
) -> None:
    server.script.drop_at = phase
    assert_safe(await failure(worker))


@pytest.mark.parametrize("phase", BEFORE_THE_DOT)
async def test_silence_before_the_dot_is_safe(server: MailServer, phase: Phase) -> None:
    server.script.hang_at = phase
    async with worker_for(server.port, connect_timeout="200ms", command_timeout="200ms") as worker:
        error = await failure(worker)
    assert_safe(error)
    assert "within 0.2 s" in error.reason


@pytest.mark.parametrize("garbage", [GARBAGE, b"25", b"199 odd", b"700 odd", b"354 odd at all but DATA", b""])
@pytest.mark.parametrize("phase", [Phase.BANNER, Phase.EHLO, Phase.MAIL, Phase.RCPT])
async def test_garbage_before_the_dot_is_safe(
    server: MailServer, worker: EmailWorker, phase: Phase, garbage: bytes
) -> None:
    server.script.replies = {phase: garbage}
    assert_safe(await failure(worker))


@pytest.mark.parametrize("garbage", [GARBAGE, b"25", b"250 odd at DATA"])
async def test_garbage_in_answer_to_data_is_safe(server: MailServer, worker: EmailWorker, garbage: bytes) -> None:
    server.script.replies = {Phase.DATA: garbage}
    assert_safe(await failure(worker))


async def test_a_connection_lost_after_the_dot_may_have_taken_the_mail(server: MailServer, worker: EmailWorker) -> None:
    server.script.drop_at = Phase.DOT
    assert_ambiguous(await failure(worker))
    assert len(server.inbox.arrivals()) == 1


async def test_silence_after_the_dot_may_mean_that_the_mail_was_taken(server: MailServer) -> None:
    server.script.hang_at = Phase.DOT
    async with worker_for(server.port, final_timeout="200ms") as worker:
        error = await failure(worker)
    assert_ambiguous(error)
    assert "within 0.2 s" in error.reason


@pytest.mark.parametrize("garbage", [GARBAGE, b"25", b"199 odd", b"354 odd", b"700 odd", b""])
async def test_garbage_after_the_dot_may_mean_that_the_mail_was_taken(
    server: MailServer, worker: EmailWorker, garbage: bytes
) -> None:
    server.script.replies = {Phase.DOT: garbage}
    assert_ambiguous(await failure(worker))


async def test_any_2yz_after_the_dot_is_a_yes(server: MailServer, worker: EmailWorker) -> None:
    server.script.replies = {Phase.DOT: "251-taken\r\n251 and passed on"}
    assert await worker.deliver(a_task()) == "taken and passed on"


@asynccontextmanager
async def connection_to(server: MailServer, **params: Any) -> AsyncIterator[Connection]:
    connection = await Connections(settings(port=server.port, **params)).open()
    try:
        yield connection
    finally:
        connection.abort()


#: More than the system buffers on the way, so that some of it is still here when the server ends.
LARGE = Mail("v@example.test", "a@example.test", b"Subject: large\r\n\r\n" + 300_000 * (b"." * 70 + b"\r\n"))


async def test_a_large_mail_that_was_not_taken_whole_was_not_taken() -> None:
    async with running(MailServer(Inbox(), receive_buffer=4096)) as server, connection_to(server) as connection:
        server.script.drop_at = Phase.CONTENT
        with pytest.raises(Lost, match="in the middle of the mail"):
            await connection.send(LARGE)
        assert not connection.usable


async def test_a_large_mail_that_nobody_reads_was_not_taken() -> None:
    async with running(MailServer(Inbox(), receive_buffer=4096)) as server:
        server.script.hang_at = Phase.CONTENT
        async with connection_to(server, command_timeout="200ms") as connection:
            with pytest.raises(Lost, match=r"not taken within 0\.2 s"):
                await connection.send(LARGE)


async def test_a_large_mail_arrives_whole(server: MailServer) -> None:
    async with connection_to(server) as connection:
        await connection.send(LARGE)
    assert server.contents[0] == LARGE.content


async def test_a_short_text_may_be_taken_when_the_connection_is_lost_in_its_middle(
    server: MailServer, worker: EmailWorker
) -> None:
    # It left us as a whole, dot included: what became of it on the way, nobody knows.
    server.script.drop_at = Phase.CONTENT
    assert_ambiguous(await failure(worker))


@pytest.mark.parametrize("code", [530, 534, 535, 538])
@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT])
async def test_a_demand_for_a_login_pauses_the_channel_and_refuses_no_mail(
    server: MailServer, worker: EmailWorker, phase: Phase, code: int
) -> None:
    server.script.replies = {phase: f"{code} 5.7.0 Authentication required"}
    error = await failure(worker)
    assert isinstance(error, Unavailable)
    assert error.unauthorised


async def test_a_bad_sequence_of_commands_is_no_refusal_of_the_mail(server: MailServer, worker: EmailWorker) -> None:
    server.script.replies = {Phase.MAIL: "503 5.5.1 nested MAIL"}
    assert_safe(await failure(worker))


async def test_a_broken_off_delivery_leaves_no_connection_to_go_on_with(
    server: MailServer, worker: EmailWorker
) -> None:
    server.script.hang_at = Phase.DOT
    delivery = asyncio.create_task(worker.deliver(a_task()))
    async with asyncio.timeout(60):
        await server.inbox.wait_for(1)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    server.script.hang_at = None
    await worker.deliver(a_task("b@example.test"))
    assert server.connections == 2


# The faults of the sandbox


async def test_a_server_that_is_down_is_asked_later(server: MailServer, worker: EmailWorker) -> None:
    await worker.deliver(a_task())
    await server.set_fault(Fault.DOWN)
    assert_safe(await failure(worker))
    await server.set_fault(Fault.NONE)
    await worker.deliver(a_task())
    assert len(server.inbox.arrivals()) == 2


async def test_a_slow_server_gets_the_mail_through(server: MailServer, worker: EmailWorker) -> None:
    server.slow_seconds = 0.1
    await server.set_fault(Fault.SLOW)
    await worker.deliver(a_task())
    assert len(server.inbox.arrivals()) == 1


async def test_a_refusing_server_refuses(server: MailServer, worker: EmailWorker) -> None:
    await server.set_fault(Fault.REFUSE)
    error = await failure(worker)
    assert isinstance(error, Refused)
    assert "User unknown" in error.reason


async def test_a_rate_limit_is_for_later(server: MailServer, worker: EmailWorker) -> None:
    await server.set_fault(Fault.RATE_LIMIT)
    assert_safe(await failure(worker))


@pytest.mark.parametrize("fault", [Fault.GARBAGE, Fault.DROP])
async def test_garbage_and_drop_after_hand_over_are_ambiguous(
    server: MailServer, worker: EmailWorker, fault: Fault
) -> None:
    await server.set_fault(fault)
    assert_ambiguous(await failure(worker))
    assert len(server.inbox.arrivals()) == 1


async def test_a_closed_port_is_for_later() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with worker_for(taken.getsockname()[1]) as worker:
            assert_safe(await failure(worker))


async def test_a_delivery_broken_off_while_connecting_leaves_nothing_open(
    server: MailServer, worker: EmailWorker
) -> None:
    server.script.hang_at = Phase.BANNER
    delivery = asyncio.create_task(worker.deliver(a_task()))
    async with asyncio.timeout(60):
        while not server.connections:
            await asyncio.sleep(0)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    await gone(server)


async def test_a_name_nobody_knows_is_for_later() -> None:
    async with worker_for(25, host="nowhere.invalid", tls="starttls") as worker:
        assert_safe(await failure(worker))


# Kept connections


async def test_one_connection_carries_many_mails(server: MailServer, worker: EmailWorker) -> None:
    for _ in range(5):
        await worker.deliver(a_task())
    assert server.connections == 1
    assert len(server.inbox.arrivals()) == 5


async def test_there_are_as_many_connections_as_deliveries_at_once(server: MailServer, worker: EmailWorker) -> None:
    for _ in range(3):
        await asyncio.gather(*(worker.deliver(a_task()) for _ in range(4)))
    assert server.connections == 4
    assert len(server.inbox.arrivals()) == 12


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(
    server: MailServer, worker: EmailWorker
) -> None:
    await worker.deliver(a_task())
    server.cut()
    await gone(server)
    await asyncio.sleep(0.01)  # the worker's side of it tells nobody
    await worker.deliver(a_task())
    assert server.connections == 2


@pytest.mark.parametrize("phase", OF_THE_MAIL[:-1])
@pytest.mark.parametrize("end", ["drop", "421 4.4.2 idle for too long", "503 5.5.1 bad sequence", GARBAGE])
async def test_a_kept_connection_that_turns_out_stale_is_replaced_within_the_try(
    server: MailServer, worker: EmailWorker, phase: Phase, end: str | bytes
) -> None:
    await worker.deliver(a_task())
    server.script.only_connection = 1
    if end == "drop":
        server.script.drop_at = phase
    else:
        server.script.replies = {phase: end}
    await worker.deliver(a_task())
    assert server.connections == 2
    assert len(server.inbox.arrivals()) == 2


async def test_a_kept_connection_that_is_silent_is_replaced_within_the_try(server: MailServer) -> None:
    async with worker_for(server.port, command_timeout="200ms") as worker:
        await worker.deliver(a_task())
        server.script.only_connection, server.script.hang_at = 1, Phase.MAIL
        await worker.deliver(a_task())
    assert server.connections == 2


async def test_a_kept_connection_lost_after_the_dot_is_not_tried_again_by_itself(
    server: MailServer, worker: EmailWorker
) -> None:
    await worker.deliver(a_task())
    server.script.only_connection, server.script.drop_at = 1, Phase.DOT
    assert_ambiguous(await failure(worker))
    assert (server.connections, len(server.inbox.arrivals())) == (1, 2)


async def test_a_fresh_connection_that_fails_is_not_tried_again_by_itself(
    server: MailServer, worker: EmailWorker
) -> None:
    server.script.drop_at = Phase.MAIL
    assert_safe(await failure(worker))
    assert server.connections == 1


async def test_idle_connections_are_closed_in_good_order(server: MailServer) -> None:
    async with worker_for(server.port, idle_timeout="50ms") as worker:
        await worker.deliver(a_task())
        await gone(server)
        assert server.verbs[-1] == "QUIT"
        await worker.deliver(a_task())
    assert server.connections == 2


async def test_stopping_closes_what_is_kept(server: MailServer, worker: EmailWorker) -> None:
    await asyncio.gather(*(worker.deliver(a_task()) for _ in range(3)))
    await worker.stop()
    await gone(server)
    assert server.verbs.count("QUIT") == 3


async def gone(server: MailServer) -> None:
    async with asyncio.timeout(60):
        await server.idle.wait()


# TLS and login


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def certified(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(params=["starttls", "implicit"])
async def tls(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def tls_server(tls: str, context: ssl.SSLContext, **fields: Any) -> AsyncIterator[MailServer]:
    async with running(MailServer(Inbox(), tls=context, implicit_tls=tls == "implicit", **fields)) as server:
        yield server


async def test_mail_goes_over_tls(authority: trustme.CA, ca_file: Path, tls: str) -> None:
    async with tls_server(tls, certified(authority), accounts={"me": "пароль"}) as server:
        login = {"username": "me", "password": "пароль"}
        async with worker_for(server.port, tls=tls, ca_file=str(ca_file), **login) as worker:
            await worker.deliver(a_task())
            await worker.deliver(a_task(text="😀" * LONGEST_TEXT))
        assert server.connections == 1
        assert len(server.inbox.arrivals()) == 2
        assert ("STARTTLS" in server.verbs) == (tls == "starttls")


@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.DATA])
async def test_phases_are_known_under_tls_as_well(authority: trustme.CA, ca_file: Path, tls: str, phase: Phase) -> None:
    async with (
        tls_server(tls, certified(authority)) as server,
        worker_for(server.port, tls=tls, ca_file=str(ca_file)) as worker,
    ):
        server.script.drop_at = phase
        assert_safe(await failure(worker))
        server.script.drop_at = Phase.DOT
        assert_ambiguous(await failure(worker))


@pytest.mark.parametrize("name", ["other.example.test", "127.0.0.1"])
async def test_a_certificate_that_does_not_fit_is_told_and_nothing_sent(
    authority: trustme.CA, ca_file: Path, tls: str, name: str
) -> None:
    issuer = trustme.CA() if name == "127.0.0.1" else authority
    async with (
        tls_server(tls, certified(issuer, name)) as server,
        worker_for(server.port, tls=tls, ca_file=str(ca_file)) as worker,
    ):
        error = await failure(worker)
        assert "MAIL" not in server.verbs
    assert_safe(error)
    assert f"the certificate of 127.0.0.1:{server_port(error)} is not trusted" in error.reason


def server_port(error: Refused | Unavailable) -> str:
    return error.reason.partition("127.0.0.1:")[2].partition(" ")[0]


async def test_without_starttls_nothing_is_sent_in_clear(server: MailServer) -> None:
    async with worker_for(server.port, tls="starttls") as worker:
        error = await failure(worker)
    assert_safe(error)
    assert "STARTTLS" in error.reason
    assert "MAIL" not in server.verbs


async def test_plain_text_where_tls_was_wanted_is_for_later(server: MailServer) -> None:
    async with worker_for(server.port, tls="implicit") as worker:
        error = await failure(worker)
    assert_safe(error)
    assert "no TLS with" in error.reason


@pytest.mark.parametrize("break_it", ["drop", "hang", "454 4.7.0 later", "502 5.5.1 never", GARBAGE])
async def test_a_broken_starttls_is_safe(authority: trustme.CA, ca_file: Path, break_it: str | bytes) -> None:
    async with (
        tls_server("starttls", certified(authority)) as server,
        worker_for(server.port, tls="starttls", ca_file=str(ca_file), connect_timeout="300ms") as worker,
    ):
        match break_it:
            case "drop":
                server.script.drop_at = Phase.STARTTLS
            case "hang":
                server.script.hang_at = Phase.STARTTLS
            case reply:
                server.script.replies = {Phase.STARTTLS: reply}
        assert_safe(await failure(worker))


@pytest.fixture
async def guarded() -> AsyncIterator[MailServer]:
    async with running(MailServer(Inbox(), accounts={"me": "opensesame"})) as started:
        yield started


async def test_the_right_login_is_let_in(guarded: MailServer) -> None:
    async with worker_for(guarded.port, username="me", password="opensesame") as worker:
        await worker.deliver(a_task())
    assert len(guarded.inbox.arrivals()) == 1


async def test_a_wrong_login_pauses_the_channel(guarded: MailServer) -> None:
    async with worker_for(guarded.port, username="me", password="guess") as worker:
        error = await failure(worker)
    assert isinstance(error, Unavailable)
    assert error.unauthorised
    assert "535 5.7.8" in error.reason


async def test_no_login_where_one_is_wanted_pauses_the_channel(guarded: MailServer) -> None:
    async with worker_for(guarded.port) as worker:
        error = await failure(worker)
    assert isinstance(error, Unavailable)
    assert error.unauthorised


async def test_a_login_that_cannot_be_checked_just_now_is_for_later(guarded: MailServer) -> None:
    guarded.script.replies = {Phase.AUTH: "454 4.7.0 Temporary authentication failure"}
    async with worker_for(guarded.port, username="me", password="opensesame") as worker:
        assert_safe(await failure(worker))


@pytest.mark.parametrize("how", ["drop", "hang", "garbage", "not offered"])
async def test_a_login_that_breaks_off_is_for_later(guarded: MailServer, how: str) -> None:
    match how:
        case "drop":
            guarded.script.drop_at = Phase.AUTH
        case "hang":
            guarded.script.hang_at = Phase.AUTH
        case "garbage":
            guarded.script.replies = {Phase.AUTH: GARBAGE}
        case _:
            guarded.script.replies = {Phase.EHLO: "250 localhost"}
    async with worker_for(guarded.port, username="me", password="x", connect_timeout="200ms") as worker:
        assert_safe(await failure(worker))


async def test_a_server_that_repeats_the_login_does_not_put_it_into_the_reason(guarded: MailServer) -> None:
    login = "AG1lAG9wZW5zZXNhbWU="  # NUL me NUL opensesame
    guarded.script.replies = {Phase.AUTH: f"535 bad line: AUTH PLAIN {login} (opensesame)"}
    async with worker_for(guarded.port, username="me", password="opensesame") as worker:
        error = await failure(worker)
    assert "535 bad line: AUTH PLAIN *** (***)" in error.reason


# Settings and texts


def problem(**params: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        settings(**params)
    return str(caught.value)


def test_the_port_follows_from_the_kind_of_tls() -> None:
    ports = {kind: settings(tls=kind, host="mx.example.test").address[1] for kind in ("none", "starttls", "implicit")}
    assert ports == {"none": 25, "starttls": 587, "implicit": 465}
    assert settings(tls="implicit", port="1465").address == ("127.0.0.1", 1465)


def test_tls_is_starttls_unless_told_otherwise() -> None:
    written = {"host": "mx.example.test", "from": "v@example.test", "to": "a@example.test"}
    assert EmailSettings.model_validate(written).tls == "starttls"


def test_a_password_without_a_username_is_an_error() -> None:
    assert "both or neither" in problem(password="secret")


@pytest.mark.parametrize("login", [{"username": "me"}, {"username": "me", "password": ""}])
def test_a_username_without_a_password_misses_it(login: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**login)
    [error] = caught.value.errors()
    assert (error["loc"], error["type"]) == (("password",), "missing")


def test_a_subject_may_hold_whatever_a_line_can() -> None:
    settings(subject="Сервер\u00a0упал 👩\u200d🚒")


def test_a_login_in_clear_over_the_network_is_an_error() -> None:
    login = {"username": "me", "password": "secret"}
    assert "without TLS" in problem(host="mx.example.test", **login)
    for host in ("127.0.0.1", "::1", "localhost"):
        settings(host=host, **login)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("to", []),
        ("to", ["nobody"]),
        ("to", ["имя@example.test"]),
        ("to", ['"quoted name"@example.test']),
        ("to", ["a@b..c"]),
        ("to", ["a@example.test\r\nBcc: b@example.test"]),
        ("to", [f"{'a' * 65}@example.test"]),
        ("to", [f"a@{'.'.join(['b' * 63] * 4)}.test"]),
        ("from", "Vestnik"),
        ("from", {"name": "", "address": "a@b>\r\nDATA"}),
        ("from", ["v@example.test"]),
        ("from", "A\nB <v@example.test>"),
        ("from", f"{'n' * 201} <v@example.test>"),
        ("host", "a..b"),
        ("host", "mx.example.test\r\n"[:-1] + "x"),
        ("host", ""),
        ("port", 0),
        ("tls", "ssl"),
        ("helo", "a b"),
        ("password", "a\nb"),
        ("subject", "two\nlines"),
        ("subject", "two\u2028lines"),
        ("ca_file", "/nonexistent.pem"),
        ("ca_file", __file__),
        ("final_timeout", "0s"),
        ("colour", "red"),
    ],
)
def test_a_bad_setting_is_an_error_at_its_key(key: str, value: object) -> None:
    assert key in problem(**{key: value})


@pytest.mark.parametrize("text", ["", "   ", "\n\t\u2003", "a\0b", "\ud83d", "x" * (LONGEST_TEXT + 1)])
def test_a_text_that_no_mail_can_carry_is_told(worker_class: type[EmailWorker], text: str) -> None:
    assert worker_class(settings(), "office-mail").text_problem(text) == EmailWorker.text_rule


@pytest.mark.parametrize("text", ["a", " \n.", "ё" * LONGEST_TEXT])
def test_other_texts_are_taken(worker_class: type[EmailWorker], text: str) -> None:
    assert worker_class(settings(), "office-mail").text_problem(text) is None


@pytest.fixture
def worker_class() -> type[EmailWorker]:
    found = find_worker("email")
    assert issubclass(found, EmailWorker)
    return found


def test_subjects_are_taken(worker_class: type[EmailWorker]) -> None:
    assert worker_class.takes_subject


async def test_without_a_name_of_ours_the_machines_is_said(server: MailServer) -> None:
    async with worker_for(server.port, helo=None) as worker:
        await worker.deliver(a_task())
        assert server.connections == 1
