"""OpenTriviaQA's text (https://github.com/uberspot/OpenTriviaQA):

#Q A question until the next mark
^ The correct answer
A An option
B Another; the correct one is among them
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.record import Unmapped, Unreadable, assembled

MOST_LINES = 200  # of one question
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def candidates(lines: Iterable[str], category: str | None = None) -> Iterator[Candidate | Unreadable]:
    """The format knows no categories: collections have a file for each."""
    for number, block in _blocks(lines):
        yield _read(number, block, category)


def _blocks(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Each `#Q` and what follows it, with the number of its line. Empty lines end no question: poems have them."""
    begun, block = 1, list[str]()
    for number, line in enumerate(lines, 1):
        if line.startswith("#Q") or len(block) > MOST_LINES:
            if block:
                yield begun, block
            begun, block = number, []
        if line.strip():
            block.append(line)
    if block:
        yield begun, block


def _read(number: int, block: Sequence[str], category: str | None) -> Candidate | Unreadable:
    where = f"line {number}"
    if not block[0].startswith("#Q"):
        return Unreadable(where, "it stands outside of a question, which begins with #Q")
    answer = next((n for n, line in enumerate(block) if line.startswith("^")), None)
    if answer is None:
        return Unreadable(where, "the question has no line with its answer, which begins with ^")
    if len(block) > MOST_LINES:
        return Unreadable(where, f"the question has more than {MOST_LINES} lines")
    question = [block[0][2:].strip(), *(line.rstrip() for line in block[1:answer])]
    correct, *options = _answers(block[answer:])
    found = {"text": ["\n".join(question)], "correct": [correct], "options": options}
    try:
        return assembled(found | ({"category": [category]} if category else {}))
    except Unmapped as error:
        return Unreadable(where, str(error))


def _answers(lines: Sequence[str]) -> list[str]:
    """The correct one, then the options. Letters come in their order: "I think" is not option I after option B."""
    found = [lines[0][1:].strip()]
    for line in lines[1:]:
        letter = _LETTERS[len(found) - 1 : len(found)]
        if letter and line[:1] == letter and line[1:2] in ("", " ", "\t"):
            found.append(line[1:].strip())
        else:
            found[-1] += f"\n{line.rstrip()}"
    return found
