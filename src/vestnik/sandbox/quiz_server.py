"""The main quiz server: takes batches of questions, each once, and says what became of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from vestnik.sandbox.far_side import Arrival, HttpFarSide, Inbox

MOST = 100  # questions in a batch

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Batch:
    digest: bytes  # of the body
    results: list[Result]


class MainQuizServer(HttpFarSide):
    """`POST /main/questions` with a key, an `Idempotency-Key` and `{"batch_id", "questions": […]}`.

    A known Idempotency-Key is answered as the first time, and nothing is taken again; 409 while its first request is
    still under way, 422 with another body (draft-ietf-httpapi-idempotency-key-header, 2.7). Across batches a question
    is known by its hash. The answer has a result for each question, or with `?answer=bare` in the URL no body at all.
    """

    name = "main"

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.key = "sandbox-key"
        self.key_header = "Authorization"  # it carries "Bearer KEY", any other header the bare key
        self.per_item = True
        self.knows_hashes = True  # False: it knows batches only, and takes a question again that comes in another one
        self.unwanted = "[unwanted]"  # a question with this in its text is found invalid
        self.replays = 0  # batches that came again
        self._under_way: dict[str, _Batch] = {}
        self._kept: dict[str, _Batch] = {}
        self._hashes: set[str] = set()

    def routes(self) -> Sequence[web.RouteDef]:
        return [web.post("/main/questions", self._import)]

    def refused(self) -> web.Response:
        return _error(422, "invalid_batch", "this batch cannot be taken")

    def rate_limited(self) -> web.Response:
        response = _error(429, "too_many_requests", "too many batches")
        response.headers["Retry-After"] = str(self.retry_after)
        return response

    async def _import(self, request: web.Request) -> web.StreamResponse:
        if not self._has_key(request):
            return _error(401, "unauthorized", "no valid key")
        key, body = request.headers.get("Idempotency-Key", ""), await request.read()
        questions = _questions(body)
        problem = _problem(key, questions)
        if problem:
            return problem
        batch = _Batch(hashlib.sha256(body).digest(), [self._result(i, q) for i, q in enumerate(questions)])
        if key in self._kept or key in self._under_way:
            return await self._again(request, key, batch)
        return await self._first(request, key, batch, questions)

    async def _first(
        self, request: web.Request, key: str, batch: _Batch, questions: Sequence[Any]
    ) -> web.StreamResponse:
        statuses = [result["status"] for result in batch.results]
        if "invalid" in statuses and not self._answers_per_item(request):
            return self.refused()
        created = [q for q, status in zip(questions, statuses, strict=True) if status == "created"]
        self._under_way[key] = batch
        try:
            arrivals = [self._arrival(question, key) for question in created]
            return await self.respond(request, arrivals, self._answer(request, batch))
        finally:
            del self._under_way[key]

    async def _again(self, request: web.Request, key: str, batch: _Batch) -> web.StreamResponse:
        if key in self._under_way:
            return _error(409, "in_progress", "the first request with this key is still under way")
        kept = self._kept[key]
        if kept.digest != batch.digest:
            return _error(422, "key_reused", "this key came with another body")
        self.replays += 1
        return await self.respond(request, [], self._answer(request, kept))

    async def _take(self, arrivals: Iterable[Arrival]) -> None:
        taken = list(arrivals)
        for arrival in taken:
            self._hashes.add(arrival.details["hash"])
            self._kept[str(arrival.reference)] = self._under_way[str(arrival.reference)]
        await super()._take(taken)

    def _has_key(self, request: web.Request) -> bool:
        wanted = f"Bearer {self.key}" if self.key_header.lower() == "authorization" else self.key
        return request.headers.get(self.key_header) == wanted

    def _answers_per_item(self, request: web.Request) -> bool:
        return self.per_item and request.query.get("answer") != "bare"

    def _answer(self, request: web.Request, batch: _Batch) -> web.Response:
        if not self._answers_per_item(request):
            return web.Response(status=200)
        return web.json_response({"results": batch.results}, status=200)

    def _result(self, index: int, question: Any) -> Result:
        problem = self._invalid(question)
        if problem:
            return {"index": index, "status": "invalid", "error": problem}
        status = "duplicate" if self.knows_hashes and question["hash"] in self._hashes else "created"
        return {"index": index, "hash": question["hash"], "status": status}

    def _invalid(self, question: Any) -> str | None:
        if not isinstance(question, dict):
            return "a question must be an object"
        for name in ("hash", "text"):
            if not isinstance(question.get(name), str) or not question[name]:
                return f"{name} must be text"
        if not isinstance(question.get("correct_answers"), list) or not question["correct_answers"]:
            return "correct_answers must name at least one"
        return "this server does not want it" if self.unwanted in question["text"] else None

    def _arrival(self, question: dict[str, Any], key: str) -> Arrival:
        details = {name: _shown(question.get(name)) for name in _SHOWN if question.get(name)}
        category = _shown(question.get("category")) or "questions"
        return Arrival(self.name, category, question["text"], reference=key, details=details)


_SHOWN = ("hash", "correct_answers", "incorrect_answers", "difficulty", "language", "source")


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case list():
            return " · ".join(map(_shown, value))
        case dict():
            return _shown(next(filter(None, value.values()), None))
        case _:
            return str(value)


def _problem(key: str, questions: Sequence[Any]) -> web.Response | None:
    if not key:
        return _error(400, "no_idempotency_key", "Idempotency-Key is missing")
    if not questions:
        return _error(422, "invalid_batch", 'wanted {"batch_id": "…", "questions": [one or more]}')
    if len(questions) > MOST:
        return _error(413, "too_large", f"at most {MOST} questions at once")
    return None


def _questions(body: bytes) -> list[Any]:
    """Empty where the body is not what it should be."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return []
    questions = parsed.get("questions") if isinstance(parsed, dict) else None
    return questions if isinstance(questions, list) else []


def _error(status: int, code: str, description: str) -> web.Response:
    return web.json_response({"code": code, "description": description}, status=status)
