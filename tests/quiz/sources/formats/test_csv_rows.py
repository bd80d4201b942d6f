"""CSV: headers, layouts for several widths, and rows that are broken."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.csv_rows import MOST_LINES, Shape, candidates
from vestnik.quiz.sources.formats.record import FormatError, Pick, Plan, Unreadable

WITH_HEADER = Plan(
    {"text": Pick(("Question",)), "correct": Pick(("Right",)), "incorrect": Pick(("Wrong 1", "Wrong 2"))}
)
NINE = ["external_id", "text", "correct", "incorrect", "incorrect", "-"]
TEN = ["external_id", "language", *NINE[1:]]
LAYOUTS = Shape(";", '"', {len(NINE): NINE, len(TEN): TEN})


def read(lines: Iterable[str], shape: Shape = LAYOUTS, plan: Plan | None = None) -> list[Candidate | Unreadable]:
    return list(candidates(lines, shape, plan or Plan({})))


def texts(found: list[Candidate | Unreadable]) -> list[str]:
    return [one.text for one in found if isinstance(one, Candidate)]


def test_a_header_names_the_columns() -> None:
    lines = ["Question, Right ,Wrong 1,Wrong 2,Note", "Why?,A,B,C,x"]
    (one,) = read(lines, Shape(), WITH_HEADER)
    assert isinstance(one, Candidate)
    assert (one.text, one.correct, one.incorrect) == ("Why?", ("A",), ("B", "C"))


def test_a_column_that_is_missing_is_said_so() -> None:
    with pytest.raises(FormatError, match='its header has no column "Right"'):
        read(["Question,Answer", "Why?,A"], Shape(), WITH_HEADER)


def test_each_width_has_its_layout() -> None:
    first, second = read(["1;Why?;A;B;C;note", "2;fr;Pourquoi ?;A;B;C;note"])
    assert isinstance(first, Candidate)
    assert isinstance(second, Candidate)
    assert (first.text, first.language, first.incorrect) == ("Why?", None, ("B", "C"))
    assert (second.text, second.language, second.external_id) == ("Pourquoi ?", "fr", "2")


def test_rows_of_another_width_are_named_and_the_rest_is_read() -> None:
    found = read(["1;Why?;A;B;C;note", "", "2;en;How?;A;B;C;no;te", "3;Who?;A;B;C;note"])
    assert texts(found) == ["Why?", "Who?"]
    assert found[1] == Unreadable("line 3", "it has 8 columns, wanted 6 or 7")


def test_quotes_hold_delimiters_and_lines_together() -> None:
    found = read(['1;"Why; or', 'how?";A;B;C;x', '2;Say "yes";A;B;C;x', "3;He said;A;B;C;x"])
    assert texts(found) == ["Why; or\nhow?", 'Say "yes"', "He said"]


def test_a_quote_that_is_never_closed_does_not_swallow_the_file() -> None:
    lines = ["1;Why?;A;B;C;x", '2;"Open;A;B;C;x', *(f"{n};Question {n}?;A;B;C;x" for n in range(3, 3 + 3 * MOST_LINES))]
    found = read(lines)
    assert found[1] == Unreadable("line 2", "a quote is not closed")
    assert len(texts(found)) == 1 + 3 * MOST_LINES


def test_at_the_end_too() -> None:
    found = read(['1;"Open;A;B;C;x', "2;Why?;A;B;C;x"])
    assert found[0] == Unreadable("line 1", "a quote is not closed")
    assert texts(found) == ["Why?"]


def test_quotes_can_be_ordinary_characters() -> None:
    assert texts(read(['1;"Why?;A;B;C;x'], Shape(";", None, LAYOUTS.layouts))) == ['"Why?']


def test_picks_apply_to_columns_of_a_layout() -> None:
    plan = Plan({"correct": Pick(split="|")})
    (one,) = read(["Why?;A|B"], Shape(";", '"', {2: ["text", "correct"]}), plan)
    assert isinstance(one, Candidate)
    assert one.correct == ("A", "B")


def test_a_web_page_is_called_one() -> None:
    with pytest.raises(FormatError, match="an HTML page"):
        read(["<!DOCTYPE html>", "<html>"])


def test_a_file_is_read_as_it_comes() -> None:
    def lines() -> Any:
        for n in range(10_000_000):
            yield f"{n};Question {n}?;A;B;C;x"

    found = candidates(lines(), LAYOUTS, Plan({}))
    assert isinstance(next(found), Candidate)


# -- nothing is lost

TWO = Shape(";", '"', {2: ["text", "-"]})


def first_row(lines: list[str]) -> tuple[int, list[str] | str]:
    """How many of the lines the first row takes, which is as few as make it whole, and it; or what is wrong with it."""
    for count in range(1, len(lines) + 1):
        try:
            reader = csv.reader([f"{line}\n" for line in lines[:count]], delimiter=";", strict=True)
            return count, next(reader)
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return 1, f"it is not CSV ({error})"
    return 1, "a quote is not closed"


def accounted(lines: list[str]) -> Iterator[str | Unreadable]:
    """The text of each row of TWO, or why it is none, in the order of the lines; each line belongs to one of them."""
    number = 0
    while number < len(lines):
        where = f"line {number + 1}"
        taken, row = first_row(lines[number : number + MOST_LINES])
        number += taken
        if isinstance(row, str):
            yield Unreadable(where, row)
        elif len(row) == 2:
            if row[0].strip() or row[1].strip():
                yield row[0]
        elif any(value.strip() for value in row):
            yield Unreadable(where, f"it has {len(row)} columns, wanted 2")


@given(st.lists(st.text('a;"\\ \x00') | st.sampled_from(["Why?;x", '"Why;', '";x', '"Open;x', "", "a;b;c"])))
@example([*["Why?;x"] * 3, '"Open;x', *["How?;x"] * (MOST_LINES + 3), 'a;"b"c', "", "a;b;c", '"Why;', 'or?";x'])
def test_every_line_is_accounted_for(lines: list[str]) -> None:
    found = read(lines, TWO)
    assert [one.text if isinstance(one, Candidate) else one for one in found] == list(accounted(lines))
