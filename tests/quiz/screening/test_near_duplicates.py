from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.model import Content, QuestionType
from vestnik.quiz.screening.near import alike, answers_conflict, canonical_words, near_key

QUESTION = Content(
    text="Which is the longest bone?",
    type=QuestionType.MULTIPLE,
    correct=("Femur",),
    incorrect=("Tibia", "Rib"),
    language="en",
)
BOOLEAN = replace(QUESTION, type=QuestionType.BOOLEAN, correct=("True",), incorrect=("False",))


@pytest.mark.parametrize(
    ("other", "conflict"),
    [
        ({"correct": ("femur",)}, False),
        ({"correct": ("The Femur, Thighbone",)}, False),
        ({"correct": ("Thighbone",), "accepted": ("Femur",)}, False),
        ({"correct": ("Rib",)}, True),
        ({"correct": ("Thighbone",), "incorrect": ("FEMUR", "Rib")}, True),
        ({"correct": ("Skull",)}, True),
        ({"incorrect": ("Femur",)}, False),  # dirty, but of one mind
    ],
)
def test_answers_conflict_when_they_cannot_both_be_right(other: dict[str, Any], conflict: bool) -> None:
    changed = replace(QUESTION, **other)
    assert answers_conflict(QUESTION, changed) == answers_conflict(changed, QUESTION) == conflict


def test_only_the_same_answer_in_the_same_language_is_compared() -> None:
    key = near_key(QUESTION).key
    assert near_key(replace(QUESTION, text="What bone?", correct=(" FEMUR",), incorrect=())).key == key
    assert near_key(replace(QUESTION, correct=("Tibia",))).key != key
    assert near_key(replace(QUESTION, language="fr")).key != key


def test_true_or_false_alone_is_not_enough_to_be_compared() -> None:
    key = near_key(BOOLEAN).key
    assert near_key(replace(BOOLEAN, text="The LONGEST bone is which?")).key == key
    assert near_key(replace(BOOLEAN, text="Is the Moon a planet?")).key != key


def test_a_key_fits_a_signed_integer_of_64_bits() -> None:
    for number in range(100):
        assert -(1 << 63) <= near_key(replace(QUESTION, correct=(str(number),))).key < 1 << 63


@given(st.text("abc ", min_size=1, max_size=30), st.text("abc ", min_size=1, max_size=30))
def test_no_two_that_are_alike_differ_more_in_length_than_is_looked_at(one: str, other: str) -> None:
    if alike(one, other):
        shortest, longest = near_key(replace(QUESTION, text=one)).lengths
        assert shortest <= len(canonical_words(other)) <= longest
