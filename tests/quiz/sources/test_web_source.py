"""APIs and sites as they are described by configuration, on the answers that their documentation shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from described import described
from sites import Answer, Site

from vestnik.quiz.model import Candidate, Media
from vestnik.quiz.sources.source import Page, Shared, Source, SourceFailed

Run = Callable[[str], Coroutine[Any, Any, list[Page]]]
KEY = "k-very-secret"


@pytest.fixture
async def run(site: Site, shared: Shared, tmp_path: Path) -> AsyncIterator[Run]:
    """All pages of one run of the source that a YAML describes; `{site}` in it is the site's URL."""
    opened: list[Source] = []

    async def pages(text: str) -> list[Page]:
        source = described(tmp_path, text.replace("{site}", site.url(""))).build(shared)
        opened.append(source)
        async with aclosing(source.pages()) as found:
            return [page async for page in found]

    yield pages
    for source in opened:
        await source.close()


def candidates(pages: list[Page]) -> list[Candidate]:
    return [candidate for page in pages for candidate in page.candidates]


SIMPLE = """
kind: json
url: "{site}/api"
mode: TIMER
interval: 60000
items: "@"
fields: {text: q, correct: a}
"""


# The shipped descriptions


TRIVIA_API = """
kind: json
url: "{site}/v2/questions?limit=50"
mode: TIMER
interval: 3600000
filters: {categories: [science, geography], difficulties: medium, types: text_choice}
items: "@"
fields:
  text: question.text
  correct: correctAnswer
  incorrect: incorrectAnswers
  category: category
  difficulty: difficulty
  tags: tags
  external_id: id
licence: CC-BY-NC-4.0
language: en
"""


async def test_the_trivia_api(site: Site, run: Run) -> None:
    answer = [
        {
            "category": "science",
            "id": "622a1c377cc59eab6f950487",
            "correctAnswer": "the making of cheese",
            "incorrectAnswers": ["the making of barrels", "methods", "methods"],
            "question": {"text": "What is Tyrosemiophilia not about?"},
            "tags": ["science"],
            "type": "text_choice",
            "difficulty": "medium",
            "regions": [],
            "isNiche": False,
        },
        {
            "category": "geography",
            "id": "623386e20161109f922aabec",
            "correctAnswer": "Tallinn\u00a0",
            "incorrectAnswers": ["Riga", "Vilnius", "Tartu"],
            "question": {"text": "Which capital city stands on the Gulf of Finland, opposite Helsinki?"},
            "tags": ["geography"],
            "type": "text_choice",
            "difficulty": None,
            "regions": [],
            "isNiche": False,
        },
    ]
    site.gives_json("/v2/questions", answer)
    first, second = candidates(await run(TRIVIA_API))
    assert first.incorrect == ("the making of barrels", "methods", "methods")
    assert (first.external_id, first.tags, first.difficulty) == ("622a1c377cc59eab6f950487", ("science",), "medium")
    assert (second.correct, second.difficulty) == (("Tallinn\u00a0",), None)
    (request,) = site.requests
    assert request.query["categories"] == "science,geography"
    assert request.query["limit"] == "50"


QUIZAPI_OLD = """
kind: json
url: "{site}/api/v1/questions?limit=20"
mode: TIMER
interval: 3600000
headers: {X-Api-Key: k-very-secret}
items: "@"
fields:
  text: question
  correct: "paired(answers, correct_answers, '_correct')[?flag=='true' && value!=null].value"
  incorrect: "paired(answers, correct_answers, '_correct')[?flag!='true' && value!=null].value"
  category: category
  difficulty: difficulty
  explanation: explanation
  tags: "tags[].name"
  external_id: id
entities: false
language: en
"""


async def test_quizapi_as_it_was(site: Site, run: Run) -> None:
    answer = {
        "id": 538,
        "question": "Choose the tag of the smallest heading?",
        "description": None,
        "answers": {
            "answer_a": "<heading>", "answer_b": "<head>", "answer_c": "<h1>", "answer_d": "<h6>",
            "answer_e": None, "answer_f": None,
        },
        "multiple_correct_answers": "false",
        "correct_answers": {
            "answer_a_correct": "false", "answer_b_correct": "false", "answer_c_correct": "false",
            "answer_d_correct": "true", "answer_e_correct": "false", "answer_f_correct": "false",
        },
        "correct_answer": "answer_a",
        "explanation": None,
        "tip": None,
        "tags": [{"name": "HTML"}],
        "category": "",
        "difficulty": "Easy",
    }  # fmt: skip
    site.gives_json("/api/v1/questions", [answer])
    (one,) = candidates(await run(QUIZAPI_OLD))
    assert one.correct == ("<h6>",)  # correct_answers are right, correct_answer is not
    assert one.incorrect == ("<heading>", "<head>", "<h1>")
    assert (one.category, one.difficulty, one.tags, one.external_id) == (None, "easy", ("HTML",), "538")
    assert site.requests[0].headers["X-Api-Key"] == KEY


async def test_quizapi_without_its_key(site: Site, run: Run) -> None:
    site.answers("/api/v1/questions", Answer('{"error":"Unauthenticated"}', 401, {"Content-Type": "application/json"}))
    with pytest.raises(SourceFailed, match="401 Unauthorized: Unauthenticated"):
        await run(QUIZAPI_OLD)


QUIZAPI_NEW = """
kind: json
url: "{site}/api/v1/questions?limit=50"
mode: TIMER
interval: 3600000
filters: {difficulty: [EASY, MEDIUM]}
headers: {Authorization: Bearer qza_live_k-very-secret}
rate: 60/min
items: data
fields:
  text: text
  type: type
  correct: "answers[?isCorrect].text"
  incorrect: "answers[?!isCorrect].text"
  category: category
  difficulty: difficulty
  explanation: explanation
  tags: tags
  external_id: id
values:
  type: {MULTIPLE_CHOICE: multiple, TRUE_FALSE: boolean, OPEN_ENDED: open}
next: meta.links.next
pages: 100
language: en
"""


def quizapi_page(number: int, next_: str | None) -> dict[str, Any]:
    question = {
        "id": f"cm3xyz{number}",
        "text": f"What is {number} + 1 in every language?",
        "type": "MULTIPLE_CHOICE",
        "difficulty": "EASY",
        "explanation": "One more.",
        "category": "Programming",
        "tags": ["fundamentals"],
        "quizId": "cm3abc123def456",
        "quizTitle": "Sums",
        "answers": [
            {"id": "ans_a", "text": str(number), "isCorrect": False},
            {"id": "ans_b", "text": str(number + 1), "isCorrect": True},
        ],
    }
    links = {"first": "/api/v1/questions?offset=0", "last": "/api/v1/questions?offset=2", "next": next_, "prev": None}
    return {"success": True, "data": [question], "meta": {"total": 3, "page": number, "links": links}}


async def test_quizapi_as_it_is_now(site: Site, run: Run) -> None:
    site.gives_json(
        "/api/v1/questions",
        quizapi_page(1, "/api/v1/questions?offset=1&limit=50"),
        quizapi_page(2, "/api/v1/questions?offset=2&limit=50"),
        quizapi_page(3, None),
    )
    pages = await run(QUIZAPI_NEW)
    found = candidates(pages)
    assert [one.external_id for one in found] == ["cm3xyz1", "cm3xyz2", "cm3xyz3"]
    assert (found[0].type, found[0].correct, found[0].incorrect) == ("multiple", ("2",), ("1",))
    assert site.asked()[1:] == ["/api/v1/questions?offset=1&limit=50", "/api/v1/questions?offset=2&limit=50"]


async def test_quizapi_when_it_is_asked_too_often(site: Site, run: Run) -> None:
    body = json.dumps({"success": False, "error": "Rate limit exceeded. Please try again later."})
    site.answers("/api/v1/questions", Answer(body, 429, {"Retry-After": "300"}))
    with pytest.raises(SourceFailed, match="429 Too Many Requests: Rate limit exceeded") as caught:
        await run(QUIZAPI_NEW)
    assert caught.value.retry_after == 300


API_NINJAS = """
kind: json
url: "{site}/v1/trivia"
mode: TIMER
interval: 3600000
filters: {category: geography, limit: 30}
headers: {X-Api-Key: k-very-secret}
items: "@"
fields: {text: question, correct: answer, category: category}
language: en
"""


async def test_api_ninjas(site: Site, run: Run) -> None:
    site.gives_json(
        "/v1/trivia", [{"category": "geography", "question": "The largest lake of Latvia", "answer": "Lubāns"}]
    )
    (one,) = candidates(await run(API_NINJAS))
    assert one == Candidate(text="The largest lake of Latvia", correct=("Lubāns",), category="geography")


async def test_api_ninjas_with_filters_that_cost(site: Site, run: Run) -> None:
    site.answers("/v1/trivia", Answer('{"message": "category is a premium filter"}', 403))
    with pytest.raises(SourceFailed, match="403 Forbidden: category is a premium filter"):
        await run(API_NINJAS)


MILLIONAIRE = """
kind: json
url: "{site}/api/millionaire.php?qType=1&count=5"
mode: CRON
schedule: "*/5 * * * *"
timezone: Europe/Moscow
params: {apikey: k-very-secret}
items: "data[] || data"
fields: {text: question, correct: "answers[0]", incorrect: "answers[1:]", external_id: id}
language: ru
"""


async def test_millionaire_with_one_question_as_with_several(site: Site, run: Run) -> None:
    question = {"question": "Какая буква первая?", "answers": ["А", "Б", "В", "Г"], "id": 123}
    site.gives_json("/api/millionaire.php", {"ok": True, "data": [question]})
    (several,) = candidates(await run(MILLIONAIRE))
    site.gives_json("/api/millionaire.php", {"state": True, "data": question})
    (one,) = candidates(await run(MILLIONAIRE))
    assert one == several
    assert (one.correct, one.incorrect) == (("А",), ("Б", "В", "Г"))


CHGK = """
kind: xml
url: "{site}/xml/random/from_2012-01-01/answers/types1/limit50"
mode: CRON
schedule: "0 4 * * *"
items: ".//question"
fields:
  text: Question
  correct: Answer
  accepted: PassCriteria
  explanation: Comments
  author: Authors
  references: Sources
  external_id: TextId
language: ru
licence: CC-BY-NC-ND-4.0
attribution: db.chgk.info
"""


def chgk_question(number: int, question: str, extra: str = "") -> str:
    return f"""<question>
<tourFileName/>
<QuestionId>{number}</QuestionId>
<Type>Ч</Type>
<TextId>letters.1-{number}</TextId>
<Question>{question}</Question>
<Answer>Буква &quot;А&quot;.</Answer>
{extra}
<Authors>Анна</Authors>
<Sources>   1. Азбука. - С. 1.
   2. https://example.org/azbuka</Sources>
<Comments/>
<Notices>
</Notices>
</question>"""


async def test_chgk_with_all_that_its_xml_has(site: Site, run: Run) -> None:
    question = "(pic: 20180047.jpg) Какая\nбуква первая?"
    document = f"""<?xml version="1.0" encoding="UTF-8"?>
<tournament>
<Id>1</Id>
<Title>Буквы</Title>
{chgk_question(1, question, "<PassCriteria>аз</PassCriteria>")}
{chgk_question(2, chr(0x1F) + "Раздатка & буквы?", "<PassCriteria> </PassCriteria>")}
<question>
</question>
</tournament>
"""
    site.answers("/xml/random/from_2012-01-01/answers/types1/limit50", Answer(document))
    first, second = candidates(await run(CHGK))
    assert first == Candidate(
        text=question,
        correct=('Буква "А".',),
        accepted=("аз",),
        author="Анна",
        references=("   1. Азбука. - С. 1.\n   2. https://example.org/azbuka",),
        external_id="letters.1-1",
    )
    assert (second.text, second.accepted) == ("\x1fРаздатка & буквы?", ())


async def test_chgk_when_nothing_is_found(site: Site, run: Run) -> None:
    path = "/xml/random/from_2012-01-01/answers/types1/limit50"
    site.answers(path, Answer('<?xml version="1.0" encoding="UTF-8"?>\n<search>\n<question>\n</question>\n</search>'))
    assert [(p.candidates, p.unreadable) for p in await run(CHGK)] == [((), ())]


ANSWERS_PAGE = """
kind: html
url: "{site}/categories/view/1/0"
mode: CRON
schedule: "0 3 * * *"
items: "tr.tooltip"
fields:
  text: "td:nth-child(2) a"
  correct: "td:nth-child(3)"
  incorrect: {select: ".q-list__quiz-answers", remove: "^Ответы для викторин:", split: ","}
  external_id: {select: "td:nth-child(2) a", attribute: href}
next: ".q-list__active-nav + a"
pages: 3
language: ru
"""


def answers_page(number: int, more: str) -> str:
    return f"""<!DOCTYPE html><html><head><meta charset="windows-1251"></head><body><table>
<tr class="tooltip"><td>{number}</td><td><a href="/q/{number}">Какая буква под номером {number}?</a>
<div class="q-list__quiz-answers">Ответы для викторин: Б, В, Г</div></td><td>А</td></tr></table>
<div><a class="q-list__active-nav">{number}</a>{more}</div></body></html>"""


async def test_a_site_is_scraped_page_by_page(site: Site, run: Run) -> None:
    for number in range(5):
        page = answers_page(number, f'<a href="/categories/view/1/{10 * (number + 1)}">{number + 1}</a>')
        site.answers(f"/categories/view/1/{10 * number}", Answer(page.encode("windows-1251")))
    found = candidates(await run(ANSWERS_PAGE))
    assert [one.text for one in found] == [f"Какая буква под номером {n}?" for n in range(3)]  # as many as pages allows
    assert (found[0].correct, found[0].incorrect, found[0].external_id) == (("А",), ("Б", "В", "Г"), "/q/0")


async def test_a_site_ends_where_there_is_no_link(site: Site, run: Run) -> None:
    site.answers("/categories/view/1/0", Answer(answers_page(0, "").encode("windows-1251")))
    assert len(candidates(await run(ANSWERS_PAGE))) == 1


# What may happen with any of them


async def test_a_web_page_in_place_of_json_is_called_one(site: Site, run: Run) -> None:
    site.answers(
        "/api", Answer("<!doctype html><title>Just a moment...</title>", headers={"Content-Type": "text/html"})
    )
    with pytest.raises(SourceFailed, match=r'it is an HTML page \("Just a moment\.\.\."\), wanted JSON'):
        await run(SIMPLE)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe{", b"[" * 500_000, b'{"data": 1}'])
async def test_nonsense_ends_the_run_with_its_reason(site: Site, run: Run, body: bytes) -> None:
    site.answers("/api", Answer(body))
    with pytest.raises(SourceFailed, match="its answer cannot be read: "):
        await run(SIMPLE.replace('items: "@"', "items: data"))


async def test_items_that_cannot_be_read_are_named(site: Site, run: Run) -> None:
    site.gives_json("/api", [{"q": "Why?", "a": "So"}, {"a": "No"}])
    (page, *_) = await run(SIMPLE)
    assert [candidate.text for candidate in page.candidates] == ["Why?"]
    assert [(one.where, one.why) for one in page.unreadable] == [("item 2", "it has no text")]
    assert page.where == site.url("/api")


async def test_numbered_pages_are_asked_for_until_one_is_empty(site: Site, run: Run) -> None:
    site.gives_json("/api", [{"q": "One?"}], [{"q": "Two?"}], [])
    pages = await run(SIMPLE + "paging: {parameter: offset, start: 0, step: 1}\n")
    assert [one.text for one in candidates(pages)] == ["One?", "Two?"]
    assert site.asked() == ["/api?offset=0", "/api?offset=1", "/api?offset=2"]


async def test_a_far_side_that_gives_the_same_page_for_ever_is_asked_twice(site: Site, run: Run) -> None:
    site.gives_json("/api", [{"q": "One?"}])
    assert len(candidates(await run(SIMPLE + "paging: {parameter: page}\n"))) == 1
    assert len(site.requests) == 2


async def test_cursors(site: Site, run: Run) -> None:
    site.gives_json("/api", {"d": [{"q": "One?"}], "c": "a&b"}, {"d": [{"q": "Two?"}], "c": None})
    text = SIMPLE.replace('items: "@"', "items: d") + "next: c\npaging: {parameter: cursor}\n"
    assert [one.text for one in candidates(await run(text))] == ["One?", "Two?"]
    assert [request.query.get("cursor") for request in site.requests] == [None, "a&b"]


async def test_keys_in_the_query_go_with_every_page_and_are_never_shown(site: Site, run: Run) -> None:
    site.gives_json("/api", {"d": [{"q": "One?"}], "n": "/api?page=2"}, {"d": [{"q": "Two?"}]})
    text = SIMPLE.replace('items: "@"', "items: d") + f"next: n\nparams: {{key: {KEY}}}\n"
    pages = await run(text)
    assert [request.query["key"] for request in site.requests] == [KEY, KEY]
    assert {page.where for page in pages} == {site.url("/api"), site.url("/api?page=2")}


async def test_a_next_page_on_another_site_ends_the_run_after_what_came(site: Site, run: Run) -> None:
    site.gives_json("/api", {"d": [{"q": "One?"}], "n": "http://169.254.169.254/latest"})
    with pytest.raises(SourceFailed, match=r"its next page is on another site, 169\.254\.169\.254"):
        await run(SIMPLE.replace('items: "@"', "items: d") + "next: n\n")


async def test_a_wrong_charset_is_seen_through_and_can_be_overruled(site: Site, run: Run) -> None:
    body = json.dumps([{"q": "Сколько?"}], ensure_ascii=False)
    site.answers("/api", Answer(body.encode(), headers={"Content-Type": "application/json; charset=iso-8859-1"}))
    (one,) = candidates(await run(SIMPLE))
    site.answers("/api", Answer(body.encode("koi8-r"), headers={"Content-Type": "application/json; charset=utf-8"}))
    (other,) = candidates(await run(SIMPLE + "encoding: koi8-r\n"))
    assert one == other == Candidate(text="Сколько?")


async def test_pictures_come_as_media(site: Site, run: Run) -> None:
    site.gives_json("/api", [{"q": "What is this?", "p": "https://x.test/1.png"}, {"q": "And this?", "p": None}])
    text = SIMPLE.replace("{text: q, correct: a}", "{text: q, image: p}")
    first, second = candidates(await run(text))
    assert first.media == (Media(role="question", kind="image", url="https://x.test/1.png"),)
    assert second.media == ()


async def test_a_source_can_run_again(site: Site, shared: Shared, tmp_path: Path) -> None:
    site.gives_json("/api", [{"q": "One?"}])
    source = described(tmp_path, SIMPLE.replace("{site}", site.url(""))).build(shared)
    for _ in range(2):
        async with aclosing(source.pages()) as pages:
            assert len(candidates([page async for page in pages])) == 1
    await source.close()


async def test_a_run_can_be_canceled_at_any_time(site: Site, run: Run) -> None:
    async def never(_request: Any) -> Any:
        await asyncio.sleep(3600)

    site.answers("/api", never)
    running = asyncio.create_task(run(SIMPLE))
    async with asyncio.timeout(60):
        while not site.requests:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
