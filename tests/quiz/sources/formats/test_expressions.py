"""The languages in which one says where things stand."""

from __future__ import annotations

import pytest

from vestnik.quiz.sources.formats.expressions import (
    BadExpression,
    check_css,
    check_element_path,
    check_jmespath,
    search,
)

QUIZAPI = {
    "answers": {"answer_a": "<heading>", "answer_b": "<head>", "answer_c": None},
    "correct_answers": {"answer_a_correct": "false", "answer_b_correct": "true", "answer_c_correct": "false"},
}
PAIRED = "paired(answers, correct_answers, '_correct')"


@pytest.mark.parametrize("expression", ["", "a[", "a..b", "a b", "length(", "`"])
def test_what_is_no_jmespath_is_said_so(expression: str) -> None:
    with pytest.raises(BadExpression, match="a JMESPath expression"):
        check_jmespath(expression)


def test_unknown_functions_are_found_before_anything_is_fetched() -> None:
    with pytest.raises(BadExpression, match=r"there is no function lenght\(\)"):
        check_jmespath("items[?lenght(answers) > `2`]")


def test_data_that_do_not_suit_an_expression_are_no_crash() -> None:
    with pytest.raises(BadExpression):
        search("length(@)", 7)


def test_paired_puts_values_beside_their_flags() -> None:
    assert search(f"{PAIRED}[?flag=='true'].value", QUIZAPI) == ["<head>"]
    assert search(f"{PAIRED}[?flag!='true'].value", QUIZAPI) == ["<heading>"]


def test_labelled_carries_names_into_what_they_name() -> None:
    data = {"easy": [{"q": 1}, {"q": 2}], "hard": [{"q": 3}], "title": "x"}
    assert search("labelled(@, 'level')[].[q, level]", data) == [[1, "easy"], [2, "easy"], [3, "hard"]]


def test_having_finds_objects_however_deep() -> None:
    data = {"a": [{"question": 1}], "b": {"c": {"question": 2, "d": [{"question": "inner"}]}}, "e": "question"}
    assert [found["question"] for found in search("having(@, 'question')", data)] == [1, 2]


@pytest.mark.parametrize("selector", ["", "div..x", "a[", "a:unknown()", "div,,p"])
def test_what_is_no_css_is_said_so(selector: str) -> None:
    with pytest.raises(BadExpression, match="a CSS selector"):
        check_css(selector)


@pytest.mark.parametrize("path", ["/absolute", "//question", "@id", "a[", "a[1"])
def test_what_is_no_element_path_is_said_so(path: str) -> None:
    with pytest.raises(BadExpression, match="an ElementPath"):
        check_element_path(path)


def test_sound_expressions_are_given_back() -> None:
    assert check_jmespath(PAIRED) == PAIRED
    assert check_css(".q-list__active-nav + a") == ".q-list__active-nav + a"
    assert check_element_path(".//question") == ".//question"
