"""The loops of mailings: make tasks of audiences, let what waits follow changes, move it from window to window.

All of it happens in transactions of some ten milliseconds in the database's thread, with a rest after each: sends and
deliveries come between. A daemon that ends in the middle goes on where the last one was committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from vestnik.delivery.service import Delivery
from vestnik.errors import StoreUnavailable
from vestnik.mailings.store import closing, expansion, following
from vestnik.runtime.clock import Clock, wall
from vestnik.runtime.log import get_logger
from vestnik.runtime.service import Loop
from vestnik.storage.database import Database

log = get_logger(__name__)

POLL = 0.25  # seconds between two looks for something to do
REST = 0.005  # seconds after each transaction, for everybody else


class Sending:
    """Hands mailings over to delivery. `ahead`: how many seconds before its start a mailing is expanded."""

    def __init__(
        self,
        database: Database,
        delivery: Delivery,
        *,
        ahead: float,
        held: Callable[[], bool],
        in_doubt: Callable[[], bool] = lambda: False,
        clock: Clock = wall,
    ) -> None:
        """While `held` (maintenance), nothing is done; while the time is `in_doubt`, what waits stays as it is."""
        self._database = database
        self._delivery = delivery
        self._ahead = ahead
        self._held = held
        self._in_doubt = in_doubt
        self._clock = clock
        # Apart from one another: a change must not wait for an expansion, nor a window that closes for either.
        self._loops = [
            Loop("expansion of mailings", partial(self._step, self.expand)),
            Loop("changes of mailings", partial(self._step, self.follow)),
            Loop("windows of clients", partial(self._step, self.close)),
        ]

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    async def stop(self) -> None:
        for loop in self._loops:
            await loop.stop()

    async def _step(self, do: Callable[[], Awaitable[bool]]) -> None:
        busy = not self._held() and await do()
        await asyncio.sleep(REST if busy else POLL)

    async def expand(self) -> bool:
        """One transaction for each mailing that needs it, so that all get on. False when none does."""
        now = self._clock()
        mailings = await self._database.read(lambda c: expansion.unfinished(c, now, self._ahead))
        if self._in_doubt():
            mailings = [(id_, end_at) for id_, end_at in mailings if end_at > now]
        if mailings and self._database.nearly_full:
            raise StoreUnavailable("the disk is nearly full: no mailing goes on")
        for mailing_id, _ in mailings:
            await self._expand(mailing_id)
            await asyncio.sleep(REST)
        return bool(mailings)

    async def _expand(self, mailing_id: int) -> None:
        ids, now = self._delivery.reserve_ids(expansion.IDS), self._clock()
        done = await self._database.write(lambda c: expansion.expand(c, mailing_id, ids, now))
        self._delivery.wake(done.channel)
        if done.tasks:
            log.debug("expanded", mailing=mailing_id, tasks=done.tasks, expired=done.expired)
        elif not done.more:
            log.info("expanded to the last client", mailing=mailing_id)

    async def follow(self) -> bool:
        """Bring what waits up to date with changed mailings, one after another. False when there is nothing to do.

        Nothing is done while nobody knows what time it is: what is to follow goes to nobody meanwhile.
        """
        if self._in_doubt():  # by a wrong time some would be too late for good
            return False
        mailings = await self._database.read(following.behind)
        for mailing_id in mailings:
            more = True
            while more and not self._held() and not self._in_doubt():
                more = await self._follow(mailing_id)
                await asyncio.sleep(REST)
        return bool(mailings)

    async def _follow(self, mailing_id: int) -> bool:
        now = self._clock()
        done = await self._database.write(lambda c: following.step(c, mailing_id, now))
        if not done.more:
            log.info("what waits has followed the change", mailing=mailing_id)
            self._delivery.wake(done.channel)
        return done.more

    async def close(self) -> bool:
        """Move what waited too long to the next window. False when nothing did, or nobody knows what time it is."""
        if self._in_doubt():  # by a wrong time it would be put off to a day of that time
            return False
        now = self._clock()
        closes_at = await self._database.read(closing.next_closing)
        if closes_at is None or closes_at > now:
            return False
        moved = await self._database.write(lambda c: closing.move(c, now))
        if moved:
            log.info("moved to the next window", tasks=moved)
        return moved > 0
