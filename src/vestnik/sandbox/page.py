"""The inbox page and its HTTP interface: what arrived, the fault switches, and a stream that keeps the page current."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp_jinja2
from aiohttp import web
from jinja2 import PackageLoader, StrictUndefined

from vestnik.errors import Conflict, InvalidInput
from vestnik.sandbox.far_side import Arrival, FarSide, Fault
from vestnik.sandbox.live import Changes
from vestnik.sandbox.view import SHOWN, InboxView, newest_first, shortened, shown

KEEP_ALIVE = 15.0  # seconds of silence after which a comment finds out whether the page is still there
RECONNECT = 1000  # ms after which a page whose stream broke asks again

#: What each fault does, as a person reads it on the page.
EXPLANATIONS = {
    Fault.NONE: "Works as it should",
    Fault.DOWN: "Answers as a dead service does",
    Fault.SLOW: "Answers rightly, but late",
    Fault.REFUSE: "Refuses every message for good",
    Fault.RATE_LIMIT: "Says: too many, come back later",
    Fault.GARBAGE: "Takes the message, answers nonsense",
    Fault.DROP: "Takes the message, drops the connection instead of answering",
}
LABELS = {Fault.DROP: "drop after hand-over"}
#: The card that the page's script copies.
BLANK = {**shortened(shown(Arrival("", "", ""))), "arrived_at": ""}

EXAMPLES = ("curl -d 'message=Hello' http://127.0.0.1:8080/api/send/CHANNEL",)


class InboxPage:
    """`examples`: commands that the empty inbox suggests."""

    def __init__(self, view: InboxView, changes: Changes, examples: Sequence[str] = ()) -> None:
        self._view = view
        self._changes = changes
        self._examples = examples or EXAMPLES
        self.keep_alive = KEEP_ALIVE

    def add_to(self, app: web.Application) -> None:
        loader = PackageLoader("vestnik.sandbox")
        aiohttp_jinja2.setup(app, loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        app.add_routes(
            [
                web.get("/", self.show),
                web.get("/events", self.stream),
                web.get("/inbox", self.list_arrivals),
                web.delete("/inbox", self.clear),
                web.post("/inbox/clear", self.clear_by_form),
                web.get("/faults", self.list_faults),
                web.put("/faults/{far_side}", self.switch),
                web.post("/faults/{far_side}", self.switch_by_form),
                web.static("/static", Path(__file__).parent / "static"),
            ]
        )

    async def show(self, request: web.Request) -> web.Response:
        far_side = request.query.get("far_side") or None
        arrivals = self._view.arrivals(far_side=far_side)
        context = {
            "arrivals": newest_first(arrivals),
            "far_sides": self._view.far_sides(),
            "explanations": {fault.value: text for fault, text in EXPLANATIONS.items()},
            "labels": {fault.value: LABELS.get(fault, fault.value) for fault in Fault},
            "only": far_side,
            "shown": SHOWN,
            "url": request.url.origin(),
            "blank": BLANK,
            "event_id": self._view.event_id(self._view.update(0)["newest"]),
            "examples": self._examples,
        }
        return aiohttp_jinja2.render_template("inbox.html", request, context)

    async def list_arrivals(self, request: web.Request) -> web.Response:
        after = _whole_number(request.query.get("after", "0"))
        arrivals = self._view.arrivals(after=after, far_side=request.query.get("far_side"))
        return web.json_response({"arrivals": arrivals})

    async def clear(self, _request: web.Request) -> web.Response:
        self._view.clear()
        self._changes.tell()
        return web.Response(status=204)

    async def clear_by_form(self, request: web.Request) -> web.Response:
        await self.clear(request)
        raise web.HTTPSeeOther("/")

    async def list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response({"far_sides": self._view.far_sides()})

    async def switch(self, request: web.Request) -> web.Response:
        far_side = self._view.far_side(request.match_info["far_side"])
        await self._set(far_side, await _json_member(request, "fault"))
        return web.json_response(self._view.shown_far_side(far_side))

    async def switch_by_form(self, request: web.Request) -> web.Response:
        far_side = self._view.far_side(request.match_info["far_side"])
        await self._set(far_side, (await request.post()).get("fault"))
        raise web.HTTPSeeOther("/")

    async def _set(self, far_side: FarSide, word: Any) -> None:
        known = [fault.value for fault in far_side.faults]
        if word not in known:
            raise InvalidInput({"fault": f"must be one of {', '.join(known)}"})
        try:
            await far_side.set_fault(Fault(word))
        except OSError as error:  # the port of a mail server that was down is somebody else's now
            raise Conflict(f"{far_side.name} cannot do this: {error.strerror or error}") from error
        finally:
            self._changes.tell()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        seen = self._view.number_in(request.headers.get("Last-Event-ID") or request.query.get("after", ""))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with suppress(ConnectionResetError):  # the page was closed
            await response.prepare(request)
            await response.write(f"retry: {RECONNECT}\n\n".encode())
            await self._follow(response, seen)
        return response

    async def _follow(self, response: web.StreamResponse, seen: int) -> None:
        count = -1
        while not self._changes.closed:
            try:
                async with asyncio.timeout(self.keep_alive):
                    count = await self._changes.after(count)
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            update = self._view.update(seen)
            seen = update["newest"]
            # One line: a line break would end the event's data, and json.dumps escapes those inside texts.
            await response.write(f"id: {self._view.event_id(seen)}\ndata: {json.dumps(update)}\n\n".encode())


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InvalidInput({"after": "must be the number of an arrival, such as 17"})
    return int(text)


async def _json_member(request: web.Request, name: str) -> Any:
    try:
        body = await request.json()
    except (ValueError, LookupError):  # LookupError: an unknown charset
        body = None
    if not isinstance(body, dict) or set(body) != {name}:
        raise InvalidInput({"body": f'must be JSON such as {{"{name}": "down"}}'})
    return body[name]
