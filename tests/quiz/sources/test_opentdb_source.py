"""Open Trivia DB's protocol, against the sandbox's source that talks as it does, and against its documented answers."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from described import described
from sites import Answer, Site

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.fetching import Fetcher
from vestnik.quiz.sources.opentdb import OpenTdbSettings, OpenTdbSource
from vestnik.quiz.sources.reader import Reader
from vestnik.quiz.sources.source import Memory, Page, Shared, Source, SourceFailed
from vestnik.quiz.store.memory import StoredMemory
from vestnik.sandbox.far_side import Fault, Inbox
from vestnik.sandbox.quiz_questions import QUESTIONS
from vestnik.sandbox.quiz_source import QuizSource
from vestnik.storage.database import Database

DESCRIBED = """
kind: opentdb
url: "{root}/opentdb"
mode: TIMER
interval: 60000
rate: 1000/s
pages: 100
"""
TOKEN = {"response_code": 0, "response_message": "Token Generated Successfully!", "token": "8112fe45"}
Build = Callable[..., Source]


@pytest.fixture
async def far(request: pytest.FixtureRequest) -> AsyncIterator[QuizSource]:
    source = QuizSource(Inbox(), pace=0)
    application = web.Application()
    application.add_routes(source.routes())
    server = TestServer(application)
    await server.start_server()
    request.node.root_of_far = str(server.make_url("/")).rstrip("/")
    yield source
    await server.close()


@pytest.fixture
async def build(request: pytest.FixtureRequest, shared: Shared, tmp_path: Path) -> AsyncIterator[Build]:
    opened: list[Source] = []

    def made(
        text: str = "", root: str | None = None, memory: Memory | None = None, reader: Reader | None = None
    ) -> Source:
        given = {line.partition(":")[0]: line for line in (DESCRIBED + text).strip().split("\n")}
        root = root or request.node.root_of_far
        settings = described(tmp_path, "\n".join(given.values()).replace("{root}", root)).settings
        assert isinstance(settings, OpenTdbSettings)
        own = replace(shared, memory=memory or shared.memory, reader=reader or shared.reader)
        source = OpenTdbSource(settings, own, fetcher=Fetcher(settings, shared.paces, first_pause=0.01))
        opened.append(source)
        return source

    yield made
    for source in opened:
        await source.close()


async def run(source: Source) -> list[Page]:
    async with aclosing(source.pages()) as pages:
        return [page async for page in pages]


def texts(pages: list[Page]) -> list[str]:
    return [candidate.text for page in pages for candidate in page.candidates]


@pytest.mark.parametrize("encode", ["url3986", "urlLegacy", "base64"])
async def test_everything_is_fetched_once_to_the_last_question(far: QuizSource, build: Build, encode: str) -> None:
    found = texts(await run(build(f"encode: {encode}\n")))
    assert len(found) == len(QUESTIONS)
    assert set(found) == {question.text for question in QUESTIONS}


async def test_entities_are_left_to_screening(far: QuizSource, build: Build) -> None:
    found = texts(await run(build("encode: entities\nfilters: {category: 18}\n")))
    assert any("&ldquo;Not Found&rdquo;" in text for text in found)


async def test_the_amount_is_halved_until_it_fits(far: QuizSource, build: Build) -> None:
    far.questions = QUESTIONS[:7]
    pages = await run(build())
    assert [len(page.candidates) for page in pages] == [6, 1]


async def test_a_run_ends_after_as_many_answers_as_it_may(far: QuizSource, build: Build) -> None:
    source = build("pages: 2\namount: 10\n")
    first, second = await run(source), await run(source)
    assert [len(page.candidates) for page in first + second] == [10, 10, 10, 10]
    assert len(set(texts(first + second))) == 40


async def test_filters_are_sent(far: QuizSource, build: Build) -> None:
    pages = await run(build("filters: {category: 17, difficulty: hard, type: multiple}\n"))
    found = [candidate for page in pages for candidate in page.candidates]
    assert {(c.category, c.difficulty, c.type) for c in found} == {("Science & Nature", "hard", "multiple")}


async def test_when_all_is_fetched_one_question_is_asked_for_until_there_is_a_new_one(
    far: QuizSource, build: Build
) -> None:
    far.questions = QUESTIONS[:20]
    source = build()
    assert len(texts(await run(source))) == 20
    assert texts(await run(source)) == []
    far.questions = QUESTIONS[:40]
    assert len(texts(await run(source))) == 20


async def test_a_token_outlives_a_restart_so_that_no_question_is_fetched_again(
    far: QuizSource, build: Build, kept: Database
) -> None:
    far.questions = QUESTIONS[:20]
    lives = [build("pages: 1\namount: 10\n", memory=StoredMemory(kept)) for _ in range(2)]
    found = [text for life in lives for text in texts(await run(life))]
    assert len(found) == len(set(found)) == 20


async def test_one_that_died_while_the_daemon_was_down_is_replaced(far: QuizSource, build: Build) -> None:
    far.questions = QUESTIONS[:20]
    memory = Memory()
    await run(build(memory=memory))
    far.forget_tokens()
    assert len(texts(await run(build(memory=memory)))) == 20


async def test_other_filters_have_a_token_of_their_own(far: QuizSource, build: Build) -> None:
    memory = Memory()
    texts_of_all = texts(await run(build(memory=memory)))
    easy = texts(await run(build("filters: {difficulty: easy}\n", memory=memory)))
    assert easy
    assert set(easy) < set(texts_of_all)


async def test_a_full_disk_costs_no_run(far: QuizSource, build: Build, tmp_path: Path) -> None:
    far.questions = QUESTIONS[:20]
    closed = StoredMemory(Database(tmp_path / "closed.db"))
    source = build(memory=closed)
    assert len(texts(await run(source))) == 20
    assert texts(await run(build(memory=closed))) == []


async def test_a_token_that_died_is_replaced(far: QuizSource, build: Build) -> None:
    far.questions = QUESTIONS[:20]
    source = build()
    await run(source)
    far.forget_tokens()
    assert len(texts(await run(source))) == 20


@pytest.mark.parametrize("legacy", [False, True])
async def test_too_many_requests_are_waited_out(far: QuizSource, build: Build, legacy: bool) -> None:
    far.pace, far.legacy, far.questions = 0.3, legacy, QUESTIONS[:3]
    assert len(texts(await run(build("amount: 3\npages: 1\nrate: 10/s\n")))) == 3


async def test_one_request_at_a_time_over_all_sources_of_the_host(far: QuizSource, build: Build) -> None:
    far.pace, far.questions = 0.9, QUESTIONS[:2]
    began = time.monotonic()
    for source in (build("amount: 1\npages: 1\nrate: 1/s\n"), build("amount: 1\npages: 1\nrate: 1/s\n")):
        assert len(texts(await run(source))) == 1
    assert time.monotonic() - began >= 2  # three requests, a token for both and a question for each


async def test_filters_that_it_does_not_know_are_said_so(far: QuizSource, build: Build) -> None:
    with pytest.raises(SourceFailed, match=r"it does not understand the filters \(code 2\)"):
        await run(build("filters: {category: 99}\n"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.DOWN, r'502 Bad Gateway with an HTML page \("502 Bad Gateway"\)'),
        (Fault.GARBAGE, "it is an HTML page, wanted JSON"),
        (Fault.DROP, "broke the connection"),
        (Fault.REFUSE, "code 2"),
        (Fault.RATE_LIMIT, "429 Too Many Requests: Rate Limit Exceeded"),
    ],
)
async def test_every_fault_is_told(far: QuizSource, build: Build, fault: Fault, words: str) -> None:
    far.fault = fault
    with pytest.raises(SourceFailed, match=words):
        await run(build("rate: 100/s\n"))


def answers(site: Site, *values: Any) -> None:
    site.gives_json("/opentdb/api_token.php", TOKEN)
    site.gives_json("/opentdb/api.php", *values)


async def test_recorded_answers_are_understood_whatever_their_order_of_keys(site: Site, build: Build) -> None:
    question = {
        "category": "Geography",
        "type": "boolean",
        "difficulty": "medium",
        "question": "Iceland is an island.",
        "correct_answer": "True",
        "incorrect_answers": ["False"],
    }
    answers(site, {"results": [question], "response_code": 0}, {"response_code": 4, "results": []})
    assert texts(await run(build("", site.url("")))) == ["Iceland is an island."]
    assert site.asked()[1] == "/opentdb/api.php?amount=50&encode=url3986&token=8112fe45"


async def test_tokens_that_are_never_known_end_the_run(site: Site, build: Build) -> None:
    answers(site, {"response_code": 3, "response_message": "Token Not Found"})
    with pytest.raises(SourceFailed, match="it gives tokens and does not know them afterwards"):
        await run(build("", site.url("")))


async def test_a_far_side_that_is_never_content_with_the_pace_ends_the_run(site: Site, build: Build) -> None:
    answers(site, {"response_code": 5, "response_message": "Rate Limit Exceeded"})
    with pytest.raises(SourceFailed, match="asked too often, however long one waits"):
        await run(build("rate: 100/s\n", site.url("")))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "no response_code: is this Open Trivia DB"),
        ({"response_code": "0"}, "no response_code"),
        ({"response_code": 0}, 'wanted a list of "results"'),
        ({"response_code": 77, "response_message": "Out\nof order"}, r"it answered \(code 77: Out of order\)"),
    ],
)
async def test_what_it_never_says_is_no_crash(site: Site, build: Build, value: Any, words: str) -> None:
    answers(site, value)
    with pytest.raises(SourceFailed, match=words):
        await run(build("", site.url("")))


async def test_a_token_that_is_none_ends_the_run(site: Site, build: Build) -> None:
    site.gives_json("/opentdb/api_token.php", {"response_code": 0, "token": 5})
    with pytest.raises(SourceFailed, match="it gives no token"):
        await run(build("", site.url("")))


async def test_the_token_is_in_no_page_and_no_error(site: Site, build: Build) -> None:
    site.gives_json("/opentdb/api_token.php", TOKEN)
    question = {"question": "Why?", "correct_answer": "So"}
    good = json.dumps({"response_code": 0, "results": [question]})
    site.answers(
        "/opentdb/api.php", Answer(good), Answer("the token 8112fe45 is bad", 400, {"Content-Type": "text/plain"})
    )
    async with aclosing(build("", site.url("")).pages()) as pages:
        page = await anext(pages)
        assert page.candidates == (Candidate(text="Why?", correct=("So",)),)
        assert "8112fe45" not in page.where
        with pytest.raises(SourceFailed, match="400 Bad Request") as caught:
            await anext(pages)
        assert "8112fe45" not in str(caught.value)


async def test_an_answer_with_more_than_was_asked_for_is_refused(site: Site, build: Build) -> None:
    answers(site, {"response_code": 0, "results": [{}] * 11})
    with pytest.raises(SourceFailed, match="it has 11 questions, asked for were 10"):
        await run(build("amount: 10\n", site.url("")))


async def test_a_token_longer_than_any_url_is_none(site: Site, build: Build) -> None:
    site.gives_json("/opentdb/api_token.php", {"response_code": 0, "token": "x" * 100_000})
    with pytest.raises(SourceFailed, match="it gives no token"):
        await run(build("", site.url("")))


async def test_answers_are_read_by_the_reader_and_not_in_the_event_loop(site: Site, build: Build) -> None:
    answers(site, {"response_code": 0, "results": [{"question": "Why?", "correct_answer": "So"}]})
    impatient = Reader(patience=0)
    try:
        with pytest.raises(SourceFailed, match="its answer cannot be read: reading it took longer than 0 s"):
            await run(build("", site.url(""), reader=impatient))
    finally:
        await impatient.close()
