"""OpenQuizzDB's text (https://www.openquizzdb.org):

- - - - -
 F R A N C A I S
- - - - -

[1 - Débutant]          older files: [Débutant]
Question: The question
A > An option
B > The correct one *
Anecdote: What else there is to say
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.record import Plan, Unmapped, Unreadable, assembled

MOST_LINES = 50  # of one question

LANGUAGES = {
    "FRANCAIS": "fr",
    "ANGLAIS": "en",
    "ALLEMAND": "de",
    "ESPAGNOL": "es",
    "ITALIEN": "it",
    "NEERLANDAIS": "nl",
}
_HEAD = re.compile(r"\[\s*(?:(\d+)\s*-\s*)?([^\]]*?)\s*\]$")
_OPTION = re.compile(r"[A-Z]\s*>\s?(.*)$")
_TITLE = re.compile(r"\*\*\s*Quizz\s*:\s*(.+)$")
_LANGUAGE = re.compile(r"\s*((?:[A-Z] ){3,}[A-Z])$")


@dataclass(slots=True)
class _Heading:
    """What stands above the questions."""

    category: str | None = None
    language: str | None = None


@dataclass(slots=True)
class _Block:
    line: int
    number: str | None  # older files have none
    level: str
    language: str | None
    lines: list[str] = field(default_factory=list)


def candidates(lines: Iterable[str], plan: Plan) -> Iterator[Candidate | Unreadable]:
    heading = _Heading()
    block: _Block | None = None
    for number, line in enumerate(lines, 1):
        head = _HEAD.match(line.strip())
        if head is None and (block is None or not _LANGUAGE.match(line)):
            _take(line, block, heading)
            continue
        if block is not None:
            yield _read(block, heading.category, plan)
        if head is None:
            block = None
            _take(line, block, heading)
        else:
            block = _Block(number, head[1], head[2], heading.language)
    if block is not None:
        yield _read(block, heading.category, plan)


def _take(line: str, block: _Block | None, heading: _Heading) -> None:
    if block is not None:
        if line.strip() and line.strip("- "):
            block.lines.append(line)
    elif title := _TITLE.match(line.rstrip()):
        heading.category = title[1]
    elif language := _LANGUAGE.match(line.rstrip()):
        heading.language = LANGUAGES.get(language[1].replace(" ", ""))


def _read(block: _Block, category: str | None, plan: Plan) -> Candidate | Unreadable:
    where = f"line {block.line}"
    if len(block.lines) > MOST_LINES:
        return Unreadable(where, f"the question has more than {MOST_LINES} lines")
    question = _after(block.lines, "Question:")
    if not question:
        return Unreadable(where, "there is no line with Question:")
    options = [option[1] for line in block.lines if (option := _OPTION.match(line.rstrip()))]
    right = [option[:-1].rstrip() for option in options if option.endswith("*")]
    if not right:
        return Unreadable(where, "no option is marked as the right one")
    found = {
        "text": question,
        "difficulty": plan.values.get("difficulty", {}).get(block.level, block.level),
        "external_id": block.number,
        "language": block.language,
        "category": category,
        "explanation": _after(block.lines, "Anecdote:"),
    }
    lists = {"correct": right, "incorrect": [option for option in options if not option.endswith("*")]}
    try:
        return assembled({name: [value] for name, value in found.items() if value} | lists)
    except Unmapped as error:
        return Unreadable(where, str(error))


def _after(lines: Sequence[str], mark: str) -> str | None:
    return next((line[len(mark) :].strip() for line in lines if line.startswith(mark)), None)
