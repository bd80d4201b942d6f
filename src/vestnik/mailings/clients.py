"""What can be done with clients (M4): create, find, list, change, delete, take in, give out. Knows no HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from vestnik.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from vestnik.mailings.client_fields import Given
from vestnik.mailings.model import Client
from vestnik.mailings.store import clients as store
from vestnik.mailings.store import waiting
from vestnik.mailings.store.clients import Page, Taken, Wanted
from vestnik.runtime.clock import Clock, wall
from vestnik.storage.database import Connection, Database

_EXPORTED_AT_ONCE = 1_000


class Clients:
    def __init__(self, database: Database, *, timezone: str, clock: Clock = wall) -> None:
        """`timezone` is that of clients who come without one."""
        self._database = database
        self._timezone = timezone
        self._clock = clock

    async def create(self, given: Given) -> Client:
        """Raises InvalidInput; Conflict when somebody has the phone; StoreUnavailable."""
        _refuse(given)
        self._refuse_when_full()
        client, now = store.merged(None, given, self._timezone), self._clock()

        def insert(connection: Connection) -> Client:
            _refuse_taken(connection, client)
            return store.insert(connection, client, now)

        return await self._database.write(insert)

    async def find(self, client_id: int) -> Client:
        """Raises NotFound."""
        client = await self._database.read(lambda c: store.find(c, client_id))
        if client is None:
            raise _missing(client_id)
        return client

    async def page(self, wanted: Wanted, after: int, limit: int) -> Page:
        return await self._database.read(lambda c: store.page(c, wanted, after, limit))

    async def all_pages(self, wanted: Wanted) -> AsyncIterator[list[Client]]:
        """Everybody, page by page: who comes or goes meanwhile may be among them or not."""
        after: int | None = 0
        while after is not None:
            page = await self.page(wanted, after, _EXPORTED_AT_ONCE)
            yield page.clients
            after = page.next

    async def change(self, client_id: int, changes: Mapping[str, Any]) -> Client:
        """Raises NotFound, InvalidInput; Conflict when somebody else has the new phone; StoreUnavailable."""
        return await self._database.write(
            partial(self._change, client_id=client_id, changes=changes, now=self._clock())
        )

    async def replace(self, client_id: int, given: Given) -> Client:
        """As `change`; what is not given becomes what a new client would have."""
        _refuse(given)
        return await self.change(client_id, asdict(store.merged(None, given, self._timezone)))

    async def delete(self, client_id: int) -> int:
        """Nothing more goes there; returns how many messages were on their way. Raises NotFound, StoreUnavailable."""
        now = self._clock()

        def delete(connection: Connection) -> int:
            if store.find(connection, client_id) is None:
                raise _missing(client_id)
            store.delete(connection, client_id)
            return waiting.cancel(connection, client_id, now)

        return await self._database.write(delete)

    async def taken_at_once(self) -> int | None:
        """How many `take` should get, to hold nobody up: the more mailings run, the fewer. None: no bound."""
        now = self._clock()
        return await self._database.read(lambda c: waiting.clients_at_once(c, now))

    async def take(self, given: Sequence[Given], *, dry_run: bool = False) -> Taken:
        """Many at once, by their phones, in one transaction. Their fields were checked. Raises StoreUnavailable."""
        self._refuse_when_full()
        now = self._clock()
        if dry_run:
            return await self._database.read(lambda c: store.take(c, given, self._timezone, now, write=False))

        def take(connection: Connection) -> Taken:
            taken = store.take(connection, given, self._timezone, now, write=True)
            waiting.follow(connection, taken.written, now)
            return taken

        return await self._database.write(take)

    @staticmethod
    def _change(connection: Connection, client_id: int, changes: Mapping[str, Any], now: float) -> Client:
        old = store.find(connection, client_id)
        if old is None:
            raise _missing(client_id)
        new = Client(**{**asdict(old), **changes, "id": client_id})
        if new == old:
            return old
        _refuse(Given(new.phone, new.operator_code, new.tag, new.timezone))
        _refuse_taken(connection, new)
        store.replace(connection, new, now)
        if new.phone != old.phone:
            waiting.readdress(connection, client_id, new.phone)
        waiting.follow(connection, [client_id], now)
        return new

    def _refuse_when_full(self) -> None:
        if self._database.nearly_full:
            raise StoreUnavailable("the disk is nearly full")


def _refuse(given: Given) -> None:
    if problems := dict(given.problems()):
        raise InvalidInput(problems)


def _refuse_taken(connection: Connection, client: Client) -> None:
    if store.find_phone(connection, client.phone) not in (None, client.id):
        raise Conflict(f"another client has the phone {client.phone}")


def _missing(client_id: int) -> NotFound:
    return NotFound(f"there is no client {client_id}")
