"""The languages in which the configuration says where things stand: JMESPath, CSS selectors, ElementPath.

Each has a way to be checked before anything is fetched, and a way to be used. Compiled expressions are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from xml.etree.ElementTree import Element

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

_OBJECT: Any = {"types": ["object"]}
_ANY: Any = {"types": []}
_TEXT: Any = {"types": ["string"]}


class BadExpression(ValueError):
    """The text completes "wanted …"."""


class _Additions(Functions):
    """What plain JMESPath cannot say: it never looks at the names of an object's members."""

    @signature(_OBJECT, _OBJECT, _TEXT)
    def _func_paired(self, values: dict[str, Any], flags: dict[str, Any], suffix: str) -> list[dict[str, Any]]:
        """`paired(answers, correct_answers, '_correct')`: each member of the first with its sibling in the second."""
        return [{"name": n, "value": v, "flag": flags.get(n + suffix)} for n, v in values.items()]

    @signature(_OBJECT, _TEXT)
    def _func_labelled(self, groups: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """`labelled(levels, 'level')`: the objects of all lists, each with the name that its list had."""
        return [
            {**item, name: label}
            for label, items in groups.items()
            if isinstance(items, list)
            for item in items
            if isinstance(item, dict)
        ]

    @signature(_ANY, _TEXT)
    def _func_having(self, data: Any, name: str) -> list[dict[str, Any]]:
        """`having(@, 'question')`: the objects with a member of that name, however deep, in the order of the text."""
        found, left = [], [data]
        while left:
            match left.pop():
                case dict() as one if name in one:
                    found.append(one)
                case dict() as one:
                    left.extend(reversed(one.values()))
                case list() as several:
                    left.extend(reversed(several))
        return found


_OPTIONS = jmespath.Options(custom_functions=_Additions())


@cache
def _compiled(expression: str) -> Any:
    try:
        compiled = jmespath.compile(expression)
    except JMESPathError as error:
        raise BadExpression(f"a JMESPath expression ({_first_line(error)})") from None
    for function in _functions(compiled.parsed):
        if function not in _Additions.FUNCTION_TABLE:
            raise BadExpression(f"a JMESPath expression (there is no function {function}())")
    return compiled


def _functions(node: Any) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _functions(child)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(":")


def check_jmespath(expression: str) -> str:
    """Raises BadExpression."""
    _compiled(expression)
    return expression


def search(expression: str, data: Any) -> Any:
    """Raises BadExpression where the data do not suit it: a number where a function wants a list."""
    try:
        return _compiled(expression).search(data, options=_OPTIONS)
    except JMESPathError as error:
        raise BadExpression(_first_line(error)) from None


def check_css(selector: str) -> str:
    """Raises BadExpression."""
    try:
        LexborHTMLParser("<p>").css(selector)
    except SelectolaxError:
        raise BadExpression("a CSS selector") from None
    return selector


def check_element_path(path: str) -> str:
    """Raises BadExpression."""
    try:
        Element("root").findall(path)
    except (SyntaxError, KeyError, ValueError, IndexError, TypeError):
        raise BadExpression("an ElementPath such as .//question or answers/answer") from None
    return path
