"""Configuration errors as an operator reads them at night: file:line: key: what was found, what was wanted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from vestnik.errors import ExitCode, VestnikError


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int  # from 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    place: Place
    key: str  # dotted path; "" for the document as a whole
    what: str

    def __str__(self) -> str:
        key = f"{self.key[:_LONGEST_KEY]}: " if self.key else ""
        # Keys and names of files are the operator's, or came from somewhere with the file: no terminal obeys them.
        return printable(f"{self.place}: {key}{self.what}")


_LONGEST_KEY = 200


class ConfigurationError(VestnikError):
    """Holds every problem at once, in the order of the files."""

    code = "configuration"
    exit_code = ExitCode.BAD_USAGE

    def __init__(self, problems: Iterable[Problem]) -> None:
        # Each once; those of one line and key in the order in which they were found.
        self.problems = sorted(dict.fromkeys(problems), key=lambda p: (p.place.file, p.place.line, p.key))
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean "x"?` or nothing."""
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f', did you mean "{nearest[0]}"?' if nearest else ""


def quoted(value: object) -> str:
    """A found value, short enough for one line and with nothing in it that moves a terminal's cursor."""
    text = str(value)
    shown = text if len(text) <= 60 else text[:57] + "..."
    return f'"{printable(shown)}"'


def printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
