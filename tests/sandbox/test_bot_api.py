from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from vestnik.sandbox.bot_api import BotApi
from vestnik.sandbox.far_side import Fault, Inbox

TOKEN = "123456:sandbox-Token_1"
SEND = f"/telegram/bot{TOKEN}/sendMessage"
MESSAGE = {"chat_id": "42", "text": "Привет, мир!"}

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def telegram() -> BotApi:
    return BotApi(Inbox())


@pytest.fixture
async def client(telegram: BotApi) -> AsyncIterator[Client]:
    application = web.Application()
    application.add_routes(telegram.routes())
    async with TestClient(TestServer(application)) as client:
        yield client


async def send(client: Client, path: str = SEND, **parameters: Any) -> tuple[int, Any]:
    async with client.post(path, data={**MESSAGE, **parameters}) as response:
        return response.status, await response.json()


def error(code: int, description: str, **parameters: int) -> tuple[int, dict[str, Any]]:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    return code, {**body, "parameters": parameters} if parameters else body


async def test_it_takes_a_message_and_answers_with_it(client: Client, telegram: BotApi) -> None:
    status, answer = await send(client, disable_notification="true")
    result = answer.pop("result")
    assert (status, answer) == (200, {"ok": True})
    assert (result["message_id"], result["text"], type(result["date"])) == (1, "Привет, мир!", int)
    assert result["chat"] == {"id": 42, "first_name": "Somebody", "type": "private"}
    assert result["from"]["id"] == 123456
    [arrival] = telegram.inbox.arrivals()
    assert (arrival.far_side, arrival.recipient, arrival.text) == ("telegram", "42", "Привет, мир!")
    assert (arrival.reference, arrival.details) == ("1", {"bot": "123456", "disable_notification": "true"})


def multipart(fields: dict[str, str]) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GET", {"params": MESSAGE}),
        ("POST", {"params": MESSAGE}),
        ("POST", {"data": MESSAGE}),
        ("POST", {"json": MESSAGE}),
        ("POST", {"json": {**MESSAGE, "chat_id": 42}}),
        ("POST", {"data": multipart(MESSAGE)}),
        ("POST", {"params": {"chat_id": "42"}, "data": {"text": "Привет, мир!"}}),
    ],
)
async def test_parameters_come_in_every_way_the_api_knows(
    client: Client, telegram: BotApi, method: str, request_: dict[str, Any]
) -> None:
    async with client.request(method, SEND, **request_) as response:
        assert (response.status, (await response.json())["ok"]) == (200, True)
    assert [(a.recipient, a.text) for a in telegram.inbox.arrivals()] == [("42", "Привет, мир!")]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"chat_id": 42, "text": "\\ud83d"}', "[" * 100_000])
async def test_a_body_that_cannot_be_read_holds_no_text(client: Client, body: str) -> None:
    async with client.post(SEND, data=body, headers={"Content-Type": "application/json"}) as response:
        assert (response.status, await response.json()) == error(400, "Bad Request: message text is empty")


@pytest.mark.parametrize(
    ("chat", "kind"), [("42", "private"), ("-42", "group"), ("-1001234567890", "supergroup"), ("@news", "channel")]
)
async def test_an_id_tells_the_kind_of_its_chat(client: Client, chat: str, kind: str) -> None:
    _, answer = await send(client, chat_id=chat)
    assert answer["result"]["chat"]["type"] == kind


async def test_messages_are_numbered(client: Client) -> None:
    assert [(await send(client))[1]["result"]["message_id"] for _ in range(3)] == [1, 2, 3]


async def test_a_text_arrives_without_the_space_around_it(client: Client, telegram: BotApi) -> None:
    await send(client, text=" \n one\r\ntwo\x01three \t")
    assert telegram.inbox.arrivals()[0].text == "one\ntwo three"


@pytest.mark.parametrize("text", ["x" * 4096, "я" * 4096, "😀" * 2048, " " + "x" * 4096])
async def test_a_text_of_4096_code_units_is_taken(client: Client, text: str) -> None:
    assert (await send(client, text=text))[0] == 200


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({"text": ""}, "message text is empty"),
        ({"text": " \n "}, "text must be non-empty"),
        ({"text": "x" * 4097}, "message is too long"),
        ({"text": "😀" * 2048 + "!"}, "message is too long"),
        ({"text": "x" * 32769}, "text is too long"),
        ({"chat_id": ""}, "chat_id is empty"),
        ({"chat_id": "nobody"}, "chat not found"),
        ({"chat_id": "0"}, "chat not found"),
        ({"chat_id": "7"}, "chat not found"),
        ({"parse_mode": "bbcode"}, "unsupported parse_mode"),
        ({"text": "", "chat_id": ""}, "message text is empty"),
    ],
)
async def test_it_refuses_in_the_words_of_the_api(
    client: Client, telegram: BotApi, changes: dict[str, str], description: str
) -> None:
    telegram.unknown_chats.add("7")
    assert await send(client, **changes) == error(400, f"Bad Request: {description}")
    assert telegram.inbox.arrivals() == []


async def test_a_blocked_chat_is_forbidden(client: Client, telegram: BotApi) -> None:
    telegram.blocked_chats.add("42")
    assert await send(client) == error(403, "Forbidden: bot was blocked by the user")


async def test_a_migrated_group_says_its_new_id(client: Client, telegram: BotApi) -> None:
    telegram.migrated["-42"] = "-1001234567890"
    description = "Bad Request: group chat was upgraded to a supergroup chat"
    assert await send(client, chat_id="-42") == error(400, description, migrate_to_chat_id=-1001234567890)


async def test_a_revoked_token_is_unauthorised(client: Client, telegram: BotApi) -> None:
    telegram.revoked_tokens.add(TOKEN)
    assert await send(client) == error(401, "Unauthorized")


@pytest.mark.parametrize("token", ["sandbox", "0:abc", "12", "12:", f"1:{'x' * 63}"])
async def test_a_token_of_another_form_is_no_token(client: Client, token: str) -> None:
    answer = await send(client, f"/telegram/bot{token}/sendMessage")
    assert answer == error(401, "Unauthorized: invalid token specified")


async def test_get_me_tells_of_the_bot(client: Client, telegram: BotApi) -> None:
    async with client.get(f"/telegram/bot{TOKEN}/getMe") as response:
        answer = await response.json()
    assert (answer["ok"], answer["result"]["id"], answer["result"]["is_bot"]) == (True, 123456, True)
    assert telegram.inbox.arrivals() == []


async def test_the_case_of_a_method_does_not_matter(client: Client) -> None:
    assert (await send(client, f"/telegram/bot{TOKEN}/SENDmessage"))[0] == 200


async def test_other_methods_are_not_found(client: Client) -> None:
    assert await send(client, f"/telegram/bot{TOKEN}/sendPhoto") == error(404, "Not Found: method not found")


@pytest.mark.parametrize(
    ("fault", "status", "words", "taken"),
    [
        (Fault.DOWN, 502, "502 Bad Gateway", False),
        (Fault.REFUSE, 403, "Forbidden: bot was blocked by the user", False),
        (Fault.RATE_LIMIT, 429, "Too Many Requests: retry after 17", False),
        (Fault.GARBAGE, 200, "not json", True),
        (Fault.SLOW, 200, '"ok": true', True),
    ],
)
async def test_faults_answer_in_the_words_of_the_api(
    *, client: Client, telegram: BotApi, fault: Fault, status: int, words: str, taken: bool
) -> None:
    telegram.slow_seconds, telegram.retry_after = 0.01, 17
    await telegram.set_fault(fault)
    async with client.post(SEND, data=MESSAGE) as response:
        assert (response.status, words in await response.text()) == (status, True)
    assert len(telegram.inbox.arrivals()) == taken


async def test_a_rate_limit_says_how_long_in_the_body_and_in_the_header(client: Client, telegram: BotApi) -> None:
    telegram.retry_after = 17
    await telegram.set_fault(Fault.RATE_LIMIT)
    async with client.post(SEND, data=MESSAGE) as response:
        assert json.loads(await response.text())["parameters"] == {"retry_after": 17}
        assert response.headers["Retry-After"] == "17"


async def test_a_dropped_connection_still_took_the_message(client: Client, telegram: BotApi) -> None:
    await telegram.set_fault(Fault.DROP)
    with pytest.raises(aiohttp.ClientError):
        await send(client)
    async with asyncio.timeout(60):
        assert len(await telegram.inbox.wait_for(1)) == 1
