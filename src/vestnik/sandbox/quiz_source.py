"""A source of quiz questions that talks as Open Trivia DB does: its endpoints, codes, tokens, encodings and pace."""

from __future__ import annotations

import base64
import html
import json
import random
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html.entities import codepoint2name
from typing import Any
from urllib.parse import quote, quote_plus

from aiohttp import web

from vestnik.runtime.clock import Clock, monotonic
from vestnik.sandbox.far_side import Fault, HttpFarSide, Inbox
from vestnik.sandbox.quiz_questions import CATEGORIES, DOUBTFUL, QUESTIONS, Asked

MOST = 50
DIFFICULTIES = ("easy", "medium", "hard")
TYPES = ("multiple", "boolean")

#: Under these a request leaves no trace: what a token has not served, it has still to serve.
_ASKED_IN_VAIN = (Fault.DOWN, Fault.REFUSE, Fault.RATE_LIMIT)


@dataclass
class _Token:
    used_at: float
    served: set[str] = field(default_factory=set)


class QuizSource(HttpFarSide):
    """`/opentdb/api.php` and its siblings (https://opentdb.com/api_config.php).

    All or nothing: with fewer questions left than the amount asked for, none is given (code 1, with a token 4). One
    request in `pace` seconds from one address, over all endpoints.
    """

    name = "opentdb"

    def __init__(
        self, inbox: Inbox, *, questions: Sequence[Asked] = QUESTIONS, pace: float = 5.0, clock: Clock = monotonic
    ) -> None:
        super().__init__(inbox)
        self.questions = questions
        self.pace = pace
        self.given = 0
        self.token_life = 6 * 3600.0  # seconds without use
        self.legacy = False  # as before 2024: the rate limit is answered with HTTP 200
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self._last_request: dict[str, float] = {}  # by address

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/opentdb/api.php", self._answered(self._questions)),
            web.get("/opentdb/api_token.php", self._answered(self._token)),
            web.get("/opentdb/api_category.php", self._answered(self._categories)),
            web.get("/opentdb/api_count.php", self._answered(self._count)),
            web.get("/opentdb/api_count_global.php", self._answered(self._count_global)),
        ]

    def refused(self) -> web.Response:
        return _json({"response_code": 2, "results": []})

    def rate_limited(self) -> web.Response:
        """No Retry-After: there is none."""
        answer = {"response_code": 5, "response_message": "Rate Limit Exceeded"}
        return _json(answer, status=200 if self.legacy else 429)

    def _answered(self, answer: Callable[[Mapping[str, str]], dict[str, Any]]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if self._too_soon(request.remote or ""):
                return self.rate_limited()
            if self.fault in _ASKED_IN_VAIN:
                return await self.respond(request, [], _json({}))
            return await self.respond(request, [], _json(answer(request.query)))

        return handle

    def _too_soon(self, address: str) -> bool:
        now = self._clock()
        last = self._last_request.get(address)
        if last is not None and now - last < self.pace:
            return True
        self._last_request[address] = now
        return False

    def _questions(self, query: Mapping[str, str]) -> dict[str, Any]:
        amount = query.get("amount", "")
        if not amount.isdecimal() or not 1 <= int(amount) <= MOST or not _sound_filters(query):
            return {"response_code": 2, "results": []}
        token = None
        if "token" in query:
            token = self._living(query["token"])
            if token is None:
                return {"response_code": 3, "response_message": "Token Not Found"}
        fitting = [q for q in self.questions if _fits(q, query)]
        unseen = [q for q in fitting if token is None or q.text not in token.served]
        if len(unseen) < int(amount):
            return {"response_code": 1 if len(fitting) < int(amount) else 4, "results": []}
        chosen = _drawn(unseen, int(amount))
        if token is not None:
            token.served.update(q.text for q in chosen)
        self.given = (self.given or 0) + len(chosen)
        self.on_change()
        return {"response_code": 0, "results": [_on_the_wire(q, query.get("encode")) for q in chosen]}

    def _token(self, query: Mapping[str, str]) -> dict[str, Any]:
        match query.get("command"):
            case "request":
                self._tokens = {name: token for name, token in self._tokens.items() if self._lives(token)}
                made = secrets.token_hex(32)
                self._tokens[made] = _Token(self._clock())
                return {"response_code": 0, "response_message": "Token Generated Successfully!", "token": made}
            case "reset" if found := self._living(query.get("token", "")):
                found.served.clear()
                return {"response_code": 0, "token": query["token"]}
            case "reset":
                return {"response_code": 3, "response_message": "Token Not Found"}
            case _:
                return {"response_code": 2, "response_message": "Invalid Parameter"}

    def _living(self, name: str) -> _Token | None:
        token = self._tokens.get(name)
        if token is None or not self._lives(token):
            return None
        token.used_at = self._clock()
        return token

    def _lives(self, token: _Token) -> bool:
        return self._clock() - token.used_at <= self.token_life

    def forget_tokens(self) -> None:
        """As after six hours."""
        self._tokens.clear()

    def _categories(self, _query: Mapping[str, str]) -> dict[str, Any]:
        return {"trivia_categories": [{"id": number, "name": name} for number, name in CATEGORIES.items()]}

    def _count(self, query: Mapping[str, str]) -> dict[str, Any]:
        category = query.get("category", "")
        if not category.isdecimal() or int(category) not in CATEGORIES:
            return {"response_code": 2, "response_message": "Invalid Parameter"}
        found = [q for q in self.questions if q.category == int(category)]
        counts = {f"total_{level}_question_count": _count_of(found, level) for level in DIFFICULTIES}
        counts["total_question_count"] = len(found)
        return {"category_id": int(category), "category_question_count": counts}

    def _count_global(self, _query: Mapping[str, str]) -> dict[str, Any]:
        by_category = {str(number): _totals(sum(q.category == number for q in self.questions)) for number in CATEGORIES}
        return {"overall": _totals(len(self.questions)), "categories": by_category}


def _drawn(questions: Sequence[Asked], amount: int) -> list[Asked]:
    """At random, but a fifth of them are doubtful as long as there are such."""
    doubtful = [q for q in questions if q in DOUBTFUL]
    drawn = random.sample(doubtful, min(amount // 5, len(doubtful)))
    drawn += random.sample([q for q in questions if q not in drawn], amount - len(drawn))
    return random.sample(drawn, amount)


def _totals(count: int) -> dict[str, int]:
    return {
        "total_num_of_questions": count,
        "total_num_of_pending_questions": 0,
        "total_num_of_verified_questions": count,
        "total_num_of_rejected_questions": 0,
    }


def _count_of(questions: Iterable[Asked], difficulty: str) -> int:
    return sum(q.difficulty == difficulty for q in questions)


def _sound_filters(query: Mapping[str, str]) -> bool:
    category = query.get("category", "9")
    return (
        category.isdecimal()
        and 9 <= int(category) <= 32
        and query.get("difficulty", "easy") in DIFFICULTIES
        and query.get("type", "multiple") in TYPES
    )


def _fits(question: Asked, query: Mapping[str, str]) -> bool:
    return (
        query.get("category", str(question.category)) == str(question.category)
        and query.get("difficulty", question.difficulty) == question.difficulty
        and query.get("type", question.type) == question.type
    )


def _on_the_wire(question: Asked, encoding: str | None) -> dict[str, Any]:
    encode = _ENCODINGS.get(encoding or "", _entities)
    return {
        "type": encode(question.type),
        "difficulty": encode(question.difficulty),
        "category": encode(CATEGORIES[question.category]),
        "question": encode(question.text),
        "correct_answer": encode(question.correct),
        "incorrect_answers": [encode(text) for text in question.incorrect],
    }


def _entities(text: str) -> str:
    """As PHP's htmlentities: every character that has a name."""
    escaped = html.escape(text).replace("&#x27;", "&#039;")
    return "".join(c if c.isascii() else _named(c) for c in escaped)


def _named(character: str) -> str:
    name = codepoint2name.get(ord(character))
    return f"&{name};" if name else character


def _percent(text: str) -> str:
    return quote(text, safe="")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


_ENCODINGS: dict[str, Callable[[str], str]] = {"urlLegacy": quote_plus, "url3986": _percent, "base64": _base64}


def _json(answer: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=json.dumps(answer).encode(), content_type="application/json")
