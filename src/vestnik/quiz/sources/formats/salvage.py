"""Reads what is broken in places: the broken record is cut out and named, and the rest is read.

Published collections have such places by the dozen: a quote inside a quoted text, a bare `&`, a colon that YAML takes
for its own. To guess what was meant would be to invent questions; to give the file up would be to lose the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from vestnik.quiz.sources.formats.record import FormatError, Unreadable

MOST_CUTS = 200  # each costs reading everything once more
MOST_CUT_LINES = 500  # what is longer is no record

T = TypeVar("T")


class Broken(Exception):
    """What a parser met. `line` and `column` count from 1."""

    def __init__(self, why: str, line: int, column: int = 1) -> None:
        super().__init__(why)
        self.why = why
        self.line = line
        self.column = column


#: Makes of (text, the trouble in it) the text without the record around the trouble, on as many lines as before, and
#: the numbers of the first and last line that were cut; None when there is no record around it.
Cut = Callable[[str, Broken], tuple[str, int, int] | None]


def read(text: str, parse: Callable[[str], T], cut: Cut) -> tuple[T, list[Unreadable]]:
    """Raises FormatError when too little can be saved."""
    cuts: list[Unreadable] = []
    while True:
        try:
            return parse(text), cuts
        except Broken as trouble:
            found = cut(text, trouble) if len(cuts) < MOST_CUTS else None
            if found is None:
                raise FormatError(f"{trouble.why} in line {trouble.line}") from None
            text, first, last = found
            cuts.append(Unreadable(_lines(first, last), f"{trouble.why} in line {trouble.line}"))


def _lines(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first}-{last}"


def cut_json(text: str, trouble: Broken) -> tuple[str, int, int] | None:
    """The object that stands over several lines around the trouble, or on its line alone; else the member on the line.

    Only JSON that is laid out line by line can be cut.
    """
    lines = text.split("\n")
    at = trouble.line - 1
    span = _object_around(lines, at)
    if span is not None:
        first, last = span
        return _replaced(lines, first, last, "null," if lines[last].rstrip().endswith(",") else "null")
    line = lines[at].strip()
    if line.rstrip(",") == "null":  # what stands here was cut before, and is still in the way
        return _replaced(lines, at, at, "")
    if not re.match(r'"[^"]*"\s*:', line) or line == _NO_MEMBER:
        return None
    return _replaced(lines, at, at, f"{_NO_MEMBER}," if line.endswith(",") else _NO_MEMBER)


_NO_MEMBER = '"": null'


def _object_around(lines: list[str], at: int) -> tuple[int, int] | None:
    here = lines[at].strip()
    alone = here.startswith("{") and here.rstrip(",").endswith("}")
    first = at if alone else next((n for n in _upwards(at) if _opens(lines, n, at)), None)
    if first is None or not any(line.strip() for line in lines[:first]):  # the whole document is no record
        return None
    if alone:
        return at, at
    margin = _indent(lines[first])
    for last in range(at, min(len(lines), first + MOST_CUT_LINES)):
        if lines[last].strip() in ("}", "},") and _indent(lines[last]) == margin:
            return first, last
    return None


def _opens(lines: list[str], n: int, at: int) -> bool:
    return lines[n].strip() == "{" and (n == at or _indent(lines[n]) < _indent(lines[at]))


def cut_yaml(text: str, trouble: Broken) -> tuple[str, int, int] | None:
    """The item of a list, with keys of its own, around the trouble; where there is none, the line alone."""
    lines = text.split("\n")
    at = min(trouble.line, len(lines)) - 1
    first = _item_around(lines, at)
    if first is None:
        return _replaced(lines, at, at, "") if _MEMBER.match(lines[at]) else None
    margin = _indent(lines[first])
    last = first
    while last + 1 < len(lines) and (not lines[last + 1].strip() or _indent(lines[last + 1]) > margin):
        last += 1
    if last - first >= MOST_CUT_LINES:
        return None
    return _replaced(lines, first, max(last, at), "")


_MEMBER = re.compile(r"\s*[\w\"'][^:]*:\s")
_ITEM = re.compile(r"\s*- +[^\s:][^:]*:(\s|$)")


def _item_around(lines: list[str], at: int) -> int | None:
    if _ITEM.match(lines[at]) and at + 1 < len(lines) and _indent(lines[at + 1]) > _indent(lines[at]):
        return at
    margin = _indent(lines[at])
    for n in _upwards(at - 1):
        if lines[n].strip() and _indent(lines[n]) < margin:
            if _ITEM.match(lines[n]):
                return n
            margin = _indent(lines[n])
    return at if lines[at].lstrip().startswith("- ") else None


def _upwards(at: int) -> range:
    return range(at, max(-1, at - MOST_CUT_LINES), -1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _replaced(lines: list[str], first: int, last: int, by: str) -> tuple[str, int, int]:
    whole = [*lines[:first], by, *[""] * (last - first), *lines[last + 1 :]]
    return "\n".join(whole), first + 1, last + 1


def cut_element(tag: str) -> Cut:
    """Cuts the element of that name around the trouble."""
    opening = re.compile(rf"<{re.escape(tag)}[\s>]")
    closing = f"</{tag}>"

    def cut(text: str, trouble: Broken) -> tuple[str, int, int] | None:
        at = _offset(text, trouble)
        start = max((found.start() for found in opening.finditer(text, 0, at)), default=None)
        if start is None or text.find(closing, start, at) >= 0:
            return None
        end = text.find(closing, at)
        if end < 0:
            return None
        end += len(closing)
        first, height = text.count("\n", 0, start) + 1, text.count("\n", start, end)
        return text[:start] + "\n" * height + text[end:], first, first + height

    return cut


def _offset(text: str, trouble: Broken) -> int:
    at = 0
    for _ in range(trouble.line - 1):
        at = text.find("\n", at) + 1
    return at + trouble.column - 1
