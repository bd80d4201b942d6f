from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
from deliveries import NOW, Locked, RecordingSettings, RecordingWorker, SetClock, Watching, claimed, counts_agree, ended
from deliveries import message as new_message

from vestnik.delivery.channel import Channel, ChannelRegistry
from vestnik.delivery.ids import IdFactory
from vestnik.delivery.model import Deferred, Outcome, RefusedForGood, TaskState
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.service import EXPIRE_BATCH, EXPIRED_NAMED, Delivery, Send
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.store import cancellation, claims, counts, intake, lookup, pauses, resends, settlements
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.intake import IDEMPOTENCY_KEPT
from vestnik.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from vestnik.runtime.redaction import Redactor
from vestnik.storage.database import Connection, Database
from vestnik.storage.migrations.upgrade import upgrade

T = TypeVar("T")


class Bench:
    """The service over two databases: `alerts` and `mail` on disk, `quick` in memory. Nothing is activated."""

    def __init__(self, durable: Database, memory: Database, clock: SetClock) -> None:
        self.durable, self.memory, self.clock = durable, memory, clock
        self.registry = ChannelRegistry()
        self.workers: dict[str, RecordingWorker] = {}
        self.delivery = Delivery(self.registry, [durable, memory], IdFactory(clock), clock=clock)
        self._add("alerts", durable, "a", "b")
        self._add("mail", durable, "m", expire="1h")
        self._add("quick", memory, "")

    def _add(self, name: str, database: Database, *recipients: str, **settings: object) -> None:
        self.workers[name] = worker = RecordingWorker(RecordingSettings(recipients=recipients))
        channel = Channel(
            name,
            ChannelSettings.model_validate({"worker": "null", **settings}),
            worker,
            database=database,
            queue=DurableQueue(database, name, "owner", clock=self.clock),
            observer=Watching(),
            redact=Redactor(),
            pause=self.delivery.pause,
        )
        self.registry.register(channel)

    async def send(self, channel: str = "alerts", text: str = "Hello", **fields: object) -> int:
        return (await self.delivery.send(Send(channel=channel, text=text, **fields))).id  # type: ignore[arg-type]

    async def end(self, channel: str, outcome: Outcome | None = None) -> None:
        """Claim one task of a channel and end it."""

        def work(connection: object) -> None:
            task = claimed(connection, channel, now=self.clock.now)  # type: ignore[arg-type]
            settlements.settle(connection, ended(task, outcome, now=self.clock.now), self.clock.now)  # type: ignore[arg-type]

        await self.registry.get(channel).database.write(work)

    async def states(self, message_id: int) -> list[tuple[str, str]]:
        return [(task.recipient, task.state.value) for task in (await self.delivery.find(message_id)).tasks]

    async def ids(self, limit: int, *, channel: str | None = None, state: str | None = None) -> list[int]:
        """Over all pages."""
        found: list[int] = []
        after = None
        for _ in range(1000):
            page = await self.delivery.page(channel=channel, state=state, after=after, limit=limit)
            assert len(page.messages) <= limit
            found += [message.id for message in page.messages]
            if page.next is None:
                return found
            after = page.next
        raise AssertionError("the pages have no end")


@pytest.fixture
async def bench(durable: Database, memory: Database, clock: SetClock) -> AsyncIterator[Bench]:
    yield Bench(durable, memory, clock)
    assert await durable.read(counts_agree)
    assert await memory.read(counts_agree)


# -- send


async def test_a_send_becomes_one_task_for_each_recipient(bench: Bench) -> None:
    message_id = await bench.send(subject="S", sender="vk_1")
    view = await bench.delivery.find(message_id)
    assert (view.channel, view.text, view.subject, view.sender) == ("alerts", "Hello", "S", "vk_1")
    assert (view.created_at, view.due_at, view.expires_at) == (NOW, NOW, None)
    assert await bench.states(message_id) == [("a", "queued"), ("b", "queued")]


async def test_a_delay_schedules_and_an_expiry_counts_from_then(bench: Bench) -> None:
    view = await bench.delivery.find(await bench.send(delay=10, expire=60))
    assert (view.state, view.due_at, view.expires_at) == ("scheduled", NOW + 10, NOW + 70)


async def test_the_channels_expiry_holds_where_the_send_says_none(bench: Bench) -> None:
    view = await bench.delivery.find(await bench.send("mail"))
    assert view.expires_at == NOW + 3600
    assert (await bench.delivery.find(await bench.send("mail", expire=5))).expires_at == NOW + 5


async def test_a_channel_in_memory_keeps_its_messages_there(bench: Bench) -> None:
    message_id = await bench.send("quick")
    assert await bench.durable.read(lambda c: lookup.find(c, message_id)) is None
    assert (await bench.delivery.find(message_id)).channel == "quick"


async def test_ids_of_what_is_kept_in_memory_are_covered_on_disk(bench: Bench) -> None:
    message_id = await bench.send("quick")
    ceiling = await bench.durable.read(intake.ceiling)
    assert ceiling > message_id
    again = IdFactory(SetClock(NOW - 3600), above=ceiling)  # of a daemon that starts with its clock set back
    assert again.next() > message_id


async def test_what_is_kept_in_memory_needs_no_disk(bench: Bench) -> None:
    async with Locked(bench.durable):
        message_id = await bench.send("quick")
    assert (await bench.delivery.find(message_id)).channel == "quick"


async def test_a_recipient_named_twice_gets_one_copy(bench: Bench) -> None:
    bench.workers["alerts"].to = ("a", "b", "a")
    assert await bench.states(await bench.send()) == [("a", "queued"), ("b", "queued")]


async def test_a_worker_without_recipients_is_a_mistake_that_is_named(bench: Bench) -> None:
    bench.workers["alerts"].to = ()
    with pytest.raises(ValueError, match="of 'alerts' has no recipients"):
        await bench.send()


async def test_nothing_can_be_sent_to_a_channel_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.send("nobody")


async def test_the_same_key_means_the_same_message_and_other_content_is_refused(bench: Bench) -> None:
    first = await bench.send(idempotency_key="k")
    assert await bench.send(idempotency_key="k") == first
    with pytest.raises(InvalidInput, match="other content"):
        await bench.send(text="Other", idempotency_key="k")
    assert await bench.ids(10) == [first]


async def test_many_sends_at_once_get_ids_of_their_own(bench: Bench) -> None:
    made = await asyncio.gather(*(bench.send("mail") for _ in range(300)))
    assert len(set(made)) == 300
    assert await bench.ids(200) == sorted(made, reverse=True)


async def test_what_is_not_there_is_not_found(bench: Bench) -> None:
    for call in (bench.delivery.find(1), bench.delivery.cancel(1), bench.delivery.resend(1)):
        with pytest.raises(NotFound):
            await call


# -- pages


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
async def test_pages_go_over_both_databases_by_age(bench: Bench, limit: int) -> None:
    made = [await bench.send(channel) for channel in ("alerts", "quick", "quick", "mail", "quick", "alerts", "quick")]
    assert await bench.ids(limit) == made[::-1]
    assert await bench.ids(limit, channel="quick") == [made[i] for i in (6, 4, 2, 1)]
    assert await bench.ids(limit, state="delivered") == []


async def test_a_page_that_one_database_cut_short_hides_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor must not skip what a database has not looked at yet."""
    monkeypatch.setattr(lookup, "_EXAMINED", 3)
    delivered = [await bench.send("mail"), await bench.send("mail")]
    for _ in delivered:
        await bench.end("mail")
    for _ in range(4):
        delivered.append(await bench.send("quick"))
        await bench.end("quick")
    waiting = [await bench.send("mail") for _ in range(7)]
    assert await bench.ids(2, state="delivered") == delivered[::-1]
    assert await bench.ids(2, state="queued") == waiting[::-1]


# -- cancel


async def test_cancel_ends_what_waits_wherever_it_is_kept(bench: Bench) -> None:
    for channel in ("alerts", "quick"):
        message_id = await bench.send(channel)
        assert await bench.delivery.cancel(message_id) is Cancellation.CANCELED
        assert (await bench.delivery.find(message_id)).state == "canceled"
        with pytest.raises(Conflict, match="ended already: canceled"):
            await bench.delivery.cancel(message_id)


async def test_cancel_promises_nothing_while_a_delivery_runs(bench: Bench) -> None:
    message_id = await bench.send()
    await bench.durable.write(lambda c: claims.claim(c, "alerts", "owner", NOW, 1))
    assert await bench.delivery.cancel(message_id) is Cancellation.TOO_LATE_TO_PROMISE
    assert await bench.states(message_id) == [("a", "running"), ("b", "canceled")]


# -- resend


async def test_a_resend_goes_only_to_those_who_missed_it(bench: Bench) -> None:
    old = await bench.send(subject="S", sender="vk_1")
    await bench.end("alerts")
    await bench.end("alerts", RefusedForGood("no"))
    new = await bench.delivery.find((await bench.delivery.resend(old)).id)
    assert [task.recipient for task in new.tasks] == ["b"]
    assert (new.parent_id, new.text, new.subject, new.sender) == (old, "Hello", "S", "vk_1")
    assert (new.state, new.due_at) == ("queued", NOW)


async def test_a_resend_names_those_that_the_configuration_does_not(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    old = await bench.send()
    await bench.delivery.cancel(old)
    assert (await bench.delivery.resend(old)).removed == []
    bench.workers["alerts"].to = ("b", "c")
    resent = await bench.delivery.resend(old, again=True)
    assert resent.removed == ["a"]
    assert await bench.states(resent.id) == [("a", "queued"), ("b", "queued")]
    [line] = [record.msg for record in caplog.records if record.levelno == logging.WARNING]
    assert isinstance(line, dict)
    assert (line["message"], line["tasks"]) == (resent.id, 1)


@pytest.mark.parametrize("again", [False, True])
async def test_a_message_of_a_mailing_is_not_sent_outside_of_it(bench: Bench, again: bool) -> None:
    sent = new_message("alerts", recipients=["somebody"], mailing_id=7, client_id=1)
    await bench.durable.write(lambda c: intake.register(c, sent))
    await bench.delivery.cancel(sent.id)
    with pytest.raises(Conflict, match="belongs to mailing 7: make another"):
        await bench.delivery.resend(sent.id, again=again)
    assert await bench.ids(50) == [sent.id]


async def test_a_resend_of_what_all_got_goes_to_all(bench: Bench) -> None:
    old = await bench.send()
    await bench.end("alerts")
    await bench.end("alerts")
    assert await bench.states((await bench.delivery.resend(old)).id) == [("a", "queued"), ("b", "queued")]


async def test_a_resend_lives_as_long_as_its_channel_says(bench: Bench) -> None:
    old = await bench.send("mail", expire=5)
    await bench.delivery.cancel(old)
    bench.clock.now += 100
    assert (await bench.delivery.find((await bench.delivery.resend(old)).id)).expires_at == NOW + 100 + 3600


@pytest.mark.parametrize("channel", ["mail", "quick"])
async def test_a_resend_that_came_to_nothing_does_not_count(bench: Bench, channel: str) -> None:
    old = await bench.send(channel)
    await bench.delivery.cancel(old)
    first = (await bench.delivery.resend(old)).id
    assert await bench.delivery.resent_as([old, first]) == {old: first}
    await bench.delivery.cancel(first)
    assert await bench.delivery.resent_as([old, first]) == {}
    second = (await bench.delivery.resend(first)).id
    await bench.end(channel)
    assert await bench.delivery.resent_as([old, first]) == {old: second, first: second}
    with pytest.raises(Conflict, match=f"already, as {second}"):
        await bench.delivery.resend(old)


async def test_of_two_resends_at_once_one_is_made(bench: Bench) -> None:
    old = await bench.send()
    await bench.delivery.cancel(old)
    found = await asyncio.gather(*(bench.delivery.resend(old) for _ in range(3)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["Conflict", "Conflict", "Resent"]


async def test_resends_are_found_by_their_index(bench: Bench) -> None:
    plan = await bench.durable.read(
        lambda c: [row["detail"] for row in c.execute(f"EXPLAIN QUERY PLAN {resends.STANDING}", {"id": 1})]
    )
    assert sum("INDEX message_parent" in step for step in plan) == 2
    assert not [step for step in plan if step.startswith("SCAN") and "message" in step]


async def test_what_is_still_on_its_way_is_not_sent_again(bench: Bench) -> None:
    old = await bench.send()
    await bench.end("alerts", RefusedForGood("no"))
    with pytest.raises(Conflict, match="still on its way"):
        await bench.delivery.resend(old)


async def test_what_belongs_to_a_channel_that_is_gone_is_not_sent_again(bench: Bench) -> None:
    gone = new_message("gone")
    await bench.durable.write(lambda c: intake.register(c, gone))
    await bench.durable.write(lambda c: cancellation.cancel(c, gone.id, NOW))
    with pytest.raises(Conflict, match="not configured any more"):
        await bench.delivery.resend(gone.id)


# -- channels


async def test_a_channel_tells_how_it_does(bench: Bench) -> None:
    await bench.send()
    await bench.send(delay=30)
    await bench.end("alerts")
    await bench.end("alerts", Deferred("down"))
    await bench.send()
    await bench.durable.write(lambda c: claims.claim(c, "alerts", "owner", NOW, 1))
    view = await bench.delivery.channel("alerts")
    assert (view.name, view.worker, view.state, view.reason, view.executors) == ("alerts", "null", "WORKING", None, 1)
    assert (view.waiting, view.running, view.oldest_due) == (4, 1, NOW)
    assert view.counts == {"delivered": 1, "deferred": 1, "scheduled": 2, "queued": 1, "running": 1}
    assert [view.name for view in await bench.delivery.channels()] == ["alerts", "mail", "quick"]
    with pytest.raises(NotFound):
        await bench.delivery.channel("nobody")


class CountingDatabase(Database):
    """Knows how often its counts were read."""

    counted = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.counted += work is counts.all_counts
        return await super().read(work)


async def test_all_channels_are_listed_from_one_reading_of_the_counts(memory: Database, clock: SetClock) -> None:
    database = CountingDatabase(None)
    await database.open()
    try:
        await database.maintain(upgrade)
        bench = Bench(database, memory, clock)
        await bench.send("mail")
        found = {view.name: view.waiting for view in await bench.delivery.channels()}
    finally:
        await database.close()
    assert found == {"alerts": 0, "mail": 1, "quick": 0}
    assert database.counted == 1


async def test_depth_covers_all_databases(bench: Bench) -> None:
    await bench.send("mail")
    await bench.send("quick")
    assert await bench.delivery.depth() == {"mail": {"queued": 1}, "quick": {"queued": 1}}


async def hands_out(channel: Channel) -> bool:
    try:
        async with asyncio.timeout(0.1):
            task = await channel.queue.get()
    except TimeoutError:
        return False
    assert task
    await channel.queue.give_back(task, 0.0)
    return True


@pytest.mark.parametrize("name", ["mail", "quick"])
async def test_a_paused_channel_takes_messages_and_hands_none_out(bench: Bench, name: str) -> None:
    channel = bench.registry.get(name)
    channel.queue.start()
    await bench.delivery.pause(name, "on holiday")
    await bench.delivery.pause(name, "another reason")
    await bench.send(name)
    view = await bench.delivery.channel(name)
    assert (view.state, view.reason) == ("PAUSED", "on holiday")
    assert not await hands_out(channel)
    await bench.delivery.start(name)
    assert (await bench.delivery.channel(name)).state == "WORKING"
    assert await hands_out(channel)
    await channel.queue.stop()


async def test_a_pause_persists_and_a_start_too(bench: Bench) -> None:
    await bench.delivery.pause("mail", "on holiday")
    after = Bench(bench.durable, bench.memory, bench.clock)
    await after.delivery.restore()
    assert (await after.delivery.channel("mail")).reason == "on holiday"
    assert (await after.delivery.channel("alerts")).state == "WORKING"
    await after.send("mail")
    channel = after.registry.get("mail")
    channel.queue.start()
    assert not await hands_out(channel)
    await channel.queue.stop()
    await after.delivery.start("mail")
    again = Bench(bench.durable, bench.memory, bench.clock)
    await again.delivery.restore()
    assert (await again.delivery.channel("mail")).state == "WORKING"


async def test_a_pause_that_cannot_be_written_holds_and_can_be_written_later(bench: Bench) -> None:
    channel = bench.registry.get("quick")
    channel.queue.start()
    await bench.send("quick")
    async with Locked(bench.durable):
        with pytest.raises(StoreUnavailable):
            await bench.delivery.pause("quick", "401")
        assert not await hands_out(channel)
    await bench.delivery.pause("quick", "401")
    assert await bench.durable.read(pauses.all_pauses) == {"quick": "401"}
    await channel.queue.stop()


async def test_a_start_during_a_pause_wins(bench: Bench) -> None:
    channel = bench.registry.get("mail")
    async with channel.queue._claiming:  # a claim is under way
        pausing = asyncio.create_task(bench.delivery.pause("mail", "now"))
        await asyncio.sleep(0)
        await bench.delivery.start("mail")
    await pausing
    assert await bench.durable.read(pauses.all_pauses) == {}
    assert (await bench.delivery.channel("mail")).state == "WORKING"


@pytest.mark.parametrize("last", ["pause", "start"])
async def test_who_comes_last_decides_whether_a_channel_is_paused(bench: Bench, last: str) -> None:
    """Also after a restart, and however far the other one has come."""
    for turns in range(12):
        await bench.delivery.pause("mail", "before")
        first, second = bench.delivery.start("mail"), bench.delivery.pause("mail", "401")
        if last == "start":
            first, second = second, first
        under_way = asyncio.create_task(first)
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.gather(under_way, second)
        paused = last == "pause"
        assert (bench.registry.get("mail").paused is not None) == paused
        assert ("mail" in await bench.durable.read(pauses.all_pauses)) == paused


async def test_a_start_that_cannot_be_written_leaves_it_paused(bench: Bench) -> None:
    await bench.delivery.pause("mail", "on holiday")
    async with Locked(bench.durable):
        with pytest.raises(StoreUnavailable):
            await bench.delivery.start("mail")
    assert bench.registry.get("mail").paused == "on holiday"


async def test_channels_that_are_not_there_are_neither_paused_nor_started(bench: Bench) -> None:
    for call in (bench.delivery.pause("nobody", "x"), bench.delivery.start("nobody")):
        with pytest.raises(NotFound):
            await call


# -- restore and sweep


async def test_after_a_crash_what_was_running_is_marked_and_tried_again(bench: Bench) -> None:
    message_id = await bench.send()
    await bench.durable.write(lambda c: claims.claim(c, "alerts", "dead", NOW, 1))
    await bench.delivery.restore()
    first, second = (await bench.delivery.find(message_id)).tasks
    assert (first.state, first.maybe_sent) == (TaskState.DEFERRED, True)
    assert (second.state, second.maybe_sent) == (TaskState.QUEUED, False)
    await bench.delivery.restore()
    assert (await bench.delivery.find(message_id)).tasks == (first, second)


async def test_what_a_channel_that_is_gone_left_is_taken_up_too(bench: Bench) -> None:
    gone = new_message("gone")
    await bench.durable.write(lambda c: intake.register(c, gone))
    await bench.durable.write(lambda c: claims.claim(c, "gone", "dead", NOW, 1))
    await bench.durable.write(lambda c: pauses.keep(c, "gone", "x", NOW))
    await bench.delivery.restore()
    assert (await bench.delivery.find(gone.id)).state == "deferred"


async def test_the_sweeper_ends_what_is_past_its_time_in_both_databases(bench: Bench) -> None:
    old = [await bench.send("mail", expire=5) for _ in range(3)] + [await bench.send("quick", expire=5)]
    stays = await bench.send("mail")
    bench.clock.now += 5
    await bench.delivery.sweep()
    assert [(await bench.delivery.find(id_)).state for id_ in old] == ["expired"] * 4
    assert (await bench.delivery.find(stays)).state == "queued"


async def test_what_expired_is_named_in_the_log_up_to_a_number(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    sent = [await bench.send("mail", expire=5) for _ in range(EXPIRED_NAMED + 3)]
    bench.clock.now += 5
    await bench.delivery.sweep()
    *named, more = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [(line["event"], line["channel"]) for line in named] == [("expired", "mail")] * EXPIRED_NAMED
    assert {line["message"] for line in named} < set(sent)
    task_ids = {task.id for id_ in sent for task in (await bench.delivery.find(id_)).tasks}
    assert {line["task"] for line in named} < task_ids
    assert (more["event"], more["tasks"]) == ("more expired", 3)


@pytest.mark.parametrize("count", [EXPIRE_BATCH, EXPIRE_BATCH + 1])
async def test_the_sweeper_goes_on_until_all_is_ended(bench: Bench, count: int) -> None:
    await asyncio.gather(*(bench.send("mail", expire=5) for _ in range(count)))
    bench.clock.now += 5
    await bench.delivery.sweep()
    assert await bench.delivery.depth() == {"mail": {"expired": count}}


async def test_the_sweeper_rests_while_all_that_is_past_its_time_is_held(bench: Bench) -> None:
    task = new_message("mail", mailing_id=7, client_id=1, expires_at=NOW + 5)

    def put(connection: Connection) -> None:
        intake.register(connection, task)
        connection.execute("INSERT INTO mailing_now (mailing_id, text, held) VALUES (7, 'Hello', 1)")

    await bench.durable.write(put)
    bench.clock.now += 5
    await bench.delivery.sweep()
    assert await bench.delivery.depth() == {"mail": {"queued": 1}}
    await bench.durable.write(lambda c: c.execute("UPDATE mailing_now SET held = 0").rowcount)
    await bench.delivery.sweep()
    assert await bench.delivery.depth() == {"mail": {"expired": 1}}


async def test_the_sweeper_forgets_keys_that_are_past_their_time(bench: Bench) -> None:
    first = await bench.send("mail", idempotency_key="k")
    bench.clock.now += IDEMPOTENCY_KEPT
    await bench.delivery.sweep()
    assert await bench.durable.read(lambda c: c.execute("SELECT count(*) FROM idempotency").fetchone()[0]) == 0
    assert await bench.send("mail", idempotency_key="k") != first
