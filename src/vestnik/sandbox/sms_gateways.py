"""Two SMS gateways: Kannel's smsbox, and the probe service with its `{code, message}` answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from vestnik.sandbox.far_side import Arrival, HttpFarSide, Inbox

_INT64 = range(-(2**63), 2**63)


class KannelGateway(HttpFarSide):
    """smsbox's `sendsms`, with its words (user guide, table 7-16, and what smsbox 1.4.5 was seen to answer)."""

    name = "kannel"

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.username = "sandbox"
        self.password = "sandbox"  # noqa: S105 - of a fake, and shown in the shipped configuration
        self.default_sender: str | None = None
        self.queued = False  # as with no SMS centre connected: taken, but not passed on yet

    def routes(self) -> Sequence[web.RouteDef]:
        return [web.get("/kannel/cgi-bin/sendsms", self._sendsms)]

    def refused(self) -> web.Response:
        return _answer(403, "Not routable. Do not try again.")

    def rate_limited(self) -> web.Response:
        """Kannel has no word for "too fast": this is what a full queue makes it say."""
        return _answer(503, "Temporal failure, try again later.")

    async def _sendsms(self, request: web.Request) -> web.StreamResponse:
        # Latin-1 keeps the octets apart until `charset` says what they are.
        variables = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True, encoding="latin-1"))
        if (variables.get("username"), variables.get("password")) != (self.username, self.password):
            return _answer(403, "Authorization failed for sendsms")
        problem = self._problem(variables)
        if problem:
            return _answer(400, problem)
        accepted = "3: Queued for later delivery" if self.queued else "0: Accepted for delivery"
        return await self.respond(request, self._arrivals(variables), _answer(202, accepted))

    def _problem(self, variables: Mapping[str, str]) -> str | None:
        """In the order in which smsbox looks."""
        if "to" not in variables:
            return "Missing receiver number, rejected"
        if not variables["to"]:
            return "Empty receiver number not allowed, rejected"
        if not re.fullmatch(r"[0-9 +-]+", variables["to"]):
            return "Number(s) has/have been denied by white- and/or black-lists."
        if not variables.get("from") and self.default_sender is None:
            return "Sender missing and no global set, rejected"
        if not re.fullmatch(r"[^\[\]\r\n]{0,64}", variables.get("account", "")):
            return "Account field misformed or too long, rejected"
        if variables.get("coding", "0") not in ("0", "1", "2"):
            return "Coding field misformed, rejected"
        return None if _text(variables) is not None else "Charset or body misformed, rejected"

    def _arrivals(self, variables: Mapping[str, str]) -> list[Arrival]:
        details = {
            "from": _utf8(variables.get("from") or self.default_sender or ""),
            "coding": variables.get("coding", "0"),
        }
        text = _text(variables) or ""
        reference = variables.get("account")
        return [
            Arrival(self.name, number, text, reference=reference, details=details) for number in variables["to"].split()
        ]


def _text(variables: Mapping[str, str]) -> str | None:
    """Decoded as `charset` says, else as the guide says for the coding; None for a charset that is none.

    Octets that do not fit are no error: smsbox passes them on.
    """
    charset = variables.get("charset") or ("UTF-16BE" if variables.get("coding") == "2" else "UTF-8")
    try:
        return variables.get("text", "").encode("latin-1").decode(charset, errors="replace")
    except LookupError:
        return None


def _utf8(octets: str) -> str:
    return octets.encode("latin-1").decode(errors="replace")


def _answer(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html")  # so says smsbox of its plain text


class ProbeGateway(HttpFarSide):
    """The sending service of the mailings: `POST /v1/send/{id}`, a bearer JWT, `{code, message}` in every answer."""

    name = "probe"

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.token: str | None = None  # None: any token will do

    def routes(self) -> Sequence[web.RouteDef]:
        return [web.post("/probe/v1/send/{id}", self._send)]

    def refused(self) -> web.Response:
        return _code(400, 400, "Bad Request")

    def rate_limited(self) -> web.Response:
        response = _code(429, 429, "Too Many Requests")
        response.headers["Retry-After"] = str(self.retry_after)
        return response

    async def _send(self, request: web.Request) -> web.StreamResponse:
        if not self._authorised(request.headers.get("Authorization", "")):
            return _code(401, 401, "Unauthorized")
        body = _parsed(await request.read())
        problem = _problem(request.match_info["id"], body)
        if problem:
            return _code(400, 400, problem)
        arrival = Arrival(self.name, str(body["phone"]), body["text"], reference=str(body["id"]))
        return await self.respond(request, [arrival], _code(200, 0, "OK"))

    def _authorised(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        return scheme.lower() == "bearer" and (bool(token) if self.token is None else token == self.token)


def _problem(message_id: str, body: Any) -> str | None:
    if not re.fullmatch(r"-?[0-9]{1,19}", message_id) or int(message_id) not in _INT64:
        return "msgId must be an int64"
    if not isinstance(body, dict):
        return "the body must be a JSON object"
    for name in ("id", "phone"):
        if type(body.get(name)) is not int or body[name] not in _INT64:
            return f"{name} must be an int64"
    return None if isinstance(body.get("text"), str) else "text must be a string"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _code(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)
