"""How the values of an item become a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate, Media
from vestnik.quiz.sources.formats.record import (
    FIELDS,
    LONGEST_RECORD,
    MOST_VALUES,
    Pick,
    Plan,
    Unmapped,
    Unreadable,
    candidate,
    candidates,
    without,
)

PLAN = Plan({name: Pick(name) for name in FIELDS})


def of(plan: Plan = PLAN, **item: Any) -> Candidate:
    def values(pick: Pick) -> Sequence[object]:
        found = item.get(str(pick.select))
        return found if isinstance(found, list) else [found]

    return candidate(values, plan)


def test_every_field_has_its_place() -> None:
    found = of(
        text="Why?",
        correct="B",
        incorrect=["A"],
        type="Multiple",
        language="en",
        category="Letters",
        difficulty="EASY",
        accepted=["b"],
        explanation="So.",
        tags=["t", "u"],
        image="https://x.test/1.png",
        external_id=7,
        author="Anna",
        references=["r"],
        withdrawn="true",
    )
    assert found == Candidate(
        text="Why?",
        correct=("B",),
        incorrect=("A",),
        type="multiple",
        language="en",
        category="Letters",
        difficulty="easy",
        accepted=("b",),
        explanation="So.",
        tags=("t", "u"),
        media=(Media(role="question", kind="image", url="https://x.test/1.png"),),
        external_id="7",
        author="Anna",
        references=("r",),
        withdrawn=True,
    )


def test_what_is_unknown_is_none_and_never_empty() -> None:
    found = of(text="Why?", category="", difficulty=" ", author=None, type="essay")
    assert (found.category, found.difficulty, found.author, found.type) == (None, None, None, None)


def test_dirt_stays_for_screening() -> None:
    found = of(text=" Why?&nbsp;\x01", correct=["  B "], incorrect=["", "<b>"])
    assert (found.text, found.correct, found.incorrect) == (" Why?&nbsp;\x01", ("  B ",), ("", "<b>"))


def test_without_a_text_it_is_no_question() -> None:
    with pytest.raises(Unmapped, match="it has no text"):
        of(correct="B")


def test_numbers_and_truth_are_text() -> None:
    found = of(text="Why?", correct=True, incorrect=[False, 3, 2.5])
    assert (found.correct, found.incorrect) == (("True",), ("False", "3", "2.5"))


def test_absent_options_are_none() -> None:
    assert of(text="Why?", incorrect=["A", None, "C"]).incorrect == ("A", "C")


@pytest.mark.parametrize(("value", "kind"), [({"a": 1}, "an object"), ([["a"]], "a list"), (b"", "something else")])
def test_what_is_no_text_is_named(value: object, kind: str) -> None:
    with pytest.raises(Unmapped, match=f"correct is {kind}, wanted text"):
        of(text="Why?", correct=[value])


def test_too_much_is_refused() -> None:
    with pytest.raises(Unmapped, match="incorrect has more than 100 values"):
        of(text="Why?", incorrect=["x"] * (MOST_VALUES + 1))
    with pytest.raises(Unmapped, match="it has more than 50,000 characters"):
        of(text="x" * (LONGEST_RECORD + 1))


def test_texts_are_cut_out_and_split() -> None:
    plan = Plan({"text": Pick("text"), "incorrect": Pick("incorrect", remove=r"^Options:\s*", split=",")})
    assert of(plan, text="Why?", incorrect="Options: a, b ,, c").incorrect == ("a", "b", "c")


def test_values_are_given_their_meaning() -> None:
    values = {"difficulty": {"débutant": "easy"}, "type": {"TRUE_FALSE": "boolean"}}
    plan = Plan({name: Pick(name) for name in ("text", "difficulty", "type")}, values)
    found = of(plan, text="Why?", difficulty="débutant", type="TRUE_FALSE")
    assert (found.difficulty, found.type) == ("easy", "boolean")


def test_options_are_the_incorrect_ones_without_the_correct() -> None:
    assert of(text="Why?", correct="B", options=["A", "B", "C"]).incorrect == ("A", "C")


def test_a_correct_answer_that_is_an_option_twice_stays_once_for_screening_to_see() -> None:
    assert without(["A", "B", "B"], ["B"]) == ("A", "B")


def test_spaces_make_no_other_option() -> None:
    assert without(["A", "B  c "], ["B c"]) == ("A",)


@pytest.mark.parametrize("word", ["", "false", "0", "None", "no", None])
def test_these_do_not_withdraw_a_question(word: str | None) -> None:
    assert not of(text="Why?", withdrawn=word).withdrawn


def test_halves_of_characters_are_made_whole_or_marked() -> None:
    assert of(text="a\ud83d\ude00b\ud800").text == "a😀b\ufffd"


def test_a_bad_item_does_not_hold_up_the_others() -> None:
    plan = Plan({"text": Pick("text")})
    found = list(candidates([{"text": "A"}, {}, {"text": "C"}], lambda item, pick: [item.get(str(pick.select))], plan))
    assert [one.text for one in found if isinstance(one, Candidate)] == ["A", "C"]
    assert found[1] == Unreadable("item 2", "it has no text")


@given(st.lists(st.text()), st.lists(st.text()))
def test_no_more_options_are_taken_away_than_there_are_correct_answers(options: list[str], correct: list[str]) -> None:
    left = without(options, correct)
    assert len(options) - len(left) <= len(correct)
    assert [o for o in options if o in left or o not in left][: len(options)] == options


@given(st.text())
def test_every_text_can_be_stored(text: str) -> None:
    of(text=text or "x").text.encode()
