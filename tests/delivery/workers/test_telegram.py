from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from answering_server import answering, fixed
from pydantic import ValidationError

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.telegram import TelegramSettings, TelegramWorker
from vestnik.delivery.workers.worker import Refused, Unavailable
from vestnik.sandbox.bot_api import BotApi
from vestnik.sandbox.far_side import Fault, Inbox
from vestnik.settings.document import Plain

SECRET = "AAF-secret_half_of_the_token"
TOKEN = f"123456:{SECRET}"
CHAT = "-4242"
SUPERGROUP = "-1001234567890"


def task(text: str = "Hello", recipient: str = CHAT) -> Task:
    return Task(id=TaskId(7), message_id=MessageId(1), channel="alerts", recipient=recipient, text=text)


def params(api_server: str, **changes: Any) -> dict[str, Any]:
    return {"token": TOKEN, "chat_id": CHAT, "api_server": api_server, "timeout": "5s", **changes}


@asynccontextmanager
async def started(params: dict[str, Any]) -> AsyncIterator[TelegramWorker]:
    worker = TelegramWorker(TelegramSettings.model_validate(params), "alerts")
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@pytest.fixture(autouse=True)
def no_token_in_the_log(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG)
    yield
    # The access log is the test server's own.
    lines = [line for line in caplog.get_records("call") if line.name != "aiohttp.access"]
    assert not [line for line in lines if SECRET in f"{line.getMessage()} {line.exc_text}"]


async def failure(worker: TelegramWorker, sent: Task | None = None) -> Refused | Unavailable:
    """How a delivery failed; without the token in the reason."""
    async with asyncio.timeout(60):
        with pytest.raises((Refused, Unavailable)) as caught:
            await worker.deliver(sent or task())
    error = caught.value
    assert isinstance(error, Refused | Unavailable)
    assert all(form not in f"{error} {error!r} {error.reason}" for form in (SECRET, TOKEN, quote(TOKEN, safe="")))
    assert error.__cause__ is None or SECRET not in repr(error.__cause__)
    return error


async def fails(params: dict[str, Any], sent: Task | None = None) -> Refused | Unavailable:
    async with started(params) as worker:
        return await failure(worker, sent)


def marks(error: Refused | Unavailable) -> str:
    if isinstance(error, Refused):
        return "refused"
    if error.unauthorised:
        return "unauthorised"
    if error.maybe_sent:
        return "maybe sent"
    return "later" if error.retry_after is None else f"after {error.retry_after:g} s"


# The Bot API of the sandbox


@pytest.fixture
async def telegram() -> AsyncIterator[tuple[BotApi, dict[str, Any]]]:
    far_side = BotApi(Inbox())
    application = web.Application()
    application.add_routes(far_side.routes())
    async with TestServer(application) as server:
        yield far_side, params(str(server.make_url("/telegram")))


Telegram = tuple[BotApi, dict[str, Any]]

TEXTS = ["Hello", "Привет, мир!", "a & b = c + d % e # f ? {token}", "line one\nline two", "<b>*bold*</b>", "😀" * 2048]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_arrives_as_it_was_sent(telegram: Telegram, text: str) -> None:
    far_side, params = telegram
    async with started(params) as worker:
        assert await worker.deliver(task(text)) == "1"
    [arrival] = far_side.inbox.arrivals()
    assert (arrival.recipient, arrival.text, arrival.details) == (CHAT, text, {"bot": "123456"})


async def test_the_receipt_is_the_id_of_the_message(telegram: Telegram) -> None:
    async with started(telegram[1]) as worker:
        assert [await worker.deliver(task()) for _ in range(3)] == ["1", "2", "3"]


async def test_a_public_chat_goes_by_its_name(telegram: Telegram) -> None:
    far_side, params = telegram
    async with started({**params, "chat_id": "@news_of_ours"}) as worker:
        await worker.deliver(task(recipient="@news_of_ours"))
    assert far_side.inbox.arrivals()[0].recipient == "@news_of_ours"


async def test_the_extras_are_sent_when_they_are_set(telegram: Telegram) -> None:
    far_side, params = telegram
    async with started({**params, "parse_mode": "HTML", "disable_notification": "true"}) as worker:
        await worker.deliver(task())
    details = far_side.inbox.arrivals()[0].details
    assert details == {"bot": "123456", "parse_mode": "HTML", "disable_notification": "true"}


async def test_several_executors_share_a_worker(telegram: Telegram) -> None:
    async with started(telegram[1]) as worker, asyncio.timeout(60):
        receipts = await asyncio.gather(*(worker.deliver(task(f"text {n}")) for n in range(20)))
    assert sorted(map(int, filter(None, receipts))) == list(range(1, 21))


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault.DOWN, "later"),
        (Fault.REFUSE, "refused"),
        (Fault.RATE_LIMIT, "after 17 s"),
        (Fault.GARBAGE, "maybe sent"),
        (Fault.DROP, "maybe sent"),
        (Fault.SLOW, "maybe sent"),
    ],
)
async def test_every_fault_of_the_sandbox_has_its_outcome(telegram: Telegram, fault: Fault, outcome: str) -> None:
    far_side, params = telegram
    far_side.slow_seconds, far_side.retry_after = 0.2, 17
    await far_side.set_fault(fault)
    assert marks(await fails({**params, "timeout": "50ms"} if fault is Fault.SLOW else params)) == outcome


def test_no_fault_of_the_sandbox_is_left_out() -> None:
    assert set(BotApi.faults) == set(Fault)


async def test_a_slow_server_within_the_timeout_delivers(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.slow_seconds = 0.05
    await far_side.set_fault(Fault.SLOW)
    async with started(params) as worker:
        assert await worker.deliver(task()) == "1"


async def test_a_dropped_connection_sends_nothing_twice(telegram: Telegram) -> None:
    far_side, params = telegram
    await far_side.set_fault(Fault.DROP)
    await fails(params)
    assert len(far_side.inbox.arrivals()) == 1


async def test_a_server_that_comes_back_gets_the_next_try(telegram: Telegram) -> None:
    far_side, params = telegram
    async with started(params) as worker:
        for fault in (Fault.DROP, Fault.DOWN, Fault.GARBAGE):
            await far_side.set_fault(fault)
            await failure(worker)
        await far_side.set_fault(Fault.NONE)
        assert await worker.deliver(task()) is not None


async def test_a_403_means_the_recipient_is_refused(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.blocked_chats.add(CHAT)
    error = await fails(params)
    assert (marks(error), error.reason) == ("refused", "403 Forbidden: bot was blocked by the user")


async def test_an_unknown_chat_is_refused(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.unknown_chats.add(CHAT)
    error = await fails(params)
    assert (marks(error), error.reason) == ("refused", "400 Bad Request: chat not found")


async def test_a_revoked_token_is_unauthorised(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.revoked_tokens.add(TOKEN)
    error = await fails(params)
    assert (marks(error), error.reason) == ("unauthorised", "401 Unauthorized")


async def test_a_token_that_is_none_is_unauthorised(telegram: Telegram) -> None:
    assert marks(await fails({**telegram[1], "token": f"0123:{SECRET}"})) == "unauthorised"


# Groups that become supergroups


async def test_a_group_that_became_a_supergroup_gets_the_message_at_once(
    telegram: Telegram, caplog: pytest.LogCaptureFixture
) -> None:
    far_side, params = telegram
    far_side.migrated[CHAT] = SUPERGROUP
    async with started(params) as worker:
        assert await worker.deliver(task()) == "1"
        assert list(worker.recipients()) == [CHAT]
    assert [a.recipient for a in far_side.inbox.arrivals()] == [SUPERGROUP]
    [warning] = [record.msg for record in caplog.records if record.levelno == logging.WARNING]
    assert isinstance(warning, dict)
    assert (warning["channel"], warning["recipient"], warning["chat_id"]) == ("alerts", CHAT, SUPERGROUP)


async def test_the_new_number_is_remembered(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.migrated[CHAT] = SUPERGROUP
    async with started(params) as worker:
        await worker.deliver(task("first"))
        far_side.migrated.clear()
        far_side.unknown_chats.add(CHAT)
        await worker.deliver(task("second"))
    assert [(a.recipient, a.text) for a in far_side.inbox.arrivals()] == [(SUPERGROUP, "first"), (SUPERGROUP, "second")]


async def test_other_chats_do_not_move_along(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.migrated[CHAT] = SUPERGROUP
    async with started({**params, "chat_id": [CHAT, "42"]}) as worker:
        await worker.deliver(task())
        await worker.deliver(task(recipient="42"))
    assert [a.recipient for a in far_side.inbox.arrivals()] == [SUPERGROUP, "42"]


async def test_a_chat_that_moves_in_circles_is_tried_later(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.migrated.update({CHAT: SUPERGROUP, SUPERGROUP: CHAT})
    assert marks(await fails(params)) == "later"


async def test_a_supergroup_that_refuses_is_refused(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.migrated[CHAT] = SUPERGROUP
    far_side.blocked_chats.add(SUPERGROUP)
    assert marks(await fails(params)) == "refused"


# Servers that answer as a test wants


def said(code: int, description: str, **parameters: Any) -> str:
    return json.dumps({"ok": False, "error_code": code, "description": description, "parameters": parameters})


DELIVERED = '{"ok": true, "result": {"message_id": 5}}'


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (400, said(400, "Bad Request: message is too long"), "refused"),
        (400, said(400, "Bad Request: can't parse entities"), "refused"),
        (400, said(400, "Logged out"), "unauthorised"),
        (401, said(401, "Unauthorized"), "unauthorised"),
        (403, said(403, "Forbidden: bot is not a member of the channel chat"), "refused"),
        (404, said(404, "Not Found"), "unauthorised"),
        (404, said(404, "Not Found: chat not found"), "refused"),
        (409, said(409, "Conflict: terminated by other getUpdates request"), "later"),
        (413, said(413, "Request Entity Too Large"), "refused"),
        (421, said(421, "Misdirected Request: unallowed token specified"), "later"),
        (429, said(429, "Too Many Requests: retry after 17", retry_after=17), "after 17 s"),
        (429, said(429, "Too Many Requests", retry_after=10**9), "after 86400 s"),
        (429, said(429, "Too Many Requests", retry_after=10**400), "after 86400 s"),  # more than a float holds
        (429, said(429, "Too Many Requests", retry_after=-5), "after 1 s"),
        (429, said(429, "Too Many Requests"), "later"),
        (429, "slow down", "later"),
        (500, said(500, "Internal Server Error: restart"), "later"),
        (500, '{"ok": false}', "later"),
        (502, "<html>502 Bad Gateway</html>", "later"),
        (503, "", "later"),
        (504, "<html>504 Gateway Time-out</html>", "maybe sent"),
        (400, "<html>400 Bad Request</html>", "later"),
        (401, "<html>401</html>", "later"),
        (403, "<html>403 Forbidden</html>", "later"),
        (404, '{"detail": "Not Found"}', "later"),
        (400, '{"ok": false}', "refused"),
        (407, "", "later"),
        (200, "", "maybe sent"),
        (200, "<html>Welcome to the hotel's network</html>", "maybe sent"),
        (200, "[" * 30_000, "maybe sent"),
        (200, "{}", "maybe sent"),
        (200, '{"ok": true}', "maybe sent"),
        (200, '{"ok": true, "result": true}', "maybe sent"),
        (200, said(400, "Bad Request"), "later"),
        (204, "", "maybe sent"),
        (302, "", "later"),
    ],
)
async def test_answers_of_the_server(status: int, text: str, outcome: str) -> None:
    async with answering(fixed(status, text)) as url:
        error = await fails(params(url))
    assert (marks(error), str(status) in error.reason) == (outcome, True)


async def test_the_reason_of_a_rate_limit_is_in_the_words_of_the_server(telegram: Telegram) -> None:
    far_side, params = telegram
    await far_side.set_fault(Fault.RATE_LIMIT)
    assert (await fails(params)).reason == "429 Too Many Requests: retry after 5"


async def test_a_short_token_does_not_blot_out_ordinary_words(telegram: Telegram) -> None:
    far_side, params = telegram
    far_side.blocked_chats.add(CHAT)
    reason = (await fails({**params, "token": "1:a"})).reason
    assert reason == "403 Forbidden: bot was blocked by the user"


async def test_a_rate_limit_in_the_header_alone_is_kept_too() -> None:
    async with answering(fixed(429, "slow down", **{"Retry-After": "9"})) as url:
        assert marks(await fails(params(url))) == "after 9 s"


@pytest.mark.parametrize("text", [DELIVERED, '{"ok": true, "result": {"message_id": 5, "date": "new", "chat": 1}}'])
async def test_a_message_counts_as_delivered_whatever_else_the_answer_holds(text: str) -> None:
    async with answering(fixed(200, text)) as url, started(params(url)) as worker:
        assert await worker.deliver(task()) == "5"


@pytest.mark.parametrize("form", [TOKEN, SECRET, quote(TOKEN, safe=""), f"/bot{TOKEN}/sendMessage"])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500, 502])
async def test_a_server_that_repeats_the_token_does_not_get_it_into_a_reason(status: int, form: str) -> None:
    for text in (said(status, f"about {form}"), f"about {form}"):
        async with answering(fixed(status, text)) as url:
            assert "about" in (await fails(params(url))).reason  # which looks for the token itself


async def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with answering(handler) as url:
        assert marks(await fails(params(url))) == "later"
    assert seen == [f"/bot{TOKEN}/sendMessage"]


async def test_an_endless_answer_is_cut_short() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(400):
            await response.write(b" " * 65536)
        return response

    tracemalloc.start()
    try:
        async with answering(handler) as url:
            assert marks(await fails(params(url))) == "maybe sent"
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


async def test_an_answer_that_breaks_off_may_have_been_a_yes() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(DELIVERED.encode()[:20])
        assert request.transport is not None
        request.transport.close()
        return response

    async with answering(handler) as url:
        assert marks(await fails(params(url))) == "maybe sent"


async def test_only_what_is_set_is_sent() -> None:
    bodies: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.text())
        return web.Response(text=DELIVERED)

    async with answering(handler) as url, started(params(url)) as worker:
        await worker.deliver(task("a&b"))
    assert bodies == ["chat_id=-4242&text=a%26b"]


# Connections


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_refused_connection_is_safe_to_try_again() -> None:
    assert marks(await fails(params(f"http://127.0.0.1:{closed_port()}"))) == "later"


async def test_a_name_that_does_not_resolve_is_safe_to_try_again() -> None:
    assert marks(await fails(params("http://no-such-host.invalid"))) == "later"


async def test_a_connection_that_is_not_made_in_time_is_safe_to_try_again() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:  # until the kernel's queue is full and it answers no further SYN
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            error = await fails(params(f"http://127.0.0.1:{port}", timeout="200ms"))
        finally:
            for filler in fillers:
                filler.close()
    assert (marks(error), "no connection" in error.reason) == ("later", True)


async def test_a_server_that_never_answers_may_have_the_message() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await fails(params(f"http://127.0.0.1:{port}", timeout="50ms"))
        async with asyncio.timeout(60):
            await gone.wait()
    assert (marks(error), "no answer" in error.reason) == ("maybe sent", True)


async def test_a_certificate_that_nobody_signed_is_safe_to_try_again() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=context)
    try:
        error = await fails(params(f"https://127.0.0.1:{server.port}"))
    finally:
        await server.close()
    assert (marks(error), "certificate" in error.reason.lower()) == ("later", True)


async def test_a_server_without_tls_is_safe_to_try_again() -> None:
    async with answering(fixed(200, DELIVERED)) as url:
        assert marks(await fails(params(url.replace("http://", "https://")))) == "later"


async def test_stopping_closes_the_session_and_needs_no_start() -> None:
    worker = TelegramWorker(TelegramSettings.model_validate(params("http://127.0.0.1:9")), "alerts")
    await worker.stop()
    await worker.start()
    await worker.stop()
    await worker.stop()
    with pytest.raises(RuntimeError, match="before start"):
        await worker.deliver(task())


# Texts and settings


def worker_for_texts() -> TelegramWorker:
    return TelegramWorker(TelegramSettings.model_validate(params("http://127.0.0.1:9")), "alerts")


@pytest.mark.parametrize("text", ["x", "x" * 4096, "я" * 4096, "😀" * 2048, "\n x \n", "<b>", "\u200b"])
def test_texts_that_fit_are_taken(text: str) -> None:
    assert worker_for_texts().text_problem(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not blank"),
        (" \n\t\u00a0", "not blank"),
        ("a\x00b", "NUL"),
        ("half \ud83d", "surrogate"),
        ("x" * 4097, "4097"),
        ("😀" * 2048 + "!", "4097"),
        (" " * 100_000, "not blank"),
    ],
)
def test_texts_that_do_not_fit_are_refused_with_a_reason(text: str, problem: str) -> None:
    assert problem in (worker_for_texts().text_problem(text) or "")


async def test_whatever_the_worker_takes_the_server_takes(telegram: Telegram) -> None:
    async with started(telegram[1]) as worker:
        for text in ["x" * 4096, "😀" * 2048, "a\rb", "a\x07b"]:
            assert worker.text_problem(text) is None
            await worker.deliver(task(text))


async def test_a_recipient_of_an_older_configuration_is_refused() -> None:
    assert marks(await fails(params("http://127.0.0.1:9"), task(recipient="79990000001@sms"))) == "refused"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("42", ("42",)),
        (Plain("-1001234567890"), ("-1001234567890",)),
        (["42", "@news_of_ours", "42"], ("42", "@news_of_ours")),
    ],
)
def test_chats_are_one_or_many_each_once(given: Any, read: tuple[str, ...]) -> None:
    worker = TelegramWorker(TelegramSettings.model_validate({"token": TOKEN, "chat_id": given}), "alerts")
    assert tuple(worker.recipients()) == read


def test_the_defaults_are_the_public_server_plain_text_and_half_a_minute() -> None:
    settings = TelegramSettings.model_validate({"token": TOKEN, "chat_id": "42"})
    assert (settings.api_server, settings.parse_mode) == ("https://api.telegram.org", None)
    assert (settings.timeout.total_seconds(), settings.disable_notification) == (30, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"token": "123456"},
        {"token": ":abc"},
        {"token": "123456:"},
        {"token": "123456:a b"},
        {"token": "123456:a/b"},
        {"token": "123456:a\n"},
        {"token": "١٢:abc"},
        {"chat_id": []},
        {"chat_id": "news"},
        {"chat_id": "0"},
        {"chat_id": "+42"},
        {"chat_id": "1.5"},
        {"chat_id": "42\n"},
        {"chat_id": "@"},
        {"chat_id": "@no-name"},
        {"chat_id": ["42", ""]},
        {"api_server": "api.telegram.org"},
        {"api_server": "ftp://api.telegram.org"},
        {"api_server": "https://user:word@api.telegram.org"},
        {"api_server": "https://api.telegram.org/{token}"},
        {"api_server": "https://api.telegram.org?token=1"},
        {"timeout": "0"},
        {"parse_mode": "bbcode"},
        {"disable_notification": "yes"},
        {"chat": "42"},
    ],
)
def test_other_settings_are_errors_that_do_not_show_the_token(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        TelegramSettings.model_validate({"token": TOKEN, "chat_id": "42", **changes})
    assert SECRET not in str([error["msg"] for error in caught.value.errors()])


def test_a_slash_at_the_end_of_the_server_does_no_harm() -> None:
    assert TelegramSettings.model_validate(params("http://127.0.0.1:9/telegram/")).api_server.endswith("9/telegram")


def test_importing_the_worker_does_not_import_aiogram() -> None:
    code = "import sys, vestnik.delivery.workers.telegram; sys.exit('aiogram' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
