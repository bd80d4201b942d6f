"""Moderation as an administrator's program sees it: the routes in the application that the daemon builds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from kept_questions import ORIGIN, OTHER, candidate, past, take, taken
from prometheus_client import CollectorRegistry, generate_latest
from pytest_aiohttp import AiohttpClient

from vestnik.quiz import text_hash
from vestnik.quiz.api import QuestionsApi
from vestnik.quiz.intake import Intake
from vestnik.quiz.metrics import QuestionMetrics
from vestnik.quiz.model import Candidate, Question
from vestnik.quiz.schemas import MOST_IDS
from vestnik.quiz.service import Moderation
from vestnik.quiz.store import moderation, sending
from vestnik.quiz.store.moderation import PAGE
from vestnik.storage.database import Database
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, JwtSettings, Tokens
from vestnik.web.openapi import PUBLIC_PREFIXES

SECRET = "q9Yx2Lr7Zk4Wb8Nv3Tc6Hd1Jm5Pf0Sgu"
RAW: dict[str, Any] = {"incorrect": ("Rhine", "Elbe", "All of these")}


class Served:
    """The routes behind aiohttp's test client."""

    def __init__(self, client: TestClient[web.Request, web.Application], database: Database) -> None:
        self.client = client
        self.database = database

    @staticmethod
    def token(role: str = "admin") -> dict[str, str]:
        signed = Tokens(JwtSettings(), SECRET).sign(role=role, subject="test", lifetime=timedelta(minutes=5))
        return {"Authorization": f"Bearer {signed}"}

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """The status and the JSON of an answer; None for an empty one."""
        headers = self.token()
        async with self.client.request(method, path, json=body, params=query, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def listed(self, **query: str) -> list[str]:
        """The texts of all pages."""
        texts: list[str] = []
        after: dict[str, str] = {}
        while True:
            status, page = await self.ask("GET", "/questions", **query, **after)
            assert status == 200, page
            texts += [question["text"] for question in page["questions"]]
            if page["next"] is None:
                return texts
            after = {"after": page["next"]}


SWITCHES = {"lenient": {"R08": False}}


@pytest.fixture
async def served(kept: Database, aiohttp_client: AiohttpClient) -> Served:
    settings = AuthSettings()
    auth = Auth(settings, Tokens(settings.jwt, SECRET), KeyRing(kept), public_prefixes=PUBLIC_PREFIXES)
    service = Moderation(kept, switches=lambda source: SWITCHES.get(source, {}), clock=lambda: 77.0)
    client = await aiohttp_client(build_application(auth, QuestionsApi(service).routes()))
    return Served(client, kept)


async def one(served: Served, given: Candidate | None = None) -> Question:
    [question] = await taken(served.database, given or candidate())
    return question


async def on_its_way(served: Served) -> Question:
    question = await one(served)
    await served.database.write(lambda c: sending.enter_batch(c, [question.id], "batch-1"))
    return question


def problem(answer: tuple[int, Any]) -> tuple[int, str]:
    """The status and the code of an error, which has a sentence for a person as well."""
    status, body = answer
    assert body["description"]
    return status, body["code"]


# -- who may


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/questions"),
        ("POST", "/questions/approve"),
        ("POST", "/questions/reject"),
        ("GET", f"/questions/{uuid4()}"),
        ("PATCH", f"/questions/{uuid4()}"),
        ("POST", f"/questions/{uuid4()}/approve"),
        ("POST", f"/questions/{uuid4()}/reject"),
    ],
)
async def test_only_a_role_may_see_or_decide(served: Served, method: str, path: str) -> None:
    async with served.client.request(method, path, json={}) as response:
        assert response.status == 401
    async with served.client.request(method, path, json={}, headers=served.token("guest")) as response:
        assert response.status == 403


# -- GET /questions


async def test_a_question_is_shown_with_its_reasons_in_words(served: Served) -> None:
    given = candidate("Which is in space?", **RAW, category="Science", tags=("a",), explanation="So.", external_id="9")
    question = await one(served, given)
    status, page = await served.ask("GET", "/questions", status="raw")
    assert status == 200
    assert page["next"] is None
    [shown] = page["questions"]
    expected = text_hash.text_hash(question.content.text)
    assert expected is not None
    fetched_at = shown["source"].pop("fetched_at")
    assert shown == {
        "id": question.id,
        "status": "raw",
        "reasons": ["R08"],
        "findings": [
            {
                "rule": "R08-all-of-the-above",
                "description": "An option speaks of the other options, whose order will change.",
                "detail": "All of these",
            }
        ],
        "batch_id": None,
        "hash": expected.hex(),
        "hash_version": 1,
        "text": "Which is in space?",
        "type": "multiple",
        "language": "en",
        "category": "Science",
        "difficulty": None,
        "correct_answers": list(given.correct),
        "accepted_answers": [],
        "incorrect_answers": ["Rhine", "Elbe", "All of these"],
        "explanation": "So.",
        "tags": ["a"],
        "media": [],
        "source": {
            "name": "first",
            "url": ORIGIN.url,
            "external_id": "9",
            "author": None,
            "references": [],
        },
        "licence": {"spdx": "CC-BY-SA-4.0", "attribution": "First", "non_commercial": False},
    }
    assert fetched_at.endswith("Z")
    assert await served.ask("GET", f"/questions/{question.id}") == (
        200,
        shown | {"source": shown["source"] | {"fetched_at": fetched_at}},
    )


async def test_a_list_is_filtered_by_status_source_and_reason(served: Served) -> None:
    await take(served.database, candidate("Which is ready?"), candidate("Which is it not?", **RAW))
    await take(served.database, candidate("Which is there?"), candidate("Is it"), origin=OTHER)
    assert len(await served.listed()) == 4
    assert await served.listed(status="ready") == ["Which is ready?", "Which is there?"]
    assert await served.listed(source="other") == ["Which is there?", "Is it"]
    assert await served.listed(source="other", status="raw") == ["Is it"]
    assert await served.listed(reason="R08") == ["Which is it not?"]
    assert await served.listed(reason="R17-short") == ["Is it"]
    assert await served.listed(reason="R17", source="first") == []
    assert await served.listed(reason="R17", status="ready") == []
    assert await served.listed(source="nobody") == []


@pytest.mark.parametrize("query", [{}, {"status": "raw"}, {"source": "first"}, {"reason": "R08"}])
async def test_pages_follow_one_another_in_the_order_of_arrival(served: Served, query: dict[str, str]) -> None:
    given = [candidate(f"Which is number {number}?", **RAW) for number in range(7)]
    await take(served.database, *given)
    assert await served.listed(limit="3", **query) == [each.text for each in given]
    assert await served.listed(limit="7", **query) == [each.text for each in given]


async def test_a_rare_source_among_many_with_a_reason_makes_short_pages(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "_EXAMINED", 3)
    await take(served.database, *(candidate(**RAW) for _ in range(7)))
    await take(served.database, candidate("Which is the rare one?", **RAW), origin=OTHER)
    await take(served.database, *(candidate(**RAW) for _ in range(3)))
    _, page = await served.ask("GET", "/questions", reason="R08", source="other")
    assert page["questions"] == []
    assert page["next"] is not None
    assert await served.listed(reason="R08", source="other") == ["Which is the rare one?"]
    assert len(await served.listed(reason="R08", source="first", limit="2")) == 10
    answer = await bulk(served, "approve", {"filter": {"reason": "R08", "source": "other"}})
    assert answer == {"changed": 1, "skipped": {}, "more": False}


@pytest.mark.parametrize(
    "query",
    [
        {"status": "exported"},
        {"reason": "R99"},
        {"after": "x"},
        {"limit": "0"},
        {"limit": str(PAGE + 1)},
        {"limit": "many"},
        {"source": ""},
        {"page": "2"},
    ],
)
async def test_a_query_that_means_nothing_is_refused_by_field(served: Served, query: dict[str, str]) -> None:
    status, body = await served.ask("GET", "/questions", **query)
    assert (status, body["code"]) == (422, "invalid_input")
    assert set(body["errors"]) == set(query)


@pytest.mark.parametrize("id_", ["1", "%00", str(uuid4()), "х" * 36, "0" * 5000])
async def test_a_question_that_is_not_there_is_404(served: Served, id_: str) -> None:
    assert problem(await served.ask("GET", f"/questions/{id_}")) == (404, "not_found")
    assert problem(await served.ask("PATCH", f"/questions/{id_}", {"text": "Which is it?"})) == (404, "not_found")
    assert problem(await served.ask("POST", f"/questions/{id_}/approve")) == (404, "not_found")
    assert problem(await served.ask("POST", f"/questions/{id_}/reject")) == (404, "not_found")


async def test_an_id_in_capitals_is_the_same_id(served: Served) -> None:
    question = await one(served)
    assert (await served.ask("GET", f"/questions/{question.id.upper()}"))[0] == 200


# -- PATCH /questions/{id}


async def test_a_changed_question_is_screened_and_hashed_anew(served: Served) -> None:
    question = await one(served, candidate("Which is not it?", **RAW))
    change = {
        "text": "  Which river is\nnot it? ",
        "incorrect_answers": ["Rhine", "Elbe", "Oder"],
        "difficulty": "easy",
    }
    status, shown = await served.ask("PATCH", f"/questions/{question.id}", change)
    assert status == 200
    assert (shown["text"], shown["incorrect_answers"], shown["difficulty"]) == (
        "Which river is not it?",
        ["Rhine", "Elbe", "Oder"],
        "easy",
    )
    assert shown["hash"] == (text_hash.text_hash("Which river is not it?") or b"").hex() != question.hash
    # It stays raw until somebody approves it, though nothing is found any more.
    assert (shown["status"], shown["reasons"]) == ("raw", [])
    assert (await served.ask("GET", f"/questions/{question.id}"))[1] == shown


async def test_every_part_can_be_changed_and_taken_away(served: Served) -> None:
    question = await one(served)
    change = {
        "type": "open",
        "correct_answers": ["Danube"],
        "incorrect_answers": [],
        "accepted_answers": ["Donau"],
        "language": "de",
        "category": "Rivers",
        "difficulty": "hard",
        "explanation": "It is.",
        "tags": ["x"],
        "media": [{"role": "answer", "kind": "image", "url": "https://img.test/a.png"}],
    }
    status, shown = await served.ask("PATCH", f"/questions/{question.id}", change)
    assert status == 200
    assert {name: shown[name] for name in change} == change
    nothing: dict[str, Any] = {
        "category": None,
        "difficulty": None,
        "explanation": None,
        "tags": [],
        "media": [],
        "accepted_answers": [],
    }
    status, shown = await served.ask("PATCH", f"/questions/{question.id}", nothing)
    assert {name: shown[name] for name in nothing} == nothing
    assert (shown["status"], shown["reasons"]) == ("ready", [])


async def test_a_change_of_nothing_changes_nothing(served: Served) -> None:
    question = await one(served, candidate(**RAW))
    before = await served.ask("GET", f"/questions/{question.id}")
    await served.ask("POST", f"/questions/{question.id}/approve")
    status, shown = await served.ask("PATCH", f"/questions/{question.id}", {})
    assert (status, shown["status"], shown["hash"]) == (200, "ready", before[1]["hash"])


async def test_a_ready_question_becomes_raw_when_a_change_brings_something(served: Served) -> None:
    question = await one(served)
    status, shown = await served.ask("PATCH", f"/questions/{question.id}", {"language": None})
    assert (status, shown["status"], shown["reasons"]) == (200, "raw", ["R28"])


async def test_a_person_may_write_entities_and_markup(served: Served) -> None:
    question = await one(served)
    text = "What does <b>&amp;</b> show in HTML, The Language Of The Web?"
    status, shown = await served.ask("PATCH", f"/questions/{question.id}", {"text": text})
    assert (status, shown["text"], shown["reasons"]) == (200, text, [])


async def test_a_source_keeps_its_switches(served: Served) -> None:
    origin = type(ORIGIN)(name="lenient", language="en", screening=SWITCHES["lenient"])
    [question] = await taken(served.database, candidate(**RAW), origin=origin)
    status, shown = await served.ask("PATCH", f"/questions/{question.id}", {"tags": ["x"]})
    assert (status, shown["status"], shown["reasons"]) == (200, "ready", [])


async def test_a_change_to_another_questions_text_is_409(served: Served) -> None:
    first, second = await one(served, candidate("Which is the first?")), await one(served)
    for text in ("which is... the FIRST", "Which is the first?"):
        assert problem(await served.ask("PATCH", f"/questions/{second.id}", {"text": text})) == (409, "conflict")
    assert (await served.ask("PATCH", f"/questions/{first.id}", {"text": "Which is the FIRST?"}))[0] == 200


async def test_a_change_to_the_text_of_what_was_sent_or_rejected_is_409(served: Served) -> None:
    rejected, sent = await one(served, candidate("Which is gone?")), await one(served, candidate("Which was sent?"))
    await served.ask("POST", f"/questions/{rejected.id}/reject")
    await served.database.write(lambda c: sending.enter_batch(c, [sent.id], "b"))
    await served.database.write(lambda c: sending.mark_exported(c, [sent.id], "b", 1.0))
    question = await one(served)
    for text in ("Which is gone", "which was sent"):
        assert problem(await served.ask("PATCH", f"/questions/{question.id}", {"text": text})) == (409, "conflict")


async def test_what_is_on_its_way_cannot_be_changed_or_rejected(served: Served) -> None:
    question = await on_its_way(served)
    assert problem(await served.ask("PATCH", f"/questions/{question.id}", {"tags": []})) == (409, "conflict")
    assert problem(await served.ask("POST", f"/questions/{question.id}/reject")) == (409, "conflict")
    status, shown = await served.ask("GET", f"/questions/{question.id}")
    assert (status, shown["status"], shown["batch_id"]) == (200, "ready", "batch-1")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": "---"}, "text"),
        ({"text": "Who is in this picture?"}, "text"),
        ({"correct_answers": [" "]}, "correct_answers"),
    ],
)
async def test_what_screening_refuses_is_422(served: Served, change: dict[str, Any], field: str) -> None:
    question = await one(served)
    status, body = await served.ask("PATCH", f"/questions/{question.id}", change)
    assert (status, body["code"], set(body["errors"])) == (422, "invalid_input", {field})
    assert (await served.ask("GET", f"/questions/{question.id}"))[1]["text"] == question.content.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ([], "body"),
        ({"text": ""}, "text"),
        ({"text": None}, "text"),
        ({"text": 5}, "text"),
        ({"text": "x" * 1001}, "text"),
        ({"type": "essay"}, "type"),
        ({"correct_answers": []}, "correct_answers"),
        ({"correct_answers": "a"}, "correct_answers"),
        ({"incorrect_answers": ["a"] * 51}, "incorrect_answers"),
        ({"tags": [""]}, "tags.0"),
        ({"language": "english"}, "language"),
        ({"difficulty": "so-so"}, "difficulty"),
        ({"media": [{"role": "x"}]}, "media.0.role"),
        ({"status": "ready"}, "status"),
        ({"hash": "0"}, "hash"),
    ],
)
async def test_a_change_that_means_nothing_is_refused_by_field(served: Served, change: Any, field: str) -> None:
    question = await one(served)
    status, body = await served.ask("PATCH", f"/questions/{question.id}", change)
    assert (status, body["code"]) == (422, "invalid_input")
    assert field in body["errors"]


# -- approve and reject


async def test_an_approved_question_is_ready_whatever_was_found(served: Served) -> None:
    question = await one(served, candidate(**RAW))
    for _ in range(2):  # the second time changes nothing
        status, shown = await served.ask("POST", f"/questions/{question.id}/approve")
        assert (status, shown["status"], shown["reasons"], shown["findings"]) == (200, "ready", [], [])
    assert await served.database.read(sending.ready_count) == 1


async def test_of_a_rejected_question_only_the_hash_stays_and_it_never_returns(served: Served) -> None:
    question = await one(served, candidate("Which is bad?", **RAW))
    assert await served.ask("POST", f"/questions/{question.id}/reject") == (204, None)
    assert (await served.ask("GET", f"/questions/{question.id}"))[0] == 404
    assert (await served.ask("POST", f"/questions/{question.id}/reject"))[0] == 404
    [row] = await past(served.database)
    assert dict(row) == {
        "hash_version": 1,
        "hash": bytes.fromhex(question.hash),
        "source": "first",
        "exported_at": None,
        "batch_id": None,
        "rejected_at": 77.0,
    }
    assert await served.database.read(lambda c: c.execute("SELECT count(*) FROM question_reason").fetchone()[0]) == 0
    report = await take(served.database, candidate("WHICH is bad?"), origin=OTHER)
    assert report.refused_by_rule == {"R30-duplicate": 1}


# -- in bulk


async def bulk(served: Served, what: str, body: dict[str, Any]) -> Any:
    status, answer = await served.ask("POST", f"/questions/{what}", body)
    assert status == 200, answer
    return answer


async def test_many_are_approved_by_their_ids(served: Served) -> None:
    questions = await taken(served.database, *(candidate(**RAW) for _ in range(3)))
    answer = await bulk(served, "approve", {"ids": [question.id for question in questions[:2]]})
    assert answer == {"changed": 2, "skipped": {}, "more": False}
    assert len(await served.listed(status="ready")) == 2


async def test_each_is_decided_by_itself(served: Served) -> None:
    gone, busy, question = str(uuid4()), await on_its_way(served), await one(served)
    answer = await bulk(served, "reject", {"ids": [gone, busy.id, question.id]})
    assert answer["changed"] == 1
    assert set(answer["skipped"]) == {gone, busy.id}
    assert "on its way" in answer["skipped"][busy.id]
    assert await served.listed() == [busy.content.text]


async def test_many_are_decided_by_what_was_found(served: Served) -> None:
    await take(served.database, *(candidate(**RAW) for _ in range(4)), candidate("Is it"))
    answer = await bulk(served, "approve", {"filter": {"reason": "R08"}, "limit": 3})
    assert answer == {"changed": 3, "skipped": {}, "more": True}
    answer = await bulk(served, "approve", {"filter": {"status": "raw", "reason": "R08-all-of-the-above"}})
    assert answer == {"changed": 1, "skipped": {}, "more": False}
    answer = await bulk(served, "reject", {"filter": {"source": "first", "status": "raw"}})
    assert answer == {"changed": 1, "skipped": {}, "more": False}
    assert len(await served.listed(status="ready")) == 4


async def test_more_than_one_step_of_them_is_worked_off_past_those_that_cannot(served: Served) -> None:
    busy = await on_its_way(served)
    await take(served.database, *(candidate() for _ in range(250)))
    answer = await bulk(served, "reject", {"filter": {"source": "first"}})
    assert (answer["changed"], set(answer["skipped"]), answer["more"]) == (250, {busy.id}, False)
    assert await served.listed() == [busy.content.text]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": ["1"]},
        {"ids": [str(uuid4())] * (MOST_IDS + 1)},
        {"filter": {}},
        {"filter": {"status": "raw"}, "ids": [str(uuid4())]},
        {"filter": {"reason": "R99"}},
        {"filter": {"colour": "red"}},
        {"filter": {"status": "raw"}, "limit": 0},
        {"filter": {"status": "raw"}, "limit": 10_001},
        [],
        "all",
    ],
)
@pytest.mark.parametrize("what", ["approve", "reject"])
async def test_a_selection_of_nothing_or_of_everything_is_refused(served: Served, what: str, body: Any) -> None:
    question = await one(served, candidate(**RAW))
    assert problem(await served.ask("POST", f"/questions/{what}", body)) == (422, "invalid_input")
    assert (await served.ask("GET", f"/questions/{question.id}"))[1]["status"] == "raw"


# -- metrics


def exposed(registry: CollectorRegistry) -> Sequence[str]:
    return generate_latest(registry).decode().splitlines()


async def test_metrics_count_what_was_taken_and_what_is_kept(kept: Database) -> None:
    registry = CollectorRegistry()
    metrics = QuestionMetrics(registry)
    await Intake(kept, observer=metrics).take(ORIGIN, [candidate(), candidate(**RAW), candidate("&amp;")])
    await metrics.refresh(kept)
    lines = exposed(registry)
    assert 'vestnik_questions_taken_total{outcome="ready",source="first"} 1.0' in lines
    assert 'vestnik_questions_taken_total{outcome="raw",source="first"} 1.0' in lines
    assert 'vestnik_questions_taken_total{outcome="refused",source="first"} 1.0' in lines
    assert 'vestnik_questions_screened_total{effect="raw",rule="R08-all-of-the-above"} 1.0' in lines
    assert 'vestnik_questions_screened_total{effect="refuse",rule="R01-empty"} 1.0' in lines
    assert 'vestnik_questions{status="ready"} 1.0' in lines
    assert 'vestnik_questions{status="rejected"} 0.0' in lines
