"""What every format yields, and how an item's values become a candidate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from vestnik.quiz.model import Candidate, Media

LONGEST_RECORD = 50_000  # characters of all its texts; screening refuses what has half of that
MOST_VALUES = 100  # of one field

TEXT = "text"
SINGLE = ("type", "language", "category", "difficulty", "explanation", "external_id", "author")
LISTS = ("correct", "incorrect", "accepted", "tags", "references")
MEDIA = ("image", "audio", "video")
#: All options, the right ones among them: the incorrect are what is left without the correct.
OPTIONS = "options"
WITHDRAWN = "withdrawn"
FIELDS = (TEXT, "correct", "incorrect", OPTIONS, *SINGLE, "accepted", "tags", "references", *MEDIA, WITHDRAWN)

_TYPES = ("multiple", "boolean", "open")
_NOT_WITHDRAWN = ("", "0", "false", "no", "none", "null")


class FormatError(Exception):
    """The whole answer or file cannot be read; the text says why, and holds nothing that was not made printable."""


class Unmapped(Exception):
    """One item cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that was left out. `where` is for people: a file, a line, the number of an item."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Pick:
    """How a field's value is found in an item, and what is done to its texts."""

    select: str | tuple[str, ...] | None = None  # in the format's own language; None is the item itself
    attribute: str | None = None  # HTML, XML: this instead of the text
    remove: str | None = None  # regular expression: what it matches is taken out
    split: str | None = None  # one text becomes many


@dataclass(frozen=True, slots=True)
class Plan:
    """How items become candidates. `values`, by field: what is found, and what it means."""

    fields: Mapping[str, Pick]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])


Item = TypeVar("Item")
Values = Callable[[Pick], Sequence[object]]  # raises Unmapped


def candidate(values_of: Values, plan: Plan) -> Candidate:
    """Raises Unmapped. Dirt stays: it is screening's to judge."""
    found = {name: _texts(name, values_of(pick), pick, plan) for name, pick in plan.fields.items()}
    if not found.get(TEXT):
        raise Unmapped("it has no text")
    return assembled(found)


def candidates(
    items: Iterable[Item], values_of: Callable[[Item, Pick], Sequence[object]], plan: Plan
) -> Iterator[Candidate | Unreadable]:
    """`values_of` finds a field's values in an item; it may raise Unmapped."""
    for number, item in enumerate(items, 1):
        try:
            yield candidate(partial(values_of, item), plan)
        except Unmapped as error:
            yield Unreadable(f"item {number}", str(error))


def assembled(found: Mapping[str, Sequence[str]]) -> Candidate:
    """Of the values of each field; those that are not there are unknown. Raises Unmapped."""
    if sum(len(text) for texts in found.values() for text in texts) > LONGEST_RECORD:
        raise Unmapped(f"it has more than {LONGEST_RECORD:,} characters")
    single = {name: _one(found, name) for name in SINGLE}
    lists = {name: tuple(found.get(name, ())) for name in LISTS}
    if OPTIONS in found:
        lists["incorrect"] += without(found[OPTIONS], lists["correct"])
    return Candidate(
        text=found[TEXT][0],
        correct=lists["correct"],
        incorrect=lists["incorrect"],
        type=_type(single["type"]),
        language=single["language"],
        category=single["category"],
        difficulty=single["difficulty"] and single["difficulty"].strip().casefold(),
        accepted=lists["accepted"],
        explanation=single["explanation"],
        tags=lists["tags"],
        media=tuple(Media(role="question", kind=kind, url=url) for kind in MEDIA for url in found.get(kind, ()) if url),
        external_id=single["external_id"],
        author=single["author"],
        references=lists["references"],
        withdrawn=any(v.strip().casefold() not in _NOT_WITHDRAWN for v in found.get(WITHDRAWN, ())),
    )


def without(options: Sequence[str], correct: Iterable[str]) -> tuple[str, ...]:
    """Each correct answer is taken away once: one that stands there twice stays, for screening to see."""
    left = list(options)
    for answer in correct:
        same = next((n for n, option in enumerate(left) if option == answer), None)
        if same is None:
            same = next((n for n, option in enumerate(left) if option.split() == answer.split()), None)
        if same is not None:
            del left[same]
    return tuple(left)


def _one(found: Mapping[str, Sequence[str]], name: str) -> str | None:
    """The first; nothing but spaces is unknown."""
    values = found.get(name)
    return values[0] if values and values[0].strip() else None


def _type(found: str | None) -> str | None:
    name = (found or "").strip().casefold()
    return name if name in _TYPES else None


def _texts(name: str, values: Sequence[object], pick: Pick, plan: Plan) -> list[str]:
    texts = [text for value in values if (text := _text(name, value)) is not None]
    if pick.remove is not None:
        texts = [re.sub(pick.remove, "", text) for text in texts]
    if pick.split is not None:
        texts = [part.strip() for text in texts for part in text.split(pick.split) if part.strip()]
    if len(texts) > MOST_VALUES:
        raise Unmapped(f"{name} has more than {MOST_VALUES} values")
    meant = plan.values.get(name)
    return [meant.get(text.strip(), text) for text in texts] if meant else texts


def _text(name: str, value: object) -> str | None:
    """None is no value. Halves of surrogate pairs, which no database takes, become U+FFFD."""
    if value is None:
        return None
    if not isinstance(value, str | int | float):  # bool is an int: True and False are answers
        raise Unmapped(f"{name} is {kind_of(value)}, wanted text")
    return whole(str(value))


def whole(text: str) -> str:
    """Without halves of surrogate pairs; two halves that belong together become the character that they are."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def kind_of(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return "something else"
