"""The sandbox's main quiz server: whom it lets in, what it keeps, how it answers, how it misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from vestnik.sandbox.far_side import Fault, Inbox
from vestnik.sandbox.quiz_server import MOST, MainQuizServer

Client = TestClient[web.Request, web.Application]
KEY = {"Authorization": "Bearer sandbox-key"}


@pytest.fixture
def main() -> MainQuizServer:
    return MainQuizServer(Inbox())


@pytest.fixture
async def client(main: MainQuizServer) -> AsyncIterator[Client]:
    application = web.Application()
    application.add_routes(main.routes())
    async with TestClient(TestServer(application)) as client:
        yield client


def question(number: int, **changes: Any) -> dict[str, Any]:
    return {"hash": f"{number:064x}", "text": f"Question {number}?", "correct_answers": ["42"], **changes}


async def post(
    client: Client, *questions: Any, key: str = "a", query: str = "", headers: dict[str, str] = KEY
) -> tuple[int, Any]:
    body = json.dumps({"batch_id": key, "questions": questions})
    response = await client.post(f"/main/questions{query}", data=body, headers={**headers, "Idempotency-Key": key})
    text = await response.text()
    return response.status, json.loads(text) if text else None


def statuses(answer: tuple[int, Any]) -> list[str]:
    assert answer[0] == 200
    return [result["status"] for result in answer[1]["results"]]


async def test_it_takes_a_batch_and_says_what_became_of_each_question(client: Client, main: MainQuizServer) -> None:
    given = question(1, incorrect_answers=["41", "43"], category={"source": "Numbers", "canonical": None})
    status, answer = await post(client, given, question(2))
    assert status == 200
    assert answer["results"] == [
        {"index": 0, "hash": given["hash"], "status": "created"},
        {"index": 1, "hash": question(2)["hash"], "status": "created"},
    ]
    first, second = main.inbox.arrivals()
    assert (first.text, first.recipient, first.reference) == ("Question 1?", "Numbers", "a")
    assert first.details == {"hash": given["hash"], "correct_answers": "42", "incorrect_answers": "41 · 43"}
    assert second.recipient == "questions"


async def test_it_answers_with_nothing_but_a_status_when_asked_to(client: Client) -> None:
    assert await post(client, question(1), query="?answer=bare") == (200, None)


async def test_a_batch_that_comes_again_is_answered_as_before_and_kept_once(
    client: Client, main: MainQuizServer
) -> None:
    first = await post(client, question(1), question(2))
    assert await post(client, question(1), question(2)) == first
    assert (len(main.inbox.arrivals()), main.replays) == (2, 1)


async def test_a_question_in_another_batch_is_a_duplicate(client: Client, main: MainQuizServer) -> None:
    await post(client, question(1), key="a")
    assert statuses(await post(client, question(1), question(2), key="b")) == ["duplicate", "created"]
    assert len(main.inbox.arrivals()) == 2


async def test_a_server_that_knows_batches_only_takes_it_again(client: Client, main: MainQuizServer) -> None:
    main.knows_hashes = False
    await post(client, question(1), key="a")
    assert statuses(await post(client, question(1), key="b")) == ["created"]
    await post(client, question(1), key="a")
    assert len(main.inbox.arrivals()) == 2


async def test_a_known_key_with_another_body_is_refused(client: Client, main: MainQuizServer) -> None:
    await post(client, question(1))
    assert (await post(client, question(2)))[0] == 422
    assert len(main.inbox.arrivals()) == 1


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "sandbox-key"}])
async def test_without_the_key_nothing_is_taken(client: Client, main: MainQuizServer, headers: dict[str, str]) -> None:
    assert (await post(client, question(1), headers=headers))[0] == 401
    assert main.inbox.arrivals() == []


async def test_another_header_carries_the_bare_key(client: Client, main: MainQuizServer) -> None:
    main.key_header = "X-Quiz-Key"
    assert (await post(client, question(1)))[0] == 401
    assert (await post(client, question(1), headers={"X-Quiz-Key": "sandbox-key"}))[0] == 200


@pytest.mark.parametrize(
    "bad",
    [
        question(1, text="Is this [unwanted]?"),
        question(1, text=""),
        question(1, hash=7),
        question(1, correct_answers=[]),
        "no object",
    ],
)
async def test_a_bad_question_is_invalid_and_does_not_hold_the_others_up(
    client: Client, main: MainQuizServer, bad: Any
) -> None:
    assert statuses(await post(client, bad, question(2))) == ["invalid", "created"]
    assert [a.text for a in main.inbox.arrivals()] == ["Question 2?"]


async def test_where_no_results_are_answered_a_bad_question_has_the_whole_batch_refused(
    client: Client, main: MainQuizServer
) -> None:
    status, answer = await post(client, question(1, text=""), question(2), query="?answer=bare")
    assert (status, answer["code"]) == (422, "invalid_batch")
    assert main.inbox.arrivals() == []


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"questions": 5}', '{"questions": []}', "[" * 100_000])
async def test_what_is_no_batch_is_refused(client: Client, body: str) -> None:
    response = await client.post("/main/questions", data=body, headers={**KEY, "Idempotency-Key": "a"})
    assert response.status == 422


async def test_too_many_questions_and_a_missing_idempotency_key_are_refused(client: Client) -> None:
    assert (await post(client, *map(question, range(MOST + 1))))[0] == 413
    assert (await post(client, question(1), key=""))[0] == 400


@pytest.mark.parametrize(("fault", "status"), [(Fault.DOWN, 502), (Fault.REFUSE, 422), (Fault.RATE_LIMIT, 429)])
async def test_a_fault_that_says_no_takes_nothing(
    client: Client, main: MainQuizServer, fault: Fault, status: int
) -> None:
    main.fault = fault
    response = await client.post(
        "/main/questions",
        json={"batch_id": "a", "questions": [question(1)]},
        headers={**KEY, "Idempotency-Key": "a"},
    )
    assert response.status == status
    assert ("Retry-After" in response.headers) == (fault is Fault.RATE_LIMIT)
    main.fault = Fault.NONE
    assert statuses(await post(client, question(1))) == ["created"]


async def test_an_answer_lost_after_storing_is_given_when_the_batch_comes_again(
    client: Client, main: MainQuizServer
) -> None:
    main.fault = Fault.DROP
    with pytest.raises(aiohttp.ClientError):
        await post(client, question(1))
    main.fault = Fault.NONE
    assert statuses(await post(client, question(1))) == ["created"]
    assert len(main.inbox.arrivals()) == 1


async def test_nonsense_is_answered_after_storing(client: Client, main: MainQuizServer) -> None:
    main.fault = Fault.GARBAGE
    response = await client.post(
        "/main/questions",
        json={"batch_id": "a", "questions": [question(1)]},
        headers={**KEY, "Idempotency-Key": "a"},
    )
    assert "not json" in await response.text()
    assert len(main.inbox.arrivals()) == 1


async def test_a_batch_that_comes_again_too_soon_is_put_off(client: Client, main: MainQuizServer) -> None:
    main.fault, main.slow_seconds = Fault.SLOW, 0.5
    answers = await asyncio.gather(post(client, question(1)), post(client, question(1)))
    assert sorted(status for status, _ in answers) == [200, 409]
    assert len(main.inbox.arrivals()) == 1
