"""Where the fields of a question stand, as an operator writes it: an expression, or keys with one in `select`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from vestnik.quiz.sources.formats.expressions import check_css, check_element_path, check_jmespath
from vestnik.quiz.sources.formats.record import Pick, Plan
from vestnik.settings.values import OneOrMore, Section


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    return value


JmesPath = Annotated[str, AfterValidator(check_jmespath)]
CssSelector = Annotated[str, AfterValidator(check_css)]
ElementPath = Annotated[str, AfterValidator(check_element_path)]
Regex = Annotated[str, AfterValidator(_regex)]


class PickSettings(Section):
    select: Any = None
    remove: Regex | None = None  # what it matches is taken out of each text
    split: Annotated[str, Field(min_length=1)] | None = None  # one text becomes many

    def pick(self) -> Pick:
        return Pick(self.select, None, self.remove, self.split)


class JsonPick(PickSettings):
    select: JmesPath


class _ElementPick(PickSettings):
    attribute: Annotated[str, Field(min_length=1)] | None = None  # this instead of the text

    def pick(self) -> Pick:
        return Pick(self.select, self.attribute, self.remove, self.split)


class CssPick(_ElementPick):
    select: CssSelector | None = None  # None: the item itself


class XmlPick(_ElementPick):
    select: ElementPath | None = None


class ColumnPick(PickSettings):
    """Columns of CSV, by what the header calls them."""

    select: OneOrMore[str]


def _short(check: Callable[[str], str]) -> BeforeValidator:
    """An expression alone is short for `select`, and is checked here so that an error names the field."""

    def expand(value: Any) -> Any:
        return {"select": check(value)} if isinstance(value, str) else value

    return BeforeValidator(expand)


def _columns(value: Any) -> Any:
    return {"select": value} if isinstance(value, str | list) else value


P = TypeVar("P")


class Fields(Section, Generic[P]):
    """`incorrect` are the wrong options; `options` are all, the right ones among them."""

    text: P
    correct: P | None = None
    incorrect: P | None = None
    options: P | None = None
    accepted: P | None = None
    type: P | None = None
    language: P | None = None
    category: P | None = None
    difficulty: P | None = None
    explanation: P | None = None
    tags: P | None = None
    image: P | None = None
    audio: P | None = None
    video: P | None = None
    external_id: P | None = None
    author: P | None = None
    references: P | None = None
    withdrawn: P | None = None

    def plan(self, values: dict[str, dict[str, str]]) -> Plan:
        picks = {name: getattr(self, name) for name in type(self).model_fields}
        return Plan({name: pick.pick() for name, pick in picks.items() if pick is not None}, values)


JsonFields = Fields[Annotated[JsonPick, _short(check_jmespath)]]
CssFields = Fields[Annotated[CssPick, _short(check_css)]]
XmlFields = Fields[Annotated[XmlPick, _short(check_element_path)]]
ColumnFields = Fields[Annotated[ColumnPick, BeforeValidator(_columns)]]
