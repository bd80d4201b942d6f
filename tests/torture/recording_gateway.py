"""An SMS gateway on loopback that says yes to everything and writes down every hand-over."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from types import TracebackType

from aiohttp import web


class RecordingGateway:
    """What it has written down outlives every daemon. Use as an async context manager."""

    def __init__(self) -> None:
        #: How often each text was handed over.
        self.texts: Counter[str] = Counter()
        #: When the first copy of a text came, in seconds of the monotonic clock.
        self.first: dict[str, float] = {}
        self.last = 0.0  # when the last of all came
        self.longest = (
            0.01  # seconds it takes at most to answer: what is killed then has handed over, and does not know
        )
        self.down = False
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> RecordingGateway:
        application = web.Application()
        application.router.add_post("/send", self._send)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _send(self, request: web.Request) -> web.Response:
        text = str((await request.post())["text"])
        if self.down:
            return web.Response(status=503)
        self.last = time.monotonic()
        self.first.setdefault(text, self.last)
        self.texts[text] += 1
        await asyncio.sleep(random.uniform(0, self.longest))
        return web.Response(status=202)
