from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from deliveries import Locked, RecordingWorker, Watching, counts_agree, message, states, until

from vestnik.delivery.channel import PAUSED, Channel, ChannelRegistry
from vestnik.delivery.model import TaskState
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.settings import ChannelSettings, RateSettings
from vestnik.delivery.store.intake import Registered
from vestnik.delivery.workers.worker import Refused, Unavailable
from vestnik.errors import NotFound
from vestnik.runtime.clock import wall
from vestnik.runtime.redaction import Redactor
from vestnik.storage.database import Database

Make = Callable[..., Channel]


@pytest.fixture
def worker() -> RecordingWorker:
    return RecordingWorker()


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.fixture
def pauses() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def make(durable: Database, worker: RecordingWorker, watching: Watching, pauses: list[tuple[str, str]]) -> Make:
    """Makes channels over one worker and one database."""

    def make_channel(name: str = "alerts", **settings: object) -> Channel:
        async def pause(channel: str, reason: str) -> None:
            pauses.append((channel, reason))

        return Channel(
            name,
            ChannelSettings.model_validate({"worker": "null", **settings}),
            worker,
            database=durable,
            queue=DurableQueue(durable, name, "owner"),
            observer=watching,
            redact=Redactor(),
            pause=pause,
        )

    return make_channel


async def put(channel: Channel, **fields: object) -> Registered:
    now = wall()
    registered = await channel.queue.put(message(channel.name, created_at=now, due_at=now, **fields))  # type: ignore[arg-type]
    assert isinstance(registered, Registered)
    return registered


async def ends(channel: Channel, grace: float = 5.0) -> None:
    async with asyncio.timeout(4):
        await channel.deactivate(grace)


async def test_it_delivers_while_it_is_active(make: Make, worker: RecordingWorker, watching: Watching) -> None:
    channel = make()
    await put(channel)
    assert worker.tasks == []
    await channel.activate()
    assert (await watching.end()).state is TaskState.DELIVERED
    await ends(channel)
    assert (worker.started, worker.stopped) == (1, 1)


async def test_it_has_as_many_executors_as_its_settings_say(make: Make, worker: RecordingWorker) -> None:
    channel = make(executors=3)
    worker.gate.clear()
    await put(channel, recipients=["a", "b", "c", "d"])
    await channel.activate()
    await until(lambda: len(worker.tasks) == 3)
    await asyncio.sleep(0.02)
    assert len(worker.tasks) == 3
    worker.gate.set()
    await ends(channel)


async def test_what_was_not_activated_has_nothing_to_end(make: Make, worker: RecordingWorker) -> None:
    await make().deactivate(0.0)
    assert (worker.started, worker.stopped) == (0, 0)


async def test_it_can_be_activated_again(make: Make, worker: RecordingWorker, watching: Watching) -> None:
    channel = make(executors=2)
    for number in range(3):
        await channel.activate()
        await put(channel)
        await watching.end()
        assert len(worker.tasks) == number + 1
        await ends(channel)


async def test_one_that_was_never_active_stops_all_the_same(make: Make) -> None:
    await ends(make())


async def test_idle_executors_end_at_once(make: Make) -> None:
    channel = make(executors=5)
    await channel.activate()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await ends(channel)
    assert loop.time() - began < 1


async def test_an_executor_that_waits_for_a_rate_ends_too(make: Make, watching: Watching) -> None:
    channel = make(executors=3, rate="1/h")
    await channel.activate()
    await put(channel, recipients=["a", "b"])
    await watching.end()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await ends(channel)
    assert loop.time() - began < 2


async def test_a_delivery_under_way_may_end(make: Make, durable: Database, worker: RecordingWorker) -> None:
    channel = make()
    worker.gate.clear()
    await channel.activate()
    await put(channel)
    await worker.called.wait()
    ending = asyncio.create_task(channel.deactivate(5))
    await asyncio.sleep(0.15)
    assert not ending.done()
    worker.gate.set()
    async with asyncio.timeout(4):
        await ending
    found = await durable.read(lambda c: [r["state"] for r in c.execute("SELECT state FROM task")])
    assert found == ["delivered"]


async def test_one_that_does_not_end_in_time_is_broken_off_and_marked(
    make: Make, durable: Database, worker: RecordingWorker
) -> None:
    channel = make(executors=2)
    worker.gate.clear()
    await channel.activate()
    await put(channel, recipients=["a", "b", "c"])
    await until(lambda: len(worker.tasks) == 2)
    await ends(channel, 0.05)
    found = await durable.read(
        lambda c: [(r["state"], r["maybe_sent"]) for r in c.execute("SELECT * FROM task ORDER BY id")]
    )
    assert found == [("deferred", 1), ("deferred", 1), ("queued", 0)]
    assert await durable.read(counts_agree)
    assert worker.stopped == 1


async def test_it_stops_in_bounded_time_while_the_database_is_locked(
    make: Make, durable: Database, worker: RecordingWorker, caplog: pytest.LogCaptureFixture
) -> None:
    channel = make()
    worker.gate.clear()
    await channel.activate()
    await put(channel)
    await worker.called.wait()
    async with Locked(durable):
        worker.gate.set()
        await ends(channel, 0.05)
    assert worker.stopped == 1
    assert any("could not write how deliveries ended" in str(record.msg) for record in caplog.records)
    await asyncio.sleep(0)


async def test_a_worker_that_does_not_stop_cleanly_is_logged(
    make: Make, worker: RecordingWorker, caplog: pytest.LogCaptureFixture
) -> None:
    channel = make()
    worker.stop_raises = RuntimeError("a bug of its own")
    await channel.activate()
    await ends(channel)
    assert any(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)


async def test_an_executor_that_failed_starts_again(make: Make, worker: RecordingWorker, watching: Watching) -> None:
    channel = make()
    watching.raises = [RuntimeError("a bug of ours")]
    await channel.activate()
    await put(channel)
    await watching.end()
    await put(channel)
    assert (await watching.end()).state is TaskState.DELIVERED
    await ends(channel)


async def test_an_observer_that_fails_does_not_hold_up_the_end(
    make: Make, watching: Watching, worker: RecordingWorker, caplog: pytest.LogCaptureFixture
) -> None:
    channel = make()
    worker.gate.clear()
    await channel.activate()
    await put(channel)
    await worker.called.wait()
    watching.raises = [RuntimeError("a bug of ours")]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await ends(channel, 0.05)
    assert loop.time() - began < 0.9
    assert any("an observer of deliveries failed" in str(record.msg) for record in caplog.records)


async def test_it_remembers_its_last_error(make: Make, worker: RecordingWorker, watching: Watching) -> None:
    channel = make()
    await channel.activate()
    await put(channel)
    await watching.end()
    assert (channel.last_error, channel.last_error_at) == (None, None)
    worker.raises = [Refused("no such chat")]
    await put(channel)
    await watching.end()
    assert channel.last_error == "no such chat"
    assert channel.last_error_at == pytest.approx(wall(), abs=5)
    await ends(channel)


async def test_refused_credentials_pause_it_by_name(
    make: Make, worker: RecordingWorker, watching: Watching, pauses: list[tuple[str, str]]
) -> None:
    channel = make()
    worker.raises = [Unavailable("401", unauthorised=True)]
    await channel.activate()
    await put(channel)
    await watching.end()
    assert pauses == [("alerts", "401")]
    await ends(channel)


async def test_while_held_it_stops_too(make: Make) -> None:
    channel = make()
    await channel.queue.hold(PAUSED)
    await channel.activate()
    await put(channel)
    await ends(channel)


# -- the registry


async def test_channels_are_registered_once_and_found_by_name(make: Make) -> None:
    registry = ChannelRegistry()
    channel = make()
    registry.register(channel)
    with pytest.raises(ValueError, match="registered already"):
        registry.register(make())
    assert registry.exists("alerts")
    assert not registry.exists("other")
    assert registry.get("alerts") is channel
    assert list(registry) == [channel]
    with pytest.raises(NotFound, match="no channel 'other'"):
        registry.get("other")


async def test_the_registry_activates_deactivates_and_creates_tasks(
    make: Make, durable: Database, watching: Watching
) -> None:
    registry = ChannelRegistry()
    registry.register(make())
    await registry.activate("alerts")
    now = wall()
    new = message(created_at=now, due_at=now)
    assert await registry.create_task(new) == Registered(new.id)
    await watching.end()
    await registry.deactivate("alerts", 5)
    assert await durable.read(lambda c: states(c, new)) == ["delivered"]
    for call in (registry.activate("other"), registry.deactivate("other", 1)):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(NotFound):
        await registry.create_task(message("other"))


# -- settings


def test_a_channels_settings_have_the_documented_defaults() -> None:
    settings = ChannelSettings.model_validate({"worker": None})
    assert (settings.worker, settings.queue, settings.executors) == ("null", "durable", 1)
    assert settings.rate == RateSettings()
    policy = settings.policy()
    assert (policy.delay.total_seconds(), policy.attempts, policy.factor, policy.on_ambiguous) == (30, 10, 1.0, "retry")


def test_a_bare_rate_is_the_total() -> None:
    rate = ChannelSettings.model_validate({"worker": "sms", "rate": "20/min"}).rate
    assert (rate.total is not None, rate.per_recipient) == (True, None)
    both = ChannelSettings.model_validate({"worker": "sms", "rate": {"total": "30/s", "per_recipient": "1/s"}}).rate
    assert both.per_recipient is not None
