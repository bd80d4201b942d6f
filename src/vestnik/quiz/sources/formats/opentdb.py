"""Open Trivia DB's answers, and files of them: `{"response_code": 0, "results": [{…}, …]}`, or the bare list.

The order of keys is never relied on; there are no ids. https://opentdb.com/api_config.php
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats import record
from vestnik.quiz.sources.formats.json_items import complaint
from vestnik.quiz.sources.formats.record import FormatError, Pick, Plan, Unmapped, Unreadable, kind_of

LONGEST_TOKEN = 200  # characters; theirs have 64

_FIELDS = {
    "text": Pick("question"),
    "correct": Pick("correct_answer"),
    "incorrect": Pick("incorrect_answers"),
    "type": Pick("type"),
    "category": Pick("category"),
    "difficulty": Pick("difficulty"),
}


def _base64(text: str) -> str:
    """Which values are encoded is not documented: one that is no base64 stands for itself."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return text


#: `entities` are screening's to decode, in whatever source they come.
ENCODINGS: dict[str, Callable[[str], str]] = {
    "entities": str,
    "urlLegacy": unquote_plus,
    "url3986": unquote,
    "base64": _base64,
}


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer says apart from its questions: all of it that the source has to know to go on."""

    code: int
    said: str | None  # fit for a log
    token: str | None

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Head:
        return cls(**json.loads(text))


def head_of(data: Any) -> Head:
    """Raises FormatError."""
    code = data.get("response_code") if isinstance(data, dict) else None
    if type(code) is not int:
        raise FormatError("it has no response_code: is this Open Trivia DB?")
    token = data.get("token")
    sound = isinstance(token, str) and 0 < len(token) <= LONGEST_TOKEN
    return Head(code, complaint(data), token if sound else None)


def asked_for(data: Any, most: int) -> list[Any]:
    """Raises FormatError, also for more results than that: so much is not what the far side was asked for."""
    results = results_of(data)
    if len(results) > most:
        raise FormatError(f"it has {len(results):,} questions, asked for were {most}")
    return results


def results_of(data: Any) -> list[Any]:
    """Raises FormatError."""
    found = data.get("results") if isinstance(data, dict) else data
    if not isinstance(found, list):
        raise FormatError(f'wanted a list of "results", found {kind_of(found)}')
    return found


def candidates(results: Sequence[Any], encoding: str, plan: Plan) -> Iterator[Candidate | Unreadable]:
    """Of the plan, only what values mean is used."""
    decode = ENCODINGS[encoding]
    return record.candidates(results, lambda item, pick: _values(item, pick, decode), Plan(_FIELDS, plan.values))


def _values(item: Any, pick: Pick, decode: Callable[[str], str]) -> list[object]:
    if not isinstance(item, dict):
        raise Unmapped(f"it is {kind_of(item)}, wanted an object")
    found = item.get(str(pick.select))
    values = found if isinstance(found, list) else [found]
    return [decode(value) if isinstance(value, str) else value for value in values]
