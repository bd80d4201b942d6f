"""Open Trivia DB's answers, in each of its encodings."""

from __future__ import annotations

from typing import Any

import pytest

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.opentdb import candidates, results_of
from vestnik.quiz.sources.formats.record import FormatError, Plan, Unreadable

TEXT = "Don't forget that π = 3.14 & doesn't equal 3."
ENCODED = {
    "entities": "Don&#039;t forget that &pi; = 3.14 &amp; doesn&#039;t equal 3.",
    "urlLegacy": "Don%27t+forget+that+%CF%80+%3D+3.14+%26+doesn%27t+equal+3.",
    "url3986": "Don%27t%20forget%20that%20%CF%80%20%3D%203.14%20%26%20doesn%27t%20equal%203.",
    "base64": "RG9uJ3QgZm9yZ2V0IHRoYXQgz4AgPSAzLjE0ICYgZG9lc24ndCBlcXVhbCAzLg==",
}


def read(results: list[Any], encoding: str = "entities") -> list[Candidate | Unreadable]:
    return list(candidates(results, encoding, Plan({})))


def test_the_order_of_keys_does_not_matter() -> None:
    older = {
        "category": "Geography",
        "type": "boolean",
        "difficulty": "medium",
        "question": "A dozen is more than ten.",
        "correct_answer": "True",
        "incorrect_answers": ["False"],
    }
    newer = dict(reversed(older.items()))
    assert (
        read([older])
        == read([newer])
        == [
            Candidate(
                text="A dozen is more than ten.",
                correct=("True",),
                incorrect=("False",),
                type="boolean",
                category="Geography",
                difficulty="medium",
            )
        ]
    )


@pytest.mark.parametrize("encoding", ENCODED)
def test_every_string_is_decoded(encoding: str) -> None:
    text = ENCODED[encoding]
    (one,) = read([{"question": text, "correct_answer": text, "incorrect_answers": [text]}], encoding)
    assert isinstance(one, Candidate)
    wanted = TEXT if encoding != "entities" else text  # entities are screening's
    assert {one.text, *one.correct, *one.incorrect} == {wanted}


def test_what_is_no_base64_stands_for_itself() -> None:
    item = {"question": ENCODED["base64"], "type": "boolean", "difficulty": "easy", "correct_answer": "VHJ1ZQ=="}
    (one,) = read([item], "base64")
    assert isinstance(one, Candidate)
    assert (one.type, one.difficulty, one.correct) == ("boolean", "easy", ("True",))


def test_items_that_are_none_are_named() -> None:
    found = read([7, {"correct_answer": "A"}, {"question": "Why?"}])
    assert found[:2] == [
        Unreadable("item 1", "it is something else, wanted an object"),
        Unreadable("item 2", "it has no text"),
    ]
    assert isinstance(found[2], Candidate)


def test_a_bare_list_is_taken_too_and_nothing_else() -> None:
    assert results_of([1]) == results_of({"results": [1]}) == [1]
    with pytest.raises(FormatError, match='wanted a list of "results"'):
        results_of({"response_code": 3})
