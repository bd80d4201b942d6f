"""OpenTriviaQA's text."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats import reading
from vestnik.quiz.sources.formats.hash_q import MOST_LINES, candidates
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.lines import LONGEST_LINE, lines
from vestnik.quiz.sources.formats.record import Unreadable


def read(text: str, category: str | None = None) -> list[Candidate | Unreadable]:
    return list(candidates(text.split("\n"), category))


def test_the_correct_answer_is_one_of_the_options() -> None:
    assert read("\n#Q Which letter is first?\n^ A\nA B\nB A\nC C\n\n", "letters") == [
        Candidate(text="Which letter is first?", correct=("A",), incorrect=("B", "C"), category="letters")
    ]


def test_a_question_may_take_several_lines_and_have_empty_ones() -> None:
    (one,) = read("#Q Now the cat is getting old\nAnd she seemed\n\nA bit too cold\n^ Yes\nA Yes\nB No")
    assert isinstance(one, Candidate)
    assert one.text == "Now the cat is getting old\nAnd she seemed\nA bit too cold"
    assert one.incorrect == ("No",)


def test_letters_come_in_their_order() -> None:
    (one,) = read("#Q Who?\n^ Me\nA Me\nB You, said she\nI think\nC Nobody")
    assert isinstance(one, Candidate)
    assert one.incorrect == ("You, said she\nI think", "Nobody")


def test_an_empty_option_stays_for_screening() -> None:
    (one,) = read("#Q Which?\n^ B\nA\nB B\nC ")
    assert isinstance(one, Candidate)
    assert one.incorrect == ("", "")


def test_what_is_broken_is_named_and_the_rest_is_read() -> None:
    found = read("A title\n\n#Q No answer?\nA Yes\n#Q Why?\n^ So\nA So\nB No")
    assert found[:2] == [
        Unreadable("line 1", "it stands outside of a question, which begins with #Q"),
        Unreadable("line 3", "the question has no line with its answer, which begins with ^"),
    ]
    assert isinstance(found[2], Candidate)


def test_a_question_without_an_end_is_not_gathered_for_ever() -> None:
    found = read("#Q Why?\n^ So\n" + "line\n" * (3 * MOST_LINES))
    assert all(isinstance(one, Unreadable) for one in found)
    assert len(found) == 3


def test_each_line_is_in_its_own_encoding(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_bytes("#Q Naïve?\n^ “Yes”\n".encode() + "A “Yes”\nB naïve\n".encode("cp1252"))
    (one,) = reading.read_file(Job(format="hash-q", path=str(path)))
    assert one == Candidate(text="Naïve?", correct=("“Yes”",), incorrect=("naïve",), category="people")


def test_text_that_was_encoded_twice_stays_for_screening() -> None:
    twice = "#Q One Liners”".encode().decode("cp1252", "replace").encode()
    assert next(lines(io.BytesIO(twice))).startswith("#Q One Linersâ€")


def test_lines_end_as_they_like_and_may_be_wide() -> None:
    assert list(lines(io.BytesIO("\ufeffa\r\nb\nc".encode()))) == ["a", "b", "c"]
    assert list(lines(io.BytesIO("Да\r\nНет\n".encode("utf-16")))) == ["Да", "Нет"]
    assert list(lines(io.BytesIO("Да\nНет".encode("cp1251")), "cp1251")) == ["Да", "Нет"]


def test_a_line_without_an_end_is_cut_off() -> None:
    first, second = lines(io.BytesIO(b"x" * (3 * LONGEST_LINE) + b"\nnext"))
    assert (len(first), second) == (LONGEST_LINE, "next")


@given(st.lists(st.sampled_from(["#Q a", "^ b", "A c", "B d", "I", "", "x"])))
def test_every_question_mark_gives_a_record(parts: list[str]) -> None:
    assert len(read("\n".join(parts))) >= sum(part.startswith("#Q") for part in parts)


def test_a_record_beyond_measure_is_named() -> None:
    (one,) = read("#Q " + "x" * 60_000 + "\n^ So\nA So")
    assert one == Unreadable("line 1", "it has more than 50,000 characters")
