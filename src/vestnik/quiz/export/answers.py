"""What an answer of the main server means for the batch that was sent. Pure.

Two contracts: a 2xx that says yes as `yes` lists it takes the whole batch; or a 2xx carries `{"results": [{"index" or
"hash", "status", …}, …]}` with `created`, `duplicate` or `invalid` for each question. Every other 2xx leaves open what
became of the batch. docs/export.md has the table of all answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vestnik.delivery.workers.http_exchange import Answer
from vestnik.quiz.export.yes import NoJson, is_yes, parsed, takes_back

CREATED, DUPLICATE, INVALID = "created", "duplicate", "invalid"


@dataclass(frozen=True, slots=True)
class Taken:
    """A 2xx. Both are by position in the batch; of a question that is in neither, nothing was said."""

    gone: Mapping[int, str]  # to "created", "duplicate", or "acknowledged" for a bare 2xx
    invalid: Mapping[int, str]  # to the server's reason
    said: str = field(default="", compare=False)  # the answer's text, fit for a log

    def silent(self, count: int) -> list[int]:
        """The positions, of `count`, that nothing was said about."""
        return [n for n in range(count) if n not in self.gone and n not in self.invalid]


@dataclass(frozen=True, slots=True)
class Refused:
    """The batch as it is will never be taken: 400, 413, 422."""

    reason: str


@dataclass(frozen=True, slots=True)
class Denied:
    """The key is missing, wrong or not allowed: 401, 403. Asking again makes it worse."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """The same batch is to be sent again, under the same key."""

    reason: str
    retry_after: float | None = None  # seconds, as the server asked
    unclear: bool = False  # it may have been stored
    of_batch: bool = False  # the batch itself may be the cause, so that others could pass


Verdict = Taken | Refused | Denied | Later


def judge(answer: Answer, hashes: Sequence[str], quoted: str) -> Verdict:
    """`hashes` are those of the batch's questions in its order; `quoted` is the answer's text, fit for a log."""
    said = f"the main server answered {answer.status}" + (f": {quoted}" if quoted else "")
    match answer.status:
        case 401 | 403:
            return Denied(said)
        case 400 | 413 | 422:
            return Refused(said)
        case 500:
            return Later(said, answer.retry_after, unclear=True, of_batch=True)
        case 408 | 502 | 504:
            return Later(said, answer.retry_after, unclear=True)
        case status if 300 <= status < 400:
            return Later(f"{said} (redirects are not followed: export.url must name the place itself)")
        case status if 200 <= status < 300:
            unclear = Later(f"{said} (that is no yes as docs/export.md lists them)", unclear=True, of_batch=True)
            return _taken(answer, hashes, quoted) or unclear
        case _:
            return Later(said, answer.retry_after)


def _taken(answer: Answer, hashes: Sequence[str], quoted: str) -> Taken | None:
    """None for a 2xx that cannot be taken for a yes."""
    if not answer.whole:
        return None
    if is_yes(answer.text):
        return Taken(dict.fromkeys(range(len(hashes)), "acknowledged"), {}, quoted)
    results = _results(answer.text)
    return None if results is None else _by_question(results, hashes, quoted)


def _results(text: str) -> list[Any] | None:
    """One for each question, unless something beside them says that it went wrong."""
    try:
        body = parsed(text)
    except NoJson:
        return None
    found = body.get("results") if isinstance(body, dict) and not takes_back(body) else body
    return found if isinstance(found, list) else None


def _by_question(results: Sequence[Any], hashes: Sequence[str], quoted: str) -> Taken:
    said: dict[int, set[tuple[str, str]]] = {}
    for position, status, error in _entries(results, hashes):
        said.setdefault(position, set()).add((status, error))
    # Two different words about one question are none.
    agreed = {position: next(iter(words)) for position, words in said.items() if len({s for s, _ in words}) == 1}
    gone = {position: status for position, (status, error) in agreed.items() if _is_there(status, error)}
    invalid = {position: error for position, (status, error) in agreed.items() if status == INVALID}
    return Taken(gone, invalid, quoted)


def _is_there(status: str, error: str) -> bool:
    """A duplicate may well say why it is one; what was created has nothing to complain of."""
    return status == DUPLICATE or (status == CREATED and not error)


def _entries(results: Sequence[Any], hashes: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Position, status and error of each result that can be told apart."""
    places = {text_hash: n for n, text_hash in enumerate(hashes)}
    whole = len(results) == len(hashes)
    for number, entry in enumerate(results):
        if isinstance(entry, dict) and isinstance(entry.get("status"), str):
            position = _position(entry, places, number if whole else None)
            if position is not None:
                yield position, entry["status"].lower(), _error(entry)


def _position(entry: Mapping[str, Any], places: Mapping[str, int], number: int | None) -> int | None:
    """By `index` or `hash`, which must not contradict each other; without both, by the place in a whole list."""
    index, text_hash = entry.get("index"), entry.get("hash")
    by_hash = places.get(text_hash) if isinstance(text_hash, str) else None
    if index is None and text_hash is None:
        return number
    if index is None:
        return by_hash
    if type(index) is not int or not 0 <= index < len(places):
        return None
    return index if text_hash is None or by_hash == index else None


def _error(entry: Mapping[str, Any]) -> str:
    found = next((entry[name] for name in ("error", "reason", "message") if entry.get(name)), "")
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
