"""OpenQuizzDB's text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.openquizzdb import candidates
from vestnik.quiz.sources.formats.record import Plan, Unreadable

TEXT = """**
** OpenQuizzDB
** Quizz : Lettres
** Niveau de difficulté : 1 / 5
**

- - - - -
 F R A N C A I S
- - - - -

[1 - Débutant]
Question: Quelle est la première lettre ?
A > A *
B > B
C > C
D > D
Anecdote: Elle vient avant la deuxième.

- - - - -
 A N G L A I S
- - - - -

[Expert]
Question: Which letter is last?
A > X
B > Z *
"""


def read(text: str, plan: Plan | None = None) -> list[Candidate | Unreadable]:
    return list(candidates(text.split("\n"), plan or Plan({})))


def test_questions_know_their_language_level_and_theme() -> None:
    assert read(TEXT, Plan({}, {"difficulty": {"Débutant": "easy", "Expert": "hard"}})) == [
        Candidate(
            text="Quelle est la première lettre ?",
            correct=("A",),
            incorrect=("B", "C", "D"),
            language="fr",
            category="Lettres",
            difficulty="easy",
            explanation="Elle vient avant la deuxième.",
            external_id="1",
        ),
        Candidate(
            text="Which letter is last?",
            correct=("Z",),
            incorrect=("X",),
            language="en",
            category="Lettres",
            difficulty="hard",
        ),
    ]


def test_what_is_broken_is_named_and_the_rest_is_read() -> None:
    found = read("[1 - a]\nA > x *\n[2 - a]\nQuestion: Why?\nA > x\n[3 - a]\nQuestion: How?\nA > x *\nB > y")
    assert found[:2] == [
        Unreadable("line 1", "there is no line with Question:"),
        Unreadable("line 3", "no option is marked as the right one"),
    ]
    assert isinstance(found[2], Candidate)


def test_a_text_without_questions_has_none() -> None:
    assert read("<!DOCTYPE html>\n<html>") == []


@given(
    st.lists(st.sampled_from(["[1 - a]", "[b]", "Question: x", "A > y *", "B > z", " F R A N C A I S", "", "- - -"]))
)
def test_whatever_text_comes_it_is_read(parts: list[str]) -> None:
    assert len(read("\n".join(parts))) == sum(part.startswith("[") for part in parts)
