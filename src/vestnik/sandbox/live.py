"""Tells the open inbox pages that something changed; each page's stream then looks for itself what it has not shown."""

from __future__ import annotations

import asyncio

from vestnik.runtime.service import Loop
from vestnik.sandbox.far_side import Inbox

#: Seconds between two looks at the inbox: a load test must not spend its processor time on pages.
BREATH = 0.05


class Changes:
    """A count of changes that any number of streams wait on, each from the count it has seen."""

    def __init__(self, inbox: Inbox) -> None:
        self.count = 0
        self.closed = False
        self._next = asyncio.Event()
        self._inbox = inbox
        self._seen = 0
        self._watch = Loop("sandbox inbox watch", self._watch_inbox)

    def start(self) -> None:
        self.closed = False
        self._watch.start()

    async def stop(self) -> None:
        """Ends every wait at once, so that no open page holds the daemon up."""
        self.closed = True
        self.tell()
        await self._watch.stop()

    def tell(self) -> None:
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, count: int) -> int:
        """Return the present count as soon as it is above `count`."""
        while self.count <= count:
            await self._next.wait()
        return self.count

    async def _watch_inbox(self) -> None:
        arrivals = await self._inbox.changed(after=self._seen)
        self._seen = arrivals[-1].number
        self.tell()
        await asyncio.sleep(BREATH)
