"""YAML: every scalar is text, and broken items are cut out."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats import reading
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.record import FormatError, Pick, Plan, Unreadable
from vestnik.quiz.sources.formats.yaml_items import read_file

#: As published collections have it: colons in texts that nobody quoted.
BROKEN = """---
theme: X-Files: the series
quizz:
  fr:
  - easy:
    - id: 1
      question: Which letter is first?
      propositions:
      - A
      - B
      answer: A
    - id: 2
      question: Which letter comes next: the answer is easy: B
      propositions:
      - A
      - B
      answer: B
    - id: 3
      question: Which film is it?
      propositions:
      - Star Wars : the first : really
      - Another
      answer: Another
  - hard:
    - id: 4
      question: Which letter is last?
      propositions: [Y, Z]
      answer: Z
"""
PLAN = Plan({"text": Pick("question"), "correct": Pick("answer"), "options": Pick("propositions")})


def found(tmp_path: Path, text: str) -> list[Candidate | Unreadable]:
    path = tmp_path / "questions.yaml"
    path.write_text(text)
    job = Job(format="yaml", items="having(@, 'question')", plan=PLAN, path=str(path), most_bytes=1 << 20)
    return list(reading.read_file(job))


def test_decimals_and_words_of_truth_stay_as_they_are_written() -> None:
    data, _ = read_file("[yes, no, 1.50, 0x1F, 12:30, 1_000, 2020-01-01, true, ~, '', '~']")
    assert data == ["yes", "no", "1.50", "0x1F", "12:30", "1_000", "2020-01-01", "true", None, "", "~"]


def test_broken_items_are_cut_out_and_named_and_the_others_are_read(tmp_path: Path) -> None:
    result = found(tmp_path, BROKEN)
    assert [one.where for one in result if isinstance(one, Unreadable)] == ["line 2", "lines 12-17", "lines 18-23"]
    questions = [one for one in result if isinstance(one, Candidate)]
    assert [(q.text, q.correct, q.incorrect) for q in questions] == [
        ("Which letter is first?", ("A",), ("B",)),
        ("Which letter is last?", ("Z",), ("Y",)),
    ]


def test_a_broken_item_of_a_plain_list_is_cut_out(tmp_path: Path) -> None:
    result = found(tmp_path, "- question: What: is: it\n  answer: A\n- question: Why?\n  answer: B\n")
    assert [one.where for one in result if isinstance(one, Unreadable)] == ["lines 1-2"]
    assert [one.text for one in result if isinstance(one, Candidate)] == ["Why?"]


def test_an_option_that_yaml_takes_for_keys_makes_its_item_unreadable(tmp_path: Path) -> None:
    text = "- question: Which film?\n  answer: Another\n  propositions:\n  - Star Wars: a new hope\n  - Another\n"
    assert found(tmp_path, text) == [Unreadable("item 1", "options is an object, wanted text")]


def test_a_key_that_stands_twice_makes_its_item_unreadable(tmp_path: Path) -> None:
    (one,) = found(tmp_path, "- question: Why?\n  answer: A\n  answer: B\n")
    assert one == Unreadable("item 1", "answer stands there twice")


def test_control_characters_that_yaml_refuses_stay_for_screening() -> None:
    data, cuts = read_file("[caf\x82, \x00a]")
    assert (data, cuts) == (["caf\x82", "\x00a"], [])


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(FormatError, match="more than 2,000,000 values"):
        read_file("\n".join(lines))


@pytest.mark.parametrize("text", ["[" * 100, "{" * 100_000])
def test_what_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        read_file(text)


def test_a_web_page_is_called_one() -> None:
    with pytest.raises(FormatError, match="an HTML page"):
        read_file("<!DOCTYPE html><html>")


@given(st.lists(st.sampled_from(["- ", "a: ", "b", ": ", "\n", "  ", "'", '"', "[", "]", "{", "|", ">", "&x ", "*x"])))
def test_yaml_salvage_ends_whatever_is_broken(parts: list[str]) -> None:
    with contextlib.suppress(FormatError):
        read_file("".join(parts))
