"""JSON: which items an answer or a file holds, and what one says, both by JMESPath."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vestnik.quiz.sources.formats import expressions, salvage
from vestnik.quiz.sources.formats.markup import described_page, is_page, quoted
from vestnik.quiz.sources.formats.record import FormatError, Pick, Unmapped, Unreadable, kind_of

#: Where an answer says in words that it is none.
_COMPLAINTS = ("error", "message", "detail", "description", "response_message", "title")


class Doubled:
    """Stands where a key stood twice: nobody knows which of them was meant."""


def parse(text: str) -> Any:
    """Numbers with a point stay as they are written. Raises Broken or FormatError."""
    try:
        return json.loads(
            text, strict=False, parse_float=str, parse_constant=_no_number, object_pairs_hook=_without_doubles
        )
    except json.JSONDecodeError as error:
        raise salvage.Broken(f"it is not JSON ({error.msg})", error.lineno, error.colno) from None
    except RecursionError:
        raise FormatError("it is nested too deeply") from None
    except ValueError as error:  # NaN; a whole number of thousands of digits
        raise FormatError(f"it is not JSON ({error})") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        result.update({name: Doubled() for name in result if names.count(name) > 1})
    return result


def read_answer(text: str) -> Any:
    """Of a far side: it is JSON or it is not. Raises FormatError."""
    if is_page(text):
        raise FormatError(f"it is {described_page(text)}, wanted JSON")
    try:
        return parse(text)
    except salvage.Broken as trouble:
        raise FormatError(f"{trouble.why} in line {trouble.line}") from None


def read_file(text: str) -> tuple[Any, list[Unreadable]]:
    """Of a file: broken records are left out. Raises FormatError."""
    if is_page(text):
        raise FormatError(f"it is {described_page(text)}, wanted JSON")
    return salvage.read(text, parse, salvage.cut_json)


def items_of(data: Any, expression: str) -> list[Any]:
    """Raises FormatError when there is nothing where the items should be. A single object is a list of one."""
    try:
        found = expressions.search(expression, data)
    except expressions.BadExpression as error:
        raise FormatError(f"items: {error}") from None
    match found:
        case list():
            return [item for item in found if item is not None]
        case dict():
            return [found]
        case None:
            raise FormatError(f"there are no items at {quoted(expression)}{_complaint(data)}")
        case _:
            raise FormatError(f"the items at {quoted(expression)} are {kind_of(found)}, wanted a list")


def _complaint(data: Any) -> str:
    said = complaint(data)
    return f"; it says: {said}" if said else ""


def complaint(data: Any) -> str | None:
    """What an answer says went wrong, fit for a log."""
    if not isinstance(data, Mapping):
        return None
    for name in _COMPLAINTS:
        match data.get(name):
            case str() as text if text.strip():
                return quoted(text)
            case dict() as inner if found := complaint(inner):
                return found
    return None


def values_of(item: Any, pick: Pick) -> Sequence[object]:
    assert isinstance(pick.select, str)  # noqa: S101 - the settings see to it
    try:
        found = expressions.search(pick.select, item)
    except expressions.BadExpression as error:
        raise Unmapped(str(error)) from None
    values = found if isinstance(found, list) else [found]
    if any(isinstance(value, Doubled) for value in values):
        raise Unmapped(f"{quoted(pick.select)} stands there twice")
    return values


def next_page(data: Any, expression: str) -> str | None:
    """The link or the cursor that leads on, if any."""
    try:
        found = expressions.search(expression, data)
    except expressions.BadExpression as error:
        raise FormatError(f"next: {error}") from None
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    return str(found) or None
