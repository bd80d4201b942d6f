"""What can be done with messages and channels: send, look up, cancel, resend, pause. Knows no HTTP."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from vestnik.delivery.channel import PAUSED, Channel, ChannelRegistry
from vestnik.delivery.ids import IdFactory
from vestnik.delivery.model import ENDED, MessageId, Priority, Settlement, TaskId, TaskState, settle_crashed
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.store import (
    cancellation,
    counts,
    expiry,
    intake,
    lookup,
    pauses,
    recovery,
    resends,
    set_back,
)
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.intake import NewMessage, OtherContent, Registered
from vestnik.delivery.store.lookup import MessageView, Page
from vestnik.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from vestnik.runtime.clock import Clock, wall
from vestnik.runtime.log import get_logger
from vestnik.storage.database import Connection, Database

log = get_logger(__name__)

EXPIRE_BATCH = MOVE_BATCH = 500  # rows in one transaction: the sweeper must not hold up sends
FORGET_BATCH = 1_000  # idempotency keys in one transaction
EXPIRED_NAMED = 20  # of a batch; a backlog that was held for a day must not flood the log
LONGEST_LEAD = 1.0  # seconds; a message from further in the future was accepted by another clock


class Send(NamedTuple):
    """One request to send; delay and expire in whole seconds. A tuple is made faster than a frozen dataclass."""

    channel: str
    text: str
    delay: int = 0
    expire: int | None = None
    subject: str | None = None
    sender: str | None = None
    idempotency_key: str | None = None
    priority: Priority = Priority.SINGLE
    html: str | None = None  # the same as the text; a worker that cannot carry it leaves it out


class Resent(NamedTuple):
    """`removed`: recipients of the old message, and of this one, that the configuration does not name any more."""

    id: MessageId
    removed: Sequence[str]


@dataclass(frozen=True, slots=True)
class ChannelView:
    name: str
    worker: str
    state: str  # WORKING | PAUSED
    reason: str | None
    waiting: int
    running: int
    counts: Mapping[str, int]
    oldest_due: float | None
    executors: int
    last_error: str | None
    last_error_at: float | None


class Delivery:
    """Over all channels and the databases they keep their tasks in (one on disk, one in memory)."""

    def __init__(
        self, registry: ChannelRegistry, databases: Sequence[Database], ids: IdFactory, *, clock: Clock = wall
    ) -> None:
        self.registry = registry
        self._databases = databases
        self._ids = ids
        self._clock = clock
        self._resending = asyncio.Lock()
        self._ceiling = 0  # ids up to it are known not to be given out again after a restart

    # -- messages

    async def send(self, send: Send) -> Registered:
        """Register a message. Raises NotFound, StoreUnavailable; InvalidInput for a key with other content."""
        channel = self.registry.get(send.channel)
        registered = await self._put(channel, self._new_message(channel, send))
        if isinstance(registered, OtherContent):
            raise InvalidInput({"Idempotency-Key": "came with other content before"})
        return registered

    def begin(self, send: Send) -> asyncio.Future[Registered | OtherContent] | None:
        """As `send`, without a task of its own to wait in; None, and nothing is begun, where it has to wait first."""
        channel = self.registry.get(send.channel)
        message = self._new_message(channel, send)
        return None if self._must_keep_ids(channel, message) else self.registry.create_task(message)

    def _new_message(self, channel: Channel, send: Send) -> NewMessage:
        now = self._clock()
        due = now + send.delay
        lifetime = send.expire if send.expire is not None else _seconds(channel.settings)
        return NewMessage(
            id=MessageId(self._ids.next()),
            channel=channel.name,
            text=send.text,
            subject=send.subject,
            sender=send.sender,
            created_at=now,
            due_at=due,
            expires_at=None if lifetime is None else due + lifetime,
            recipients=self._recipients(channel, channel.worker.recipients()),
            priority=send.priority,
            idempotency_key=send.idempotency_key,
            html=send.html,
            expire=send.expire,
        )

    def _recipients(self, channel: Channel, recipients: Sequence[str]) -> list[tuple[TaskId, str]]:
        """One task for each, once: a worker from another package may name one twice."""
        if not recipients:
            raise ValueError(f"the worker {channel.settings.worker!r} of {channel.name!r} has no recipients")
        return [(TaskId(self._ids.next()), recipient) for recipient in dict.fromkeys(recipients)]

    async def _put(self, channel: Channel, message: NewMessage) -> Registered | OtherContent:
        if self._must_keep_ids(channel, message):
            await self._keep_ids(message.recipients[-1][0])
        return await self.registry.create_task(message)

    def _must_keep_ids(self, channel: Channel, message: NewMessage) -> bool:
        return channel.database is not self._databases[0] and message.recipients[-1][0] > self._ceiling

    async def _keep_ids(self, highest: int) -> None:
        """What is kept in memory leaves no rows, and its ids must not come again after a restart either."""

        def raised(connection: Connection) -> int:
            intake.raise_ceiling(connection, highest)
            return intake.ceiling(connection)

        try:
            self._ceiling = await self._databases[0].write(raised)
        except StoreUnavailable as error:  # ids can come again only if the clock is set back as well
            log.warning("cannot write down which ids are in use, going on: %s", error)

    async def find(self, message_id: int) -> MessageView:
        """Raises NotFound."""
        return (await self._located(message_id))[1]

    async def _located(self, message_id: int) -> tuple[Database, MessageView]:
        for database in self._databases:
            found = await database.read(lambda c: lookup.find(c, message_id))
            if found is not None:
                return database, found
        raise NotFound(f"there is no message {message_id}")

    async def page(self, *, channel: str | None, state: str | None, after: int | None, limit: int) -> Page:
        """Newest first over all databases."""
        pages = [
            await database.read(lambda c: lookup.page(c, channel=channel, state=state, after=after, limit=limit))
            for database in self._databases
        ]
        merged = heapq.merge(*(p.messages for p in pages), key=lambda m: m.id, reverse=True)
        # What lies below the highest cursor was not looked at in every database: leave it for the next page.
        bound = max((p.next for p in pages if p.next is not None), default=None)
        found = [m for m in merged if bound is None or m.id >= bound]
        return Page(found[:limit], found[limit - 1].id if len(found) > limit else bound)

    async def cancel(self, message_id: int) -> Cancellation:
        """Raises NotFound; Conflict when nothing of it is open any more."""
        database, view = await self._located(message_id)
        now = self._clock()
        result = await database.write(lambda c: cancellation.cancel(c, view.id, now))
        if result is Cancellation.ENDED:
            raise Conflict(f"the message ended already: {view.state}")
        log.info("canceled", channel=view.channel, message=view.id, result=result.name.lower())
        return result

    async def resent_as(self, message_ids: Collection[int]) -> dict[int, int]:
        """Of each message the newest resend that is on its way or has reached somebody, where there is one."""
        found: dict[int, int] = {}
        for database in self._databases:
            found |= await database.read(lambda c: resends.standing(c, message_ids))
        return found

    async def resend(self, message_id: int, *, again: bool = False) -> Resent:
        """A new message for those who did not get the old one, or for all when all did; also when the channel does not
        name them any more.

        Raises NotFound; Conflict for a mailing's, while the old one is open, when its channel is gone, or, without
        `again`, when a resend of it is on its way or has reached somebody.
        """
        async with self._resending:  # of two at once the second is to see the first
            return await self._resend(message_id, again)

    async def _resend(self, message_id: int, again: bool) -> Resent:
        old = await self.find(message_id)
        # A mailing's end, its clients' hours and its figures hold for nothing that is sent outside of it.
        if old.mailing_id is not None:
            raise Conflict(f"the message belongs to mailing {old.mailing_id}: make another mailing for who missed it")
        if any(task.state not in ENDED for task in old.tasks):
            raise Conflict(f"the message is still on its way: {old.state}")
        if not self.registry.exists(old.channel):
            raise Conflict(f"the channel {old.channel!r} is not configured any more")
        if not again and (newer := (await self.resent_as([old.id])).get(old.id)):
            raise Conflict(f"the message was sent again already, as {newer}: again=1 sends one more")
        channel = self.registry.get(old.channel)
        missed = [task.recipient for task in old.tasks if task.state is not TaskState.DELIVERED]
        now, lifetime = self._clock(), _seconds(channel.settings)
        message = NewMessage(
            id=MessageId(self._ids.next()),
            channel=old.channel,
            text=old.text,
            subject=old.subject,
            sender=old.sender,
            created_at=now,
            due_at=now,
            expires_at=None if lifetime is None else now + lifetime,
            recipients=self._recipients(channel, missed or [task.recipient for task in old.tasks]),
            parent_id=old.id,
        )
        await self._put(channel, message)
        removed = _removed(channel, [recipient for _, recipient in message.recipients])
        log.info("resent", channel=old.channel, message=message.id, parent=old.id)
        if removed:
            log.warning("resent to recipients that are not configured any more", message=message.id, tasks=len(removed))
        return Resent(message.id, removed)

    # -- for whoever sends in bulk, and writes the messages in transactions of its own

    def reserve_ids(self, count: int) -> list[int]:
        """Ids that nobody else gets; those that are not used are lost."""
        return [self._ids.next() for _ in range(count)]

    def wake(self, channel: str) -> None:
        """There may be due tasks. A channel that is not configured any more has nobody to wake."""
        if self.registry.exists(channel):
            self.registry.get(channel).queue.wake()

    # -- channels

    async def channels(self) -> list[ChannelView]:
        kept = {database: await database.read(counts.all_counts) for database in self._databases}
        return [
            await self._channel_view(channel, kept[channel.database].get(channel.name, {})) for channel in self.registry
        ]

    async def channel(self, name: str) -> ChannelView:
        """Raises NotFound."""
        channel = self.registry.get(name)
        return await self._channel_view(channel, (await channel.database.read(counts.all_counts)).get(name, {}))

    async def _channel_view(self, channel: Channel, states: Mapping[str, int]) -> ChannelView:
        name = channel.name
        oldest = await channel.database.read(lambda c: lookup.oldest_due(c, name))
        waiting = sum(states.get(s, 0) for s in ("queued", "scheduled", "deferred"))
        return ChannelView(
            name,
            channel.settings.worker,
            "PAUSED" if channel.paused is not None else "WORKING",
            channel.paused,
            waiting,
            states.get("running", 0),
            states,
            oldest,
            channel.settings.executors,
            channel.last_error,
            channel.last_error_at,
        )

    async def pause(self, name: str, reason: str) -> None:
        """Hand nothing out any more, also after a restart, until `start`. Raises NotFound."""
        channel = self.registry.get(name)
        if channel.paused is None:
            channel.paused = reason
            log.error("channel paused", channel=name, reason=reason)
        await channel.queue.hold(PAUSED)  # first: it has to stop also when the pause cannot be written
        kept, now = channel.paused, self._clock()
        if kept is not None:  # else it was started meanwhile
            await self._databases[0].write(lambda c: pauses.keep(c, name, kept, now))

    async def start(self, name: str) -> None:
        """Raises NotFound; StoreUnavailable, and then it stays paused."""
        channel = self.registry.get(name)
        reason, channel.paused = channel.paused, None  # now: a pause that comes meanwhile has the last word
        try:
            await self._databases[0].write(lambda c: pauses.drop(c, name))
        except StoreUnavailable:
            channel.paused = channel.paused or reason
            raise
        if channel.paused is None:
            channel.queue.resume(PAUSED)
            log.info("channel started", channel=name)

    # -- at start, and now and then

    async def restore(self) -> None:
        """Before any channel is activated: take up what the last daemon left running, and the pauses."""
        now = self._clock()
        default = ChannelSettings(worker="null").policy()
        policies = {channel.name: channel.settings.policy() for channel in self.registry}

        def recover(connection: Connection) -> list[Settlement]:
            return recovery.recover(
                connection, now, lambda task: settle_crashed(task, policies.get(task.channel, default), now)
            )

        for settlement in await self._databases[0].write(recover):
            task = settlement.task
            log.warning(
                "was running when the daemon ended",
                channel=task.channel,
                message=task.message_id,
                task=task.id,
                state=settlement.state.value,
            )
        for name, reason in (await self._databases[0].read(pauses.all_pauses)).items():
            if self.registry.exists(name):
                channel = self.registry.get(name)
                channel.paused = reason
                await channel.queue.hold(PAUSED)

    async def sweep(self) -> None:
        """End what is past its time and not held, and drop idempotency keys that are past theirs."""
        now = self._clock()
        for database in self._databases:
            while expired := await database.write(lambda c: expiry.expire(c, now, EXPIRE_BATCH)):
                _log_expired(expired)
                if len(expired) < EXPIRE_BATCH:
                    break
            while await database.write(lambda c: intake.forget_keys(c, now, FORGET_BATCH)) == FORGET_BATCH:
                pass

    async def clock_is_behind(self) -> bool:
        """Whether messages were accepted at a time that has not come yet."""
        now = self._clock()
        return max([await d.read(lambda c: set_back.ahead(c, now)) for d in self._databases]) > LONGEST_LEAD

    async def follow_clock_back(self) -> int:
        """The clock was set back: move what waits to its new time. Returns how many tasks that were."""
        now = self._clock()
        for channel in self.registry:
            await channel.database.write(partial(set_back.move_running, channel=channel.name, now=now))
        return sum([await self._move(channel, priority, now) for channel in self.registry for priority in Priority])

    async def _move(self, channel: Channel, priority: Priority, now: float) -> int:
        step = partial(set_back.move, channel=channel.name, priority=priority, now=now, limit=MOVE_BATCH)
        tasks, after = 0, set_back.first(now)
        while after:
            done = await channel.database.write(partial(step, after=after))
            tasks, after = tasks + done.moved, done.last
        return tasks

    async def depth(self) -> dict[str, dict[str, int]]:
        """Channel to state to count, over all databases."""
        found: dict[str, dict[str, int]] = {}
        for database in self._databases:
            found |= await database.read(counts.all_counts)
        return found


def _log_expired(tasks: Sequence[expiry.Expired]) -> None:
    for task in tasks[:EXPIRED_NAMED]:
        log.warning("expired", channel=task.channel, message=task.message_id, task=task.task_id)
    if len(tasks) > EXPIRED_NAMED:
        log.warning("more expired", tasks=len(tasks) - EXPIRED_NAMED)


def _removed(channel: Channel, recipients: Sequence[str]) -> list[str]:
    """Those whom the channel does not name any more."""
    named = set(channel.worker.recipients())
    return [recipient for recipient in recipients if recipient not in named]


def _seconds(settings: ChannelSettings) -> float | None:
    return None if settings.expire is None else settings.expire.total_seconds()
