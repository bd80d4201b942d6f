from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.web.rules import as_integer, first_problem, integer, required, string, text

anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.binary()


@pytest.mark.parametrize("value", [None, ""])
def test_what_is_required_is_neither_absent_nor_empty(value: Any) -> None:
    assert required(value) == "is required"


@pytest.mark.parametrize("value", ["x", " ", "0", 0, False])
def test_everything_else_is_there(value: Any) -> None:
    assert required(value) is None


@given(st.integers(-(10**18), 10**18))
def test_an_integer_is_a_number_or_its_digits(number: int) -> None:
    assert as_integer(number) == number
    assert as_integer(str(number)) == number


@pytest.mark.parametrize(("value", "number"), [("-5", -5), ("007", 7), ("-0", 0)])
def test_digits_may_have_one_leading_minus(value: str, number: int) -> None:
    assert as_integer(value) == number


@pytest.mark.parametrize(
    "value",
    ["", "-", "--1", "+1", "1.0", "1e3", " 1", "1 ", "1\n", "1_000", "0x10", "٣", "１", "²", "9" * 21, True, 1.0, None],
)
def test_nothing_else_is_an_integer(value: Any) -> None:
    assert as_integer(value) is None
    assert integer(0, 10)(value) == "must be a whole number"


@given(st.integers())
def test_an_integer_has_limits(number: int) -> None:
    wanted = None if 0 <= number <= 86_400 else "must be between 0 and 86400"
    assert integer(0, 86_400)(number) == wanted


def test_a_million_digits_take_no_time() -> None:
    assert integer(0, 10)("9" * 1_000_000) == "must be a whole number"


@pytest.mark.parametrize("value", ["x", " ", "x" * 10, "вестник", "a\tb"])
def test_a_string_is_one_line(value: str) -> None:
    assert string(10)(value) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must be a non-empty string"),
        (None, "must be a non-empty string"),
        (5, "must be a non-empty string"),
        (b"x", "must be a non-empty string"),
        ("a\nb", "must not hold line breaks"),
        ("a\r\nb", "must not hold line breaks"),
        ("a\rb", "must not hold line breaks"),
        ("a\n", "must not hold line breaks"),
        ("x" * 11, "must be at most 10 characters long"),
    ],
)
def test_nothing_else_is_a_string(value: Any, problem: str) -> None:
    assert string(10)(value) == problem


def test_a_text_is_what_the_worker_takes() -> None:
    rule = text(lambda found: "without x" if "x" in found else None)
    assert rule("abc\nd") is None
    assert rule("x") == "must be without x"
    assert rule(5) == "must be a text"


def test_the_first_rule_that_objects_speaks() -> None:
    assert first_problem("", required, string(5)) == "is required"
    assert first_problem("123456", required, string(5)) == "must be at most 5 characters long"
    assert first_problem("1", required, string(5)) is None
    assert first_problem(None) is None


@given(anything)
def test_no_value_makes_a_rule_raise(value: Any) -> None:
    for rule in (required, integer(0, 5), string(5), text(lambda _: None)):
        assert isinstance(rule(value), str | None)
