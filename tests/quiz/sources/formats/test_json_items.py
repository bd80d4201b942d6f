"""JSON: items and their values, and files with broken places."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats import reading
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.json_items import complaint, items_of, next_page, read_answer, read_file
from vestnik.quiz.sources.formats.record import FormatError, Pick, Plan, Unreadable

PLAN = Plan({"text": Pick("q"), "correct": Pick("a")})

#: As published collections have it: a value without quotes, a quote inside quotes, an escape that is none.
BROKEN = """{
  "theme": "Letters",
  "level": 3 / 5,
  "quizz": [
    {
      "q": "Which letter is first?",
      "a": "A"
    },
    {
      "q": "Which letter is "second"?",
      "a": "B"
    },
    {
      "q": "Which letter\\'s third?",
      "a": "C"
    },
    {
      "q": "Which letter is last?",
      "a": "Z"
    }
  ]
}
"""


def job(**changes: Any) -> Job:
    return Job(**{"format": "json", "items": "[]", "plan": PLAN, **changes})


def found(text: str, **changes: Any) -> list[Candidate | Unreadable]:
    return list(reading.read_answer(job(**changes), text.encode())[0])


def texts(found: list[Candidate | Unreadable]) -> list[str]:
    return [one.text for one in found if isinstance(one, Candidate)]


def test_items_and_fields_are_picked() -> None:
    (one,) = found('{"data": [{"q": "Why?", "a": "So"}]}', items="data")
    assert isinstance(one, Candidate)
    assert (one.text, one.correct) == ("Why?", ("So",))


def test_one_object_in_place_of_a_list_is_a_list_of_one() -> None:
    assert texts(found('{"data": {"q": "Why?"}}', items="data")) == ["Why?"]


def test_no_items_are_no_error_and_no_list_is() -> None:
    assert found('{"data": []}', items="data") == []
    with pytest.raises(FormatError, match="there are no items at data"):
        found('{"date": []}', items="data")
    with pytest.raises(FormatError, match="wanted a list"):
        found('{"data": 5}', items="data")


def test_an_answer_that_says_what_went_wrong_is_quoted() -> None:
    with pytest.raises(FormatError, match=r"no items at data; it says: Limit must be a number"):
        found('{"status": "failure", "error": "Limit must be a number"}', items="data")
    assert complaint({"error": {"message": "a\x1b[0m\nb"}}) == "a [0m b"
    assert complaint([1]) is None


def test_numbers_stay_as_they_are_written() -> None:
    (one,) = found('[{"q": "Why?", "a": [1.50, 10, 1e3]}]')
    assert isinstance(one, Candidate)
    assert one.correct == ("1.50", "10", "1e3")


@pytest.mark.parametrize("text", ["", "{", '{"a": 1', "nonsense", "[NaN]", "[" * 200_000, "[1" + "0" * 5000 + "]"])
def test_what_is_no_json_is_said_so(text: str) -> None:
    with pytest.raises(FormatError, match=r"it is not JSON|nested too deeply"):
        read_answer(text)


@pytest.mark.parametrize(
    "page",
    [
        "<!doctype html><p>\ufffd {not json",
        "\n <HTML><head><title>502 Bad Gateway</title></head>",
        "<?xml version='1.0'?><!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0'><html>",
    ],
)
def test_a_web_page_in_place_of_json_is_called_one(page: str) -> None:
    with pytest.raises(FormatError, match="it is an HTML page"):
        read_answer(page)


def test_the_title_of_the_page_is_quoted() -> None:
    with pytest.raises(FormatError, match=r'an HTML page \("502 Bad Gateway"\), wanted JSON'):
        read_answer("<html><title> 502\nBad &#71;ateway </title>")


def test_a_key_that_stands_twice_makes_its_item_unreadable() -> None:
    assert found('[{"q": "Why?", "a": "A", "a": "B"}, {"q": "How?"}]') == [
        Unreadable("item 1", "a stands there twice"),
        *found('[{"q": "How?"}]'),
    ]


def test_raw_control_characters_stay_for_screening() -> None:
    assert texts(found('[{"q": "Why\x01\n?"}]')) == ["Why\x01\n?"]


def test_the_next_page_is_a_link_or_a_cursor() -> None:
    assert next_page({"links": {"next": "/q?offset=10"}}, "links.next") == "/q?offset=10"
    assert next_page({"cursor": 17}, "cursor") == "17"
    for nothing in ({}, {"cursor": None}, {"cursor": ""}, {"cursor": False}, {"cursor": ["a"]}):
        assert next_page(nothing, "cursor") is None


def test_broken_records_are_cut_out_and_named_and_the_others_are_read() -> None:
    data, cuts = read_file(BROKEN)
    assert [item["q"] for item in items_of(data, "quizz")] == ["Which letter is first?", "Which letter is last?"]
    assert [(cut.where, cut.why.partition(" (")[0]) for cut in cuts] == [
        ("line 3", "it is not JSON"),
        ("lines 9-12", "it is not JSON"),
        ("lines 13-16", "it is not JSON"),
    ]
    assert data["theme"] == "Letters"


def test_records_on_one_line_each_are_cut_out_alike() -> None:
    data, cuts = read_file('[\n{"q": "A"},\n{"q": "B" oops},\n{"q": "C"}\n]')
    assert [item["q"] for item in items_of(data, "[]")] == ["A", "C"]
    assert [cut.where for cut in cuts] == ["line 3"]


@pytest.mark.parametrize("text", ["{", '{"a": {"b": 1', "[1, 2", "oops", '{"q": "a" "b"}'])
def test_a_file_with_nothing_to_save_is_refused_with_the_line(text: str) -> None:
    with pytest.raises(FormatError, match=r"it is not JSON .* in line 1"):
        read_file(text)


def test_a_file_that_is_broken_all_over_is_given_up_in_the_end() -> None:
    with pytest.raises(FormatError):
        read_file("[\n" + ",\n".join('{"q": oops}' for _ in range(1000)) + "\n]")


def test_a_file_is_not_read_beyond_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_text(json.dumps([{"q": "x" * 2000}]))
    with pytest.raises(FormatError, match="it is larger than 1,000 bytes"):
        list(reading.read_file(job(path=str(path), most_bytes=1000)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("qax"), inner),
    )
)
def test_whatever_json_comes_it_is_read_or_refused(value: Any) -> None:
    try:
        result = found(json.dumps(value), items="@")
    except FormatError:
        return
    for one in result:
        assert isinstance(one, Unreadable) or one.text.encode() is not None


@given(st.lists(st.sampled_from(["{", "}", "[", "]", '"q"', ":", ",", '"a', "1 / 2", "\n", "  ", "null", "\\'"])))
def test_salvage_ends_whatever_is_broken(parts: list[str]) -> None:
    with contextlib.suppress(FormatError):
        read_file("".join(parts))
