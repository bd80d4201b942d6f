"""What can be done with mailings (M4): create, find, list, change, delete. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vestnik.delivery.channel import ChannelRegistry
from vestnik.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from vestnik.mailings import mailing_fields, running
from vestnik.mailings.model import Mailing, MailingState, Timestamp
from vestnik.mailings.store import mailings as store
from vestnik.mailings.store.mailings import Page
from vestnik.runtime.clock import Clock, wall
from vestnik.storage.database import Connection, Database

#: Says what an administrator makes of a mailing.
Change = Callable[[Mailing], Mailing]

_NOTHING_SAID = Mailing(id=0, channel="", text="", start_at=0.0, end_at=0.0)


class Mailings:
    def __init__(self, database: Database, channels: ChannelRegistry, clock: Clock = wall) -> None:
        self._database = database
        self._channels = channels
        self._clock = clock

    async def create(self, change: Change) -> Mailing:
        """Made by `change` of a mailing of which nothing was said. Raises InvalidInput, StoreUnavailable."""
        if self._database.nearly_full:
            raise StoreUnavailable("the disk is nearly full")
        now = self._clock()
        mailing = replace(change(_NOTHING_SAID), created_at=now, changed_at=now)
        self._refuse(mailing, now)
        return await self._database.write(lambda c: store.insert(c, mailing))

    async def find(self, mailing_id: int) -> Mailing:
        """Raises NotFound, also when it was deleted."""
        return await self._database.read(lambda c: _existing(c, mailing_id))

    async def page(self, *, channel: str | None, state: MailingState | None, after: int | None, limit: int) -> Page:
        now = self._clock()
        return await self._database.read(
            lambda c: store.page(c, channel=channel, state=state, after=after, limit=limit, now=now)
        )

    async def change(self, mailing_id: int, change: Change) -> Mailing:
        """What waits follows. Raises NotFound, InvalidInput, StoreUnavailable; Conflict for what came too late."""
        now = self._clock()
        return await self._database.write(lambda c: self._change(c, mailing_id, change, now))

    async def delete(self, mailing_id: int) -> None:
        """What waits is canceled; the figures stay. Raises NotFound, StoreUnavailable."""
        now = self._clock()

        def delete(connection: Connection) -> None:
            mailing = _existing(connection, mailing_id)
            store.delete(connection, mailing_id, now)
            running.apply_delete(connection, mailing)

        await self._database.write(delete)

    def _change(self, connection: Connection, mailing_id: int, change: Change, now: Timestamp) -> Mailing:
        old = _existing(connection, mailing_id)
        new = change(old)
        if new == old:
            return old
        _refuse_late(old, new, now)
        self._refuse(new, now)
        new = replace(new, changed_at=now)
        store.update(connection, new)
        running.apply_change(connection, old, new)
        return _existing(connection, mailing_id)

    def _refuse(self, mailing: Mailing, now: Timestamp) -> None:
        channel = self._channels.get(mailing.channel) if self._channels.exists(mailing.channel) else None
        if problems := dict(mailing_fields.problems(mailing, channel, now)):
            raise InvalidInput(problems)


def _existing(connection: Connection, mailing_id: int) -> Mailing:
    mailing = store.find(connection, mailing_id)
    if mailing is None or mailing.deleted_at is not None:
        raise NotFound(f"there is no mailing {mailing_id}")
    return mailing


def _refuse_late(old: Mailing, new: Mailing, now: Timestamp) -> None:
    """What has begun cannot begin at another time, and what has ended has its figures."""
    state = old.state(now)
    if state is MailingState.ENDED:
        raise Conflict("the mailing has ended: make another one")
    if state is MailingState.RUNNING and new.start_at != old.start_at:
        raise Conflict("the mailing has begun: start_at cannot change any more")
