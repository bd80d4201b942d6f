"""Bytes of a CSV, as they come, to clients and bad rows. Nothing here does I/O, and nothing of the file is kept.

No field of a client holds a line break, so each line is a row: an open quote spoils its own line and no other.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vestnik.errors import VestnikError
from vestnik.mailings.client_fields import Given, default_code

COLUMNS = ("phone", "operator_code", "tag", "timezone")
LONGEST_LINE = 1_000  # bytes

Encoding = Literal["utf-8", "cp1251"]

_DELIMITERS = (",", ";", "\t")
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SHIELDED = re.compile(r"'+[=+\-@]")


class NotClients(VestnikError):
    """The file as a whole cannot be read: its beginning says so."""

    code = "not_clients"


@dataclass(frozen=True, slots=True)
class BadRow:
    line: int  # of the file, which begins with line 1
    reason: str


@dataclass(slots=True)
class Rows:
    """What one piece of the file held."""

    good: list[Given] = field(default_factory=list[Given])
    bad: list[BadRow] = field(default_factory=list[BadRow])


class RowReader:
    """For one file: `feed` it in pieces of any size, then `end`."""

    def __init__(self, encoding: Encoding = "utf-8") -> None:
        self._encoding = encoding
        self._lines = Lines()
        self._header: _Header | None = None

    def feed(self, data: bytes) -> Rows:
        """Raises NotClients."""
        return self._rows(self._lines.feed(data))

    def end(self) -> Rows:
        """Of a last line that no line break ends. Raises NotClients."""
        rows = self._rows(self._lines.end())
        if self._header is None:
            raise NotClients("it is empty, wanted a header such as phone,operator_code,tag,timezone")
        return rows

    def _rows(self, lines: Sequence[tuple[int, bytes]]) -> Rows:
        rows = Rows()
        for number, line in lines:
            if self._header is None:
                self._header = _header(line, self._encoding) if line.strip() else None
            elif line.strip(b" \t\r,;"):
                found = self._header.row(line, self._encoding)
                if isinstance(found, str):
                    rows.bad.append(BadRow(number, found))
                else:
                    rows.good.append(found)
        return rows


class Lines:
    """Cuts what comes into numbered lines. Of one that is too long only the beginning is kept: enough to see that."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        *whole, rest = (self._rest + data).split(b"\n")
        lines = [(self._number + count, line) for count, line in enumerate(whole, start=1)]
        self._number += len(whole)
        self._rest = rest[: LONGEST_LINE + 1]
        return lines

    def end(self) -> list[tuple[int, bytes]]:
        return self.feed(b"\n") if self._rest else []


@dataclass(frozen=True, slots=True)
class _Header:
    columns: Sequence[str]
    delimiter: str

    def row(self, line: bytes, encoding: Encoding) -> Given | str:
        """The client, or what is wrong with the row."""
        if len(line) > LONGEST_LINE:
            return f"it is longer than {LONGEST_LINE:,} bytes"
        values = _cells(line, encoding, self.delimiter)
        if isinstance(values, str):
            return values
        if len(values) != len(self.columns):
            return f"it has {len(values)} columns, the header has {len(self.columns)}"
        given = _given(dict(zip(self.columns, values, strict=True)))
        problems = dict(given.problems())
        return given if not problems else "; ".join(f"{name} {problem}" for name, problem in problems.items())


def _given(cells: dict[str, str]) -> Given:
    """A column that is not there says nothing; an empty cell of a code or a tag stands for the default."""
    phone = cells["phone"].strip()
    code, tag, zone = (cells[name].strip() if name in cells else None for name in COLUMNS[1:])
    if code == "":
        code = default_code(phone)
    if tag is not None and _SHIELDED.match(tag):
        tag = tag[1:]
    return Given(phone, code, tag, zone or None)


def _cells(line: bytes, encoding: Encoding, delimiter: str) -> list[str] | str:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return f"it is not {encoding}{' (a file of an older Windows may be cp1251)' if encoding == 'utf-8' else ''}"
    text = text.rstrip("\r")
    if "\r" in text:
        return "it holds a CR without an LF, wanted lines that end with LF or CR LF"
    try:
        return next(csv.reader((text,), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration) as error:
        unclosed = "unexpected end" in str(error)
        return "a quote is not closed" if unclosed else f"it is not CSV ({error})"


def _header(line: bytes, encoding: Encoding) -> _Header:
    """Raises NotClients."""
    if line.startswith(_WIDE):
        raise NotClients("it is UTF-16, wanted UTF-8")
    line = line.removeprefix(codecs.BOM_UTF8)
    delimiter = max(_DELIMITERS, key=lambda one: line.count(one.encode()))
    cells = _cells(line[:LONGEST_LINE], encoding, delimiter)
    if isinstance(cells, str):
        raise NotClients(f"its header cannot be read: {cells}")
    columns = [cell.strip().lower() for cell in cells]
    if problem := next(_header_problems(columns), None):
        raise NotClients(problem)
    return _Header(columns, delimiter)


def _header_problems(columns: Sequence[str]) -> Iterator[str]:
    known = f"wanted a header of {', '.join(COLUMNS)}, of which phone has to be there"
    for column in columns:
        if column not in COLUMNS:
            yield f"its header has a column {column[:40]!r}; {known}"
        if columns.count(column) > 1:
            yield f"its header has a column {column!r} twice"
    if "phone" not in columns:
        yield f"its header has no column phone; {known}"
