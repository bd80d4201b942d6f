"""A client that sends without a pause, and writes down what it was promised."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from itertools import count
from types import TracebackType
from typing import Any

import aiohttp

PATIENCE = 30.0  # seconds for one answer


class Load:
    """Each connection sends one message after another, each with a text of its own; use as an async context manager.

    A message that was not answered is not sent again: what happened to it is for the audit to find out.
    """

    def __init__(
        self, url: str, *, name: str = "message", connections: int = 8, pause: float = 0.02, **fields: Any
    ) -> None:
        """`pause` is how many seconds a connection waits between two messages; `fields` are sent with each.

        Each text is the name and a number.
        """
        self._name = name
        self._url = f"{url}/api/send/sink"
        self._connections = connections
        self._pause = pause
        self._fields = fields
        self._numbers = count(1)
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        #: Text to id of every message that was answered 204.
        self.acknowledged: dict[str, int] = {}
        #: How often each status came; 0 stands for no answer.
        self.answers: Counter[int] = Counter()
        self.slowest = 0.0  # seconds to an answer, whatever it was

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._send_on()) for _ in range(self._connections)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Return when every message that is under way has its answer."""
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def more(self, messages: int, status: int = 204) -> None:
        """Return when so many more have had this answer."""
        await self.some(self.answers[status] + messages, status)

    async def some(self, messages: int, status: int) -> None:
        """Return when so many have had this answer since the beginning."""
        async with asyncio.timeout(PATIENCE):
            while self.answers[status] < messages:
                await asyncio.sleep(0.01)

    async def _send_on(self) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not self._stopped:
                status = 0
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    status = await self._send(session)
                self.answers[status] += 1
                await asyncio.sleep(self._pause)

    async def _send(self, session: aiohttp.ClientSession) -> int:
        text, began = f"{self._name} {next(self._numbers)}", asyncio.get_running_loop().time()
        async with session.post(self._url, data={"message": text, **self._fields}) as response:
            await response.read()
            if response.status == 204:
                self.acknowledged[text] = int(response.headers["X-Message-Id"])
            self.slowest = max(self.slowest, asyncio.get_running_loop().time() - began)
            return response.status
