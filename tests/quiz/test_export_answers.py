"""What each answer of the main server is taken for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.delivery.workers.http_exchange import Answer
from vestnik.quiz.export.answers import Denied, Later, Refused, Taken, Verdict, judge

HASHES = ("a" * 64, "b" * 64, "c" * 64)
ALL = dict.fromkeys(range(3), "acknowledged")


def judged(status: int, body: Any = "", *, whole: bool = True, retry_after: float | None = None) -> Verdict:
    text = body if isinstance(body, str) else json.dumps(body)
    return judge(Answer(status, text, whole, retry_after), HASHES, text)


def results(*entries: Any) -> dict[str, Any]:
    return {"results": list(entries)}


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207])
def test_a_bare_2xx_takes_the_whole_batch(status: int) -> None:
    assert judged(status) == Taken(ALL, {})


YES_WORDS = ["", " \n", "OK", "ok", "True", "true", '"OK"', "201: Created", "Accepted", "success"]
YES_OBJECTS: list[dict[str, Any]] = [
    {"success": True},
    {"ok": True},
    {"status": "ok"},
    {"status": "Success", "data": {"questions": 3}},
    {"status": "accepted", "batch_id": "b", "message": "thank you"},
    {"status": "created", "success": True, "ok": True},
    {"success": True, "error": None, "errors": [], "failed": 0, "rejected": []},
]


@pytest.mark.parametrize("body", [*YES_WORDS, *YES_OBJECTS])
def test_so_does_a_2xx_that_says_yes_in_words_that_are_listed(body: Any) -> None:
    assert judged(200, body) == Taken(ALL, {})


@pytest.mark.parametrize(
    "body",
    [
        # pages: a login, a portal, a language without an exception for it
        "<!doctype html><title>Sign in</title>",
        "  <br />\n<b>Fatal error</b>",
        "<html></html>",
        # words
        "ERROR: no space left",
        "Maintenance, please come back later",
        "Технические работы",
        "OK?",
        "NOT OK",
        "not found",
        "queued",
        "\u212a",
        "o\u212a",
        "\ufeff",
        "\0",
        "500: OK",
        "x" * 201,
        # JSON that is no object
        "false",
        "null",
        "0",
        "1",
        "5",
        "{}",
        "[]",
        '"no"',
        # broken off, or not to be trusted
        '{"results": ',
        '{"success": true',
        '{"success": true}}',
        '{"success": false, "success": true}',
        "[" * 5_000,
        # a no
        {"success": False},
        {"success": 0},
        {"success": 1},
        {"success": "true"},
        {"ok": False},
        {"status": "error"},
        {"status": "fail", "data": {}},
        {"status": "queued"},
        {"status": None},
        {"status": 200},
        {"status": True},
        {"Status": "ok"},
        {"error": "quota"},
        {"errors": ["quota"]},
        {"message": "thank you"},
        {"accepted": 3},
        {"results": {}},
        {"results": {"created": 3}},
        {"results": None},
        {"results": "ok"},
        # a yes that is taken back, or with something in it that nobody knows
        {"success": True, "ok": False},
        {"success": True, "status": "error"},
        {"ok": True, "error": "quota"},
        {"status": "ok", "errors": [{"index": 1}]},
        {"status": "ok", "rejected": 1},
        {"status": "ok", "failed": [2]},
        {"status": "ok", "stored": 0},
        {"status": "ok", "results": {}},
        {"accepted": 2, "rejected": 1},
        [True],
        [{"success": True}, 1],
    ],
)
def test_any_other_2xx_is_unclear_and_acknowledges_nothing(body: Any) -> None:
    verdict = judged(200, body)
    if isinstance(verdict, Taken):  # a list that says nothing of any question: what became of them is asked again
        assert (verdict.gone, verdict.invalid) == ({}, {})
    else:
        assert isinstance(verdict, Later)
        assert (verdict.unclear, verdict.of_batch) == (True, True)
        assert "no yes" in verdict.reason


@pytest.mark.parametrize("beside", [{"success": False}, {"status": "error"}, {"error": "rolled back"}])
def test_results_are_not_believed_beside_an_error(beside: dict[str, Any]) -> None:
    verdict = judged(200, {**results({"index": 0, "status": "created"}), **beside})
    assert isinstance(verdict, Later)
    assert verdict.unclear


def test_results_may_be_summed_up() -> None:
    body = {"created": 1, "invalid": 1, "success": True, **results({"index": 0, "status": "created"})}
    assert judged(200, body) == Taken({0: "created"}, {})


def test_what_was_created_has_nothing_to_complain_of_and_a_duplicate_may_say_why_it_is_one() -> None:
    said = results(
        {"index": 0, "status": "created", "error": "the index is full"},
        {"index": 1, "status": "duplicate", "error": "it is there"},
    )
    assert judged(200, said) == Taken({1: "duplicate"}, {})


def stands_in_the_list(text: str) -> bool:
    """The table of docs/export.md, written once more and in other ways."""
    words = text.strip()
    plain = words.lower().removeprefix("200: ").removeprefix("201: ").removeprefix("202: ")
    if not words or (words.isascii() and plain.strip('"') in {"ok", "true", "created", "accepted", "success"}):
        return True
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(body, dict) or not {"success", "ok", "status"} & set(body):
        return False
    for name, value in body.items():
        match name:
            case "success" | "ok" if value is not True:
                return False
            case "status" if str(value).lower() not in {"ok", "success", "accepted", "created"}:
                return False
            case "success" | "ok" | "status" | "message" | "data" | "id" | "batch_id" | "request_id" | "timestamp":
                pass
            case "error" | "errors" | "failed" | "rejected" | "invalid" | "skipped" if not value:
                pass
            case _:
                return False
    return True


names = st.sampled_from(
    ["success", "ok", "status", "message", "data", "error", "errors", "failed", "rejected", "code", "results", "Ok"]
)
values = st.sampled_from([True, False, None, 0, 1, "ok", "error", "success", "", "true", [], {}, ["x"], {"ok": True}])
objects = st.dictionaries(names, values | st.text(max_size=5), max_size=4).map(json.dumps)
twisted = st.builds(
    lambda text, at, end, middle: text[:at] + middle + text[end:],
    st.sampled_from([*YES_WORDS, *map(json.dumps, YES_OBJECTS)]),
    st.integers(0, 30),
    st.integers(0, 60),
    st.text(max_size=3) | st.sampled_from(['"', "}", "{", ",", ":", "not ", "false"]),
)


@given(st.sampled_from([200, 201, 202, 204, 207]), objects | twisted | st.text() | values.map(json.dumps))
@settings(max_examples=500)
def test_no_body_that_is_not_in_the_list_ever_acknowledges(status: int, text: str) -> None:
    verdict = judged(status, text)
    acknowledged = isinstance(verdict, Taken) and bool(verdict.gone)
    assert not acknowledged or stands_in_the_list(text)


def test_a_body_that_broke_off_is_unclear() -> None:
    verdict = judged(200, "", whole=False)
    assert isinstance(verdict, Later)
    assert verdict.unclear


@pytest.mark.parametrize(
    "named",
    [
        lambda n: {"index": n},
        lambda n: {"hash": HASHES[n]},
        lambda n: {"index": n, "hash": HASHES[n]},
        lambda _: {},
    ],
)
def test_results_are_told_apart_by_index_or_hash_or_place(named: Any) -> None:
    said = [
        {**named(0), "status": "created"},
        {**named(1), "status": "Duplicate"},
        {**named(2), "status": "invalid", "error": "too long"},
    ]
    assert judged(207, results(*said)) == Taken({0: "created", 1: "duplicate"}, {2: "too long"})
    assert judged(200, said) == Taken({0: "created", 1: "duplicate"}, {2: "too long"})


@pytest.mark.parametrize(
    "entry",
    [
        {"index": 3, "status": "created"},
        {"index": -1, "status": "created"},
        {"index": True, "status": "created"},
        {"index": "0", "status": "created"},
        {"index": 1.0, "status": "created"},
        {"index": 0, "hash": HASHES[1], "status": "created"},
        {"hash": "unknown", "status": "created"},
        {"hash": [], "status": "created"},
        {"index": 0, "status": "perhaps"},
        {"index": 0, "status": None},
        {"index": 0},
        "created",
        {"status": "created"},  # which one, in a list shorter than the batch?
    ],
)
def test_what_cannot_be_told_apart_says_nothing(entry: Any) -> None:
    verdict = judged(200, results(entry))
    assert verdict == Taken({}, {})
    assert isinstance(verdict, Taken)
    assert verdict.silent(3) == [0, 1, 2]


def test_two_different_words_about_one_question_say_nothing() -> None:
    verdict = judged(200, results({"index": 0, "status": "created"}, {"index": 0, "status": "invalid"}))
    assert verdict == Taken({}, {})


def test_a_reason_may_stand_under_other_names_and_be_no_text() -> None:
    verdict = judged(200, results({"index": 0, "status": "invalid", "reason": {"text": ["long"]}}))
    assert verdict == Taken({}, {0: '{"text": ["long"]}'})


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops(status: int) -> None:
    assert judged(status, "no") == Denied(f"the main server answered {status}: no")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_can_be_refused_as_a_whole(status: int) -> None:
    assert judged(status) == Refused(f"the main server answered {status}")


@pytest.mark.parametrize("status", [404, 405, 409, 410, 415, 425, 429, 431, 503, 507])
def test_other_refusals_are_for_later(status: int) -> None:
    assert judged(status, retry_after=7.0) == Later(f"the main server answered {status}", 7.0)


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_an_error_of_the_server_leaves_open_whether_it_stored(status: int) -> None:
    verdict = judged(status)
    assert isinstance(verdict, Later)
    assert (verdict.unclear, verdict.of_batch) == (True, status == 500)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    verdict = judged(status)
    assert isinstance(verdict, Later)
    assert "redirects are not followed" in verdict.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["index", "hash", "status", "results"]), inner),
    max_leaves=20,
)


@given(st.integers(100, 599), json_values | st.text())
def test_whatever_is_answered_no_question_is_both_gone_and_invalid(status: int, body: Any) -> None:
    verdict = judged(status, body)
    if isinstance(verdict, Taken):
        assert 200 <= status < 300
        assert not set(verdict.gone) & set(verdict.invalid)
        assert set(verdict.gone) | set(verdict.invalid) | set(verdict.silent(3)) == {0, 1, 2}
