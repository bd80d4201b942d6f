"""The sandbox's source of quiz questions: it talks as Open Trivia DB does, and misbehaves when told to."""

from __future__ import annotations

import base64
import html
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, unquote_plus

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from vestnik.sandbox.far_side import Fault, Inbox
from vestnik.sandbox.quiz_questions import CATEGORIES, DOUBTFUL, QUESTIONS, Asked
from vestnik.sandbox.quiz_source import QuizSource

Client = TestClient[web.Request, web.Application]


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def source(clock: Hand) -> QuizSource:
    return QuizSource(Inbox(), pace=0, clock=clock)


@pytest.fixture
async def client(source: QuizSource) -> AsyncIterator[Client]:
    application = web.Application()
    application.add_routes(source.routes())
    async with TestClient(TestServer(application)) as client:
        yield client


async def ask(client: Client, endpoint: str = "api.php", **query: Any) -> dict[str, Any]:
    async with client.get(f"/opentdb/{endpoint}", params=query) as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


async def new_token(client: Client) -> str:
    return str((await ask(client, "api_token.php", command="request"))["token"])


def test_there_is_work_for_screening_and_for_moderators() -> None:
    assert len(QUESTIONS) >= 60
    assert len({q.text for q in QUESTIONS}) == len(QUESTIONS)
    assert {q.category for q in QUESTIONS} == set(CATEGORIES)


async def test_it_gives_as_many_questions_as_asked_for(client: Client) -> None:
    answer = await ask(client, amount=10)
    assert answer["response_code"] == 0
    assert len(answer["results"]) == 10
    for result in answer["results"]:
        assert set(result) == {"type", "difficulty", "category", "question", "correct_answer", "incorrect_answers"}


async def test_it_counts_the_questions_that_it_gave(client: Client, source: QuizSource) -> None:
    heard = 0

    def hear() -> None:
        nonlocal heard
        heard += 1

    source.on_change = hear
    await client.get("/opentdb/api.php?amount=3")
    await client.get("/opentdb/api.php?amount=51")
    assert (source.given, heard) == (3, 1)


async def test_of_ten_questions_two_or_more_wait_for_a_moderator(client: Client) -> None:
    for _ in range(20):
        texts = {html.unescape(q["question"]) for q in (await ask(client, amount=10))["results"]}
        assert len(texts) == 10
        assert sum(q.text in texts for q in DOUBTFUL) >= 2


async def test_filters_hold(client: Client) -> None:
    answer = await ask(client, amount=3, category=17, difficulty="medium", type="multiple")
    found = {(r["category"], r["difficulty"], r["type"]) for r in answer["results"]}
    assert found == {("Science &amp; Nature", "medium", "multiple")}


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"amount": "0"},
        {"amount": "51"},
        {"amount": "x"},
        {"amount": "1", "category": "8"},
        {"amount": "1", "category": "33"},
        {"amount": "1", "difficulty": "brutal"},
        {"amount": "1", "type": "essay"},
    ],
)
async def test_what_it_does_not_understand_is_code_2(client: Client, query: dict[str, str]) -> None:
    assert await ask(client, **query) == {"response_code": 2, "results": []}


async def test_it_is_all_or_nothing(client: Client) -> None:
    assert await ask(client, amount=50, category=18) == {"response_code": 1, "results": []}


@pytest.mark.parametrize(
    ("encode", "on_the_wire", "decode"),
    [
        (None, "Don&#039;t forget that &pi; = 3.14 &amp; &lt;b&gt;", html.unescape),
        ("urlLegacy", "Don%27t+forget+that+%CF%80+%3D+3.14+%26+%3Cb%3E", unquote_plus),
        ("url3986", "Don%27t%20forget%20that%20%CF%80%20%3D%203.14%20%26%20%3Cb%3E", unquote),
        (
            "base64",
            "RG9uJ3QgZm9yZ2V0IHRoYXQgz4AgPSAzLjE0ICYgPGI+",
            lambda text: base64.b64decode(text).decode(),
        ),
    ],
)
async def test_every_encoding(
    client: Client, source: QuizSource, encode: str | None, on_the_wire: str, decode: Any
) -> None:
    text = "Don't forget that π = 3.14 & <b>"
    source.questions = [Asked(17, "easy", text, text, (text,))]
    answer = await ask(client, amount=1, **({"encode": encode} if encode else {}))
    (result,) = answer["results"]
    assert result["question"] == result["correct_answer"] == result["incorrect_answers"][0] == on_the_wire
    assert {decode(result[name]) for name in ("question", "correct_answer")} == {text}
    assert decode(result["category"]) == "Science & Nature"


async def test_a_token_never_gives_a_question_twice(client: Client) -> None:
    token = await new_token(client)
    assert len(token) == 64
    seen: list[str] = []
    for _ in range(len(QUESTIONS)):
        answer = await ask(client, amount=1, token=token)
        seen += [result["question"] for result in answer["results"]]
    assert len(set(seen)) == len(QUESTIONS)
    assert await ask(client, amount=1, token=token) == {"response_code": 4, "results": []}


async def test_a_reset_token_begins_anew(client: Client, source: QuizSource) -> None:
    source.questions = QUESTIONS[:2]
    token = await new_token(client)
    await ask(client, amount=2, token=token)
    assert await ask(client, "api_token.php", command="reset", token=token) == {"response_code": 0, "token": token}
    assert (await ask(client, amount=2, token=token))["response_code"] == 0


async def test_a_token_dies_after_six_hours_without_use(client: Client, clock: Hand) -> None:
    token = await new_token(client)
    clock.now += 6 * 3600
    assert (await ask(client, amount=1, token=token))["response_code"] == 0
    clock.now += 6 * 3600 + 1
    gone = {"response_code": 3, "response_message": "Token Not Found"}
    assert await ask(client, amount=1, token=token) == gone
    assert await ask(client, "api_token.php", command="reset", token=token) == gone


async def test_it_counts(client: Client) -> None:
    counted = await ask(client, "api_count.php", category=18)
    counts = counted["category_question_count"]
    assert counted["category_id"] == 18
    assert counts["total_question_count"] == sum(q.category == 18 for q in QUESTIONS)
    assert (await ask(client, "api_count_global.php"))["overall"]["total_num_of_questions"] == len(QUESTIONS)
    categories = await ask(client, "api_category.php")
    assert categories["trivia_categories"][0] == {"id": 9, "name": "General Knowledge"}


async def test_one_request_in_five_seconds_over_all_endpoints(client: Client, source: QuizSource, clock: Hand) -> None:
    source.pace = 5.0
    await new_token(client)
    clock.now += 4.9
    async with client.get("/opentdb/api.php", params={"amount": "1"}) as response:
        assert response.status == 429
        assert await response.json() == {"response_code": 5, "response_message": "Rate Limit Exceeded"}
        assert "Retry-After" not in response.headers
    source.legacy = True
    assert (await ask(client, amount=1))["response_code"] == 5
    clock.now += 0.2
    assert (await ask(client, amount=1))["response_code"] == 0


@pytest.mark.parametrize(("fault", "status"), [(Fault.DOWN, 502), (Fault.REFUSE, 200), (Fault.RATE_LIMIT, 429)])
async def test_what_is_asked_in_vain_uses_up_no_question(
    client: Client, source: QuizSource, fault: Fault, status: int
) -> None:
    source.questions = QUESTIONS[:1]
    token = await new_token(client)
    source.fault = fault
    async with client.get("/opentdb/api.php", params={"amount": "1", "token": token}) as response:
        assert response.status == status
    source.fault = Fault.NONE
    assert (await ask(client, amount=1, token=token))["response_code"] == 0


async def test_nonsense_and_lost_answers(client: Client, source: QuizSource) -> None:
    source.fault = Fault.GARBAGE
    async with client.get("/opentdb/api.php", params={"amount": "1"}) as response:
        assert "not json" in await response.text()
    source.fault = Fault.DROP
    with pytest.raises(aiohttp.ClientError):
        await ask(client, amount=1)
