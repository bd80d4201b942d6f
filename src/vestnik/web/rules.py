"""The rules that all input is held to (D5): required, integer, string, text. One small set, used everywhere.

Each rule returns what is wrong, as the end of the sentence "<field> …", or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_DIGITS = re.compile(r"-?[0-9]+")

Problem = str | None
Rule = Callable[[Any], Problem]


def required(value: Any) -> Problem:
    """Absent or empty (an empty string, None) is an error."""
    return "is required" if value is None or value == "" else None


def integer(minimum: int, maximum: int) -> Rule:
    """Control data: a whole number, or a string of digits with an optional leading minus; within the limits."""

    def rule(value: Any) -> Problem:
        number = as_integer(value)
        if number is None:
            return "must be a whole number"
        return None if minimum <= number <= maximum else f"must be between {minimum} and {maximum}"

    return rule


def as_integer(value: Any) -> int | None:
    """The number that the integer rule sees in a value; None when it sees none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # The length is looked at first: turning a million digits into a number takes seconds.
    if isinstance(value, str) and len(value) <= 20 and _DIGITS.fullmatch(value):
        return int(value)
    return None


def string(maximum: int) -> Rule:
    """Control data: a non-empty string without line breaks."""

    def rule(value: Any) -> Problem:
        if not isinstance(value, str) or not value:
            return "must be a non-empty string"
        if "\n" in value or "\r" in value:
            return "must not hold line breaks"
        return None if len(value) <= maximum else f"must be at most {maximum} characters long"

    return rule


def text(problem: Callable[[str], Problem]) -> Rule:
    """User data: what the channel's worker accepts. `problem` completes "must be …"."""

    def rule(value: Any) -> Problem:
        if not isinstance(value, str):
            return "must be a text"
        found = problem(value)
        return None if found is None else f"must be {found}"

    return rule


def first_problem(value: Any, *rules: Rule) -> Problem:
    """What the first rule that objects says."""
    for rule in rules:
        found = rule(value)
        if found is not None:
            return found
    return None
