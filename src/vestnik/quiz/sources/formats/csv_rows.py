"""CSV, row by row: with a header that names the columns, or with a layout for each width that rows have."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.markup import described_page, is_page
from vestnik.quiz.sources.formats.record import FormatError, Pick, Plan, Unmapped, Unreadable, candidate

MOST_LINES = 50  # of one row; a quote that is never closed must not swallow the file

IGNORED = "-"  # in a layout


@dataclass(frozen=True, slots=True)
class Shape:
    """`layouts`: for rows of so many columns, what each column is; empty when the first row is a header."""

    delimiter: str = ","
    quote: str | None = '"'
    layouts: Mapping[int, Sequence[str]] | None = None


def candidates(lines: Iterable[str], shape: Shape, plan: Plan) -> Iterator[Candidate | Unreadable]:
    """Raises FormatError."""
    rows = _rows(_checked(lines), shape)
    if shape.layouts:
        yield from _by_layout(rows, shape.layouts, plan)
    else:
        yield from _by_header(rows, plan)


def _checked(lines: Iterable[str]) -> Iterator[str]:
    rest = iter(lines)
    begin = list(islice(rest, 10))
    if is_page("\n".join(begin)):
        raise FormatError(f"it is {described_page(chr(10).join(begin))}, wanted CSV")
    yield from begin
    yield from rest


class _Source:
    """Hands lines to a csv.reader, knows which they were, and takes back those that it should not have had."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: list[str] = []
        self.number = 0  # of the line that was handed out last
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= MOST_LINES:
            raise StopIteration
        line = self._again.pop() if self._again else next(self._lines)
        self.number += 1
        self.taken.append(line)
        return line + "\n"

    def give_back(self) -> None:
        """All but the first of the lines taken."""
        self._again += reversed(self.taken[1:])
        self.number -= len(self.taken) - 1


def _rows(lines: Iterator[str], shape: Shape) -> Iterator[tuple[int, list[str] | Unreadable]]:
    """With the number of the line where each begins; without empty ones."""
    source = _Source(lines)
    while True:
        source.taken.clear()
        reader = csv.reader(
            source,
            delimiter=shape.delimiter,
            quotechar=shape.quote,
            quoting=csv.QUOTE_MINIMAL if shape.quote else csv.QUOTE_NONE,
            strict=True,
        )
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            first = source.number - len(source.taken) + 1
            unclosed = len(source.taken) >= MOST_LINES or "unexpected end" in str(error)
            source.give_back()
            why = "a quote is not closed" if unclosed else f"it is not CSV ({error})"
            yield first, Unreadable(f"line {first}", why)
        else:
            if any(value.strip() for value in row):
                yield source.number - len(source.taken) + 1, row


def _by_layout(
    rows: Iterable[tuple[int, list[str] | Unreadable]], layouts: Mapping[int, Sequence[str]], plan: Plan
) -> Iterator[Candidate | Unreadable]:
    named = {width: _fields_of(layout) for width, layout in layouts.items()}
    wanted = " or ".join(map(str, sorted(layouts)))
    for line, row in rows:
        if isinstance(row, Unreadable):
            yield row
        elif len(row) not in named:
            yield Unreadable(f"line {line}", f"it has {len(row)} columns, wanted {wanted}")
        else:
            columns = named[len(row)]
            fields = {name: replace(plan.fields.get(name, Pick()), select=name) for name in columns}
            yield _mapped(line, {name: [row[n] for n in places] for name, places in columns.items()}, fields, plan)


def _fields_of(layout: Sequence[str]) -> dict[str, list[int]]:
    fields: dict[str, list[int]] = {}
    for place, name in enumerate(layout):
        if name != IGNORED:
            fields.setdefault(name, []).append(place)
    return fields


def _by_header(rows: Iterator[tuple[int, list[str] | Unreadable]], plan: Plan) -> Iterator[Candidate | Unreadable]:
    header = next((row for _, row in rows), [])
    if isinstance(header, Unreadable):
        raise FormatError(f"its header cannot be read: {header.why}")
    names = [name.strip() for name in header]
    for pick in plan.fields.values():
        for wanted in pick.select or ():
            if wanted not in names:
                raise FormatError(f'its header has no column "{wanted}"')
    for line, row in rows:
        if isinstance(row, Unreadable):
            yield row
        elif len(row) != len(names):
            yield Unreadable(f"line {line}", f"it has {len(row)} columns, the header has {len(names)}")
        else:
            yield _mapped(line, {n: [v] for n, v in zip(names, row, strict=True)}, plan.fields, plan)


def _mapped(
    line: int, columns: Mapping[str, list[str]], fields: Mapping[str, Pick], plan: Plan
) -> Candidate | Unreadable:
    def values(pick: Pick) -> list[str]:
        names = (pick.select,) if isinstance(pick.select, str) else pick.select or ()
        return [value for name in names for value in columns[name]]

    try:
        return candidate(values, Plan(fields, plan.values))
    except Unmapped as error:
        return Unreadable(f"line {line}", str(error))
