"""Telegram's Bot API, as far as one needs it to send texts (https://core.telegram.org/bots/api).

Words and order of the checks are those of Telegram's own server (github.com/tdlib/telegram-bot-api).
"""

from __future__ import annotations

import itertools
import json
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from vestnik.sandbox.far_side import Arrival, HttpFarSide, Inbox

LONGEST_TEXT = 4096  # UTF-16 code units
_LONGEST_FIELD = 1 << 15  # bytes
_PARSE_MODES = ("", "none", "markdown", "markdownv2", "html")


class BotApi(HttpFarSide):
    """`getMe` and `sendMessage`, for any token of the right form and any chat, unless a field says otherwise."""

    name = "telegram"

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.revoked_tokens: set[str] = set()
        self.blocked_chats: set[str] = set()
        self.unknown_chats: set[str] = set()
        self.migrated: dict[str, str] = {}  # a group to the supergroup that it has become
        self._numbers = itertools.count(1)

    def routes(self) -> Sequence[web.RouteDef]:
        path = "/telegram/bot{token}/{method}"
        return [web.get(path, self._answer, allow_head=False), web.post(path, self._answer)]

    def refused(self) -> web.Response:
        return _error(403, "Forbidden: bot was blocked by the user")

    def rate_limited(self) -> web.Response:
        response = _error(429, f"Too Many Requests: retry after {self.retry_after}", retry_after=self.retry_after)
        response.headers["Retry-After"] = str(self.retry_after)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        token = request.match_info["token"]
        if not re.fullmatch(r"[1-9][0-9]{0,16}:[^/]{1,62}", token):
            return _error(401, "Unauthorized: invalid token specified")
        if token in self.revoked_tokens:
            return _error(401, "Unauthorized")
        match request.match_info["method"].lower():
            case "getme":
                return await self.respond(request, [], _result(_bot(token)))
            case "sendmessage":
                return await self._send_message(request, token, await _parameters(request))
            case _:
                return _error(404, "Not Found: method not found")

    async def _send_message(
        self, request: web.Request, token: str, parameters: Mapping[str, str]
    ) -> web.StreamResponse:
        chat, text = parameters.get("chat_id", ""), parameters.get("text", "")
        problem = _text_problem(text, parameters.get("parse_mode", "")) or self._chat_problem(chat)
        if problem:
            return problem
        text = _cleaned(text)
        if not text:
            return _error(400, "Bad Request: text must be non-empty")
        if len(text.encode("utf-16-le")) // 2 > LONGEST_TEXT:
            return _error(400, "Bad Request: message is too long")
        number = next(self._numbers)
        message = {"message_id": number, "from": _bot(token), "chat": _chat(chat), "date": int(time.time())}
        arrival = Arrival(self.name, chat, text, reference=str(number), details=_details(token, parameters))
        return await self.respond(request, [arrival], _result({**message, "text": text}))

    def _chat_problem(self, chat: str) -> web.Response | None:
        if not chat:
            return _error(400, "Bad Request: chat_id is empty")
        if chat in self.migrated:
            new = int(self.migrated[chat])
            return _error(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=new)
        if chat in self.unknown_chats or not re.fullmatch(r"-?[1-9][0-9]{0,18}|@\w{4,32}", chat):
            return _error(400, "Bad Request: chat not found")
        return self.refused() if chat in self.blocked_chats else None


def _result(result: Mapping[str, Any]) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _error(code: int, description: str, **parameters: int) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    return web.json_response({**body, "parameters": parameters} if parameters else body, status=code)


async def _parameters(request: web.Request) -> dict[str, str]:
    """From the query, then from a form or a JSON object. What cannot be read is left out, as the real server does."""
    return {**await _from_body(request), **request.query}


async def _from_body(request: web.Request) -> dict[str, str]:
    try:
        if request.content_type == "application/json":
            fields = await request.json()
            return {name: _as_text(value) for name, value in fields.items()} if isinstance(fields, dict) else {}
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    except (ValueError, RecursionError):
        return {}


def _as_text(value: Any) -> str:
    """Raises ValueError for half a surrogate pair, which JSON can hold and UTF-8 cannot."""
    text = value if isinstance(value, str) else json.dumps(value)
    text.encode()
    return text


def _text_problem(text: str, parse_mode: str) -> web.Response | None:
    """What is looked at before the chat."""
    if not text:
        return _error(400, "Bad Request: message text is empty")
    if len(text.encode(errors="replace")) > _LONGEST_FIELD:
        return _error(400, "Bad Request: text is too long")
    return None if parse_mode.lower() in _PARSE_MODES else _error(400, "Bad Request: unsupported parse_mode")


def _cleaned(text: str) -> str:
    """Control characters become spaces, carriage returns go, and so does the space around it all."""
    return re.sub(r"[\x00-\x08\x0b-\x1f]", " ", text.replace("\r", "")).strip()


def _bot(token: str) -> dict[str, Any]:
    number = token.partition(":")[0]
    return {"id": int(number), "is_bot": True, "first_name": "Sandbox", "username": f"sandbox_{number}_bot"}


def _chat(chat: str) -> dict[str, Any]:
    """Of the kind that such an id has: users' are positive, groups' negative, and -100… stands before all others."""
    if chat.startswith("@"):
        number = -1000000000000 - zlib.crc32(chat.encode())
        return {"id": number, "title": chat[1:], "username": chat[1:], "type": "channel"}
    if chat.startswith("-"):
        return {"id": int(chat), "title": "Group", "type": "supergroup" if chat.startswith("-100") else "group"}
    return {"id": int(chat), "first_name": "Somebody", "type": "private"}


def _details(token: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """What to show of a message besides its text; never the token."""
    shown = {name: parameters[name] for name in ("parse_mode", "disable_notification") if parameters.get(name)}
    return {"bot": token.partition(":")[0], **shown}
