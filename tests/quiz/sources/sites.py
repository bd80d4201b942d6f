"""A far side that answers as a test tells it to: a real server on loopback."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Answer:
    body: bytes | str = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Site:
    """Gives the answers of a path one after the other; the last one again and again."""

    def __init__(self) -> None:
        self._answers: dict[str, list[Answer | Handler]] = {}
        self.requests: list[web.Request] = []
        application = web.Application()
        application.router.add_get("/{path:.*}", self._handle)
        self.server = TestServer(application)

    def answers(self, path: str, *answers: Answer | Handler) -> None:
        self._answers[path] = list(answers)

    def gives_json(self, path: str, *values: Any) -> None:
        headers = {"Content-Type": "application/json"}
        self.answers(path, *(Answer(json.dumps(value), headers=headers) for value in values))

    def url(self, path: str = "/") -> str:
        return str(self.server.make_url("/")).rstrip("/") + path

    def asked(self) -> list[str]:
        return [str(request.rel_url) for request in self.requests]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        answers = self._answers.get(request.path)
        if not answers:
            return web.Response(status=404, text="no such page")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not isinstance(answer, Answer):
            return await answer(request)
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        return web.Response(status=answer.status, body=body, headers=answer.headers)
