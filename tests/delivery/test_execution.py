from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from deliveries import NOW, Locked, RecordingWorker, SetClock, Watching, counts_agree, message, row, until

from vestnik.delivery.execution import LONGEST_TEXT, Executor
from vestnik.delivery.model import MessageId, RetryPolicy, Settlement, TaskId, TaskState
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.rates import Limiter
from vestnik.delivery.store import cancellation, claims, counts
from vestnik.delivery.workers.worker import Refused, Unavailable
from vestnik.errors import StoreUnavailable
from vestnik.runtime import retry_after
from vestnik.runtime.redaction import Redactor
from vestnik.settings.values import Rate
from vestnik.storage.database import Database

SECRET = "123456:bot-token"


class Bench:
    """One executor between a queue and a recording worker."""

    def __init__(self, database: Database, clock: SetClock) -> None:
        self.database = database
        self.clock = clock
        self.monotonic = SetClock(0.0)
        self.worker = RecordingWorker()
        self.watching = Watching()
        self.queue = DurableQueue(database, "alerts", "owner", clock=clock)
        self.limiter = Limiter(None, None, clock=self.monotonic)
        self.pauses: list[str] = []
        self.pause_raises: Exception | None = None
        self.timeout = 5.0
        self.policy = RetryPolicy()
        self.task: asyncio.Task[None]
        self.executor: Executor

    def start(self) -> None:
        self.executor = Executor(
            self.queue,
            self.worker,
            policy=self.policy,
            limiter=self.limiter,
            timeout=self.timeout,
            observer=self.watching,
            pause_channel=self._pause,
            redact=Redactor([SECRET]),
            clock=self.clock,
        )
        self.queue.start()
        self.task = asyncio.create_task(self.executor.run())

    async def _pause(self, reason: str) -> None:
        await self.queue.hold("paused")
        self.pauses.append(reason)
        if self.pause_raises:
            raise self.pause_raises

    async def stop(self) -> None:
        self.worker.gate.set()
        self.queue.terminate(1)
        async with asyncio.timeout(60):
            await asyncio.wait([self.task])
            await self.queue.stop()

    async def send(self, **fields: Any) -> TaskId:
        new = message(**fields)
        await self.queue.put(new)
        return new.recipients[0][0]

    async def kept(self, task_id: TaskId) -> dict[str, Any]:
        return dict(await self.database.read(lambda c: row(c, task_id)))

    async def outcome(self, **fields: Any) -> tuple[Settlement, dict[str, Any]]:
        """Of one message's first try: its settlement, and its row."""
        task_id = await self.send(**fields)
        settlement = await self.watching.end()
        return settlement, await self.kept(task_id)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    bench.start()
    try:
        yield bench
    finally:
        await bench.stop()


@pytest.fixture
async def bench(durable: Database, clock: SetClock) -> AsyncIterator[Bench]:
    yield Bench(durable, clock)
    assert await durable.read(counts_agree)


async def test_what_the_worker_takes_is_delivered(bench: Bench) -> None:
    bench.worker.receipt = "r-1"
    async with running(bench):
        settlement, kept = await bench.outcome(recipients=["a"])
    assert (kept["state"], kept["attempts"], kept["error"]) == ("delivered", 1, None)
    assert [task.recipient for task in bench.worker.tasks] == ["a"]
    assert bench.watching.begun == [settlement.task]
    attempt = await bench.database.read(lambda c: dict(c.execute("SELECT * FROM attempt").fetchone()))
    assert (attempt["outcome"], attempt["detail"]) == ("delivered", "r-1")


async def test_one_task_follows_another(bench: Bench) -> None:
    async with running(bench):
        await bench.send(recipients=[str(n) for n in range(20)])
        for _ in range(20):
            assert (await bench.watching.end()).state is TaskState.DELIVERED
    assert [task.recipient for task in bench.worker.tasks] == [str(n) for n in range(20)]


async def test_a_refusal_ends_the_task(bench: Bench) -> None:
    bench.worker.raises = [Refused("no such chat")]
    async with running(bench):
        _, kept = await bench.outcome()
    assert (kept["state"], kept["error"], kept["maybe_sent"]) == ("failed", "no such chat", 0)


async def test_an_unavailable_far_side_means_another_try(bench: Bench) -> None:
    bench.worker.raises = [Unavailable("connection refused")]
    async with running(bench):
        _, kept = await bench.outcome()
        assert (kept["state"], kept["error"], kept["due_at"]) == ("deferred", "connection refused", NOW + 30)
        bench.clock.now += 30
        bench.queue.resume("")  # the clock moved: look again
        settlement = await bench.watching.end()
    assert (settlement.state, settlement.task.attempts) == (TaskState.DELIVERED, 2)


async def test_the_last_try_ends_the_task(bench: Bench) -> None:
    bench.policy = RetryPolicy(delay=timedelta(0), attempts=3)
    bench.worker.raises = [Unavailable("down") for _ in range(3)]
    async with running(bench):
        task_id = await bench.send()
        found = [(await bench.watching.end()).state for _ in range(3)]
        kept = await bench.kept(task_id)
    assert found == [TaskState.DEFERRED, TaskState.DEFERRED, TaskState.FAILED]
    assert (kept["attempts"], kept["error"]) == (3, "given up after 3 tries: down")


async def test_a_wish_to_wait_holds_the_whole_channel_and_uses_up_no_try(bench: Bench) -> None:
    bench.worker.raises = [Unavailable("flood control", retry_after=7)]
    async with running(bench):
        _, kept = await bench.outcome()
        assert (kept["state"], kept["attempts"], kept["due_at"]) == ("deferred", 0, NOW + 7)
        assert bench.limiter._wait() == 7
        await bench.send()
        await asyncio.sleep(0.05)
        assert len(bench.worker.tasks) == 1
        bench.task.cancel()


@pytest.mark.parametrize(("wish", "wait"), [(0.0, 1.0), (-5.0, 1.0), (float("nan"), 1.0), (1e12, retry_after.LONGEST)])
async def test_a_senseless_wish_to_wait_is_bounded(bench: Bench, wish: float, wait: float) -> None:
    bench.worker.raises = [Unavailable("flood control", retry_after=wish)]
    async with running(bench):
        _, kept = await bench.outcome()
        assert kept["due_at"] == NOW + wait
        assert bench.limiter._wait() == wait
        bench.task.cancel()


async def test_refused_credentials_pause_the_channel_and_use_up_no_try(bench: Bench) -> None:
    bench.worker.raises = [Unavailable(f"401 for {SECRET}", unauthorised=True)]
    async with running(bench):
        _, kept = await bench.outcome()
    assert (kept["state"], kept["attempts"], bench.pauses) == ("deferred", 0, ["401 for [secret]"])


async def test_a_pause_that_cannot_be_written_loses_no_outcome(bench: Bench) -> None:
    bench.worker.raises = [Unavailable("401", unauthorised=True)]
    bench.pause_raises = StoreUnavailable("locked")
    async with running(bench):
        _, kept = await bench.outcome()
    assert kept["state"] == "deferred"


async def test_an_end_that_nobody_saw_marks_the_task(bench: Bench) -> None:
    bench.worker.raises = [Unavailable("cut off after the body", maybe_sent=True)]
    async with running(bench):
        _, kept = await bench.outcome()
    assert (kept["state"], kept["maybe_sent"], kept["ambiguous"]) == ("deferred", 1, 1)


async def test_where_the_channel_says_so_such_an_end_is_the_last(bench: Bench) -> None:
    bench.policy = RetryPolicy(on_ambiguous="stop")
    bench.worker.raises = [Unavailable("cut off after the body", maybe_sent=True)]
    async with running(bench):
        _, kept = await bench.outcome()
    assert (kept["state"], kept["maybe_sent"]) == ("failed", 1)


@pytest.mark.parametrize(
    "bug", [KeyError("token"), TimeoutError("its own"), ExceptionGroup("two", [OSError(), ValueError()])]
)
async def test_a_bug_in_a_worker_counts_as_possibly_sent_and_the_next_task_goes(bench: Bench, bug: Exception) -> None:
    bench.worker.raises = [bug]
    async with running(bench):
        _, kept = await bench.outcome()
        assert (kept["state"], kept["maybe_sent"]) == ("deferred", 1)
        assert kept["error"].startswith(f"{type(bug).__name__}: ")
        settlement, _ = await bench.outcome()
    assert settlement.state is TaskState.DELIVERED


async def test_a_cancellation_from_inside_a_worker_does_not_end_its_executor(bench: Bench) -> None:
    bench.worker.raises = [asyncio.CancelledError()]
    async with running(bench):
        _, kept = await bench.outcome()
        assert (kept["state"], kept["maybe_sent"]) == ("deferred", 1)
        settlement, _ = await bench.outcome()
    assert settlement.state is TaskState.DELIVERED


async def test_a_try_has_its_time_and_may_have_been_sent(bench: Bench) -> None:
    bench.timeout = 0.05
    bench.worker.gate.clear()
    async with running(bench):
        _, kept = await bench.outcome()
    assert (kept["state"], kept["maybe_sent"], kept["error"]) == ("deferred", 1, "no end within 0.05 s")


@pytest.mark.parametrize(
    "error",
    [
        Refused(f"bad token {SECRET}"),
        Unavailable(f"https://far.example/bot{SECRET}/send"),
        Unavailable("https://far.example/bot123456%3Abot-token/send"),
        ValueError(f"cannot parse {SECRET!r}"),
    ],
)
async def test_no_secret_is_kept_in_an_error(bench: Bench, error: Exception) -> None:
    bench.worker.raises = [error]
    async with running(bench):
        settlement, kept = await bench.outcome()
    detail = await bench.database.read(lambda c: c.execute("SELECT detail FROM attempt").fetchone()[0])
    for text in (kept["error"], detail, str(settlement.error)):
        assert "[secret]" in text
        assert "bot-token" not in text


@pytest.mark.parametrize("said", ["550 \udce9t\udce9", "a\x00b", "x" * 100_000])
async def test_whatever_a_far_side_says_can_be_kept(bench: Bench, said: str) -> None:
    bench.worker.raises = [Refused(said)]
    async with running(bench):
        _, refused = await bench.outcome()
        bench.worker.receipt = said
        _, delivered = await bench.outcome()
    assert (refused["state"], delivered["state"]) == ("failed", "delivered")
    assert len(refused["error"]) <= LONGEST_TEXT


@pytest.mark.parametrize("said", [object(), 17, ["a"]])
async def test_a_worker_that_says_what_is_no_text_stops_nothing(bench: Bench, said: Any) -> None:
    bench.worker.raises = [Refused(said)]
    async with running(bench):
        _, refused = await bench.outcome()
        bench.worker.receipt = said
        _, delivered = await bench.outcome()
    assert (refused["error"], delivered["state"]) == (str(said), "delivered")


async def test_a_recipient_over_its_rate_waits_and_others_go(bench: Bench) -> None:
    bench.limiter = Limiter(Rate(100, 1.0), Rate(1, 60.0), clock=bench.monotonic)
    async with running(bench):
        await bench.send(recipients=["a"])
        second = await bench.send(recipients=["a"])
        await bench.send(recipients=["b"])
        for _ in range(2):
            await bench.watching.end()
        await until(lambda: len(bench.worker.tasks) == 2)
        kept = await bench.kept(second)
        assert (kept["state"], kept["attempts"], kept["due_at"]) == ("deferred", 0, NOW + 60)
    assert [task.recipient for task in bench.worker.tasks] == ["a", "b"]
    assert bench.limiter._reserved == 0


async def test_a_moment_over_the_rate_is_waited_for_and_not_given_back(bench: Bench) -> None:
    bench.limiter = Limiter(Rate(100, 1.0), Rate(1, 0.05))
    async with running(bench):
        for _ in range(3):
            await bench.send(recipients=["a"])
        for _ in range(3):
            await bench.watching.end()
    assert [task.epoch for task in bench.worker.tasks] == [1, 1, 1]


async def test_what_expires_between_claim_and_hand_over_is_not_handed_over(bench: Bench) -> None:
    bench.queue = DurableQueue(bench.database, "alerts", "owner", clock=SetClock(NOW))
    bench.clock.now = NOW + 10  # the claim was made earlier
    async with running(bench):
        task_id = await bench.send(expires_at=NOW + 10)
        async with asyncio.timeout(60):
            while (await bench.kept(task_id))["epoch"] < 2:
                await asyncio.sleep(0)
    assert (await bench.kept(task_id))["attempts"] == 0
    assert bench.worker.tasks == []


async def test_a_stop_in_mid_delivery_says_that_it_may_have_been_sent(bench: Bench) -> None:
    bench.worker.gate.clear()
    bench.start()
    task_id = await bench.send()
    await bench.worker.called.wait()
    bench.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bench.task
    assert not bench.executor.busy
    kept = await bench.kept(task_id)
    assert (kept["state"], kept["maybe_sent"], kept["error"]) == (
        "deferred",
        1,
        "the daemon stopped in the middle of this try",
    )
    await bench.queue.stop()


@pytest.mark.parametrize("moment", range(25))
async def test_a_stop_at_any_moment_leaves_nothing_running_and_no_place_taken(bench: Bench, moment: int) -> None:
    bench.limiter = Limiter(Rate(1000, 1.0), None, clock=bench.monotonic)
    bench.start()
    await bench.send(recipients=["a", "b", "c"])
    await asyncio.sleep(moment * 0.0004)
    bench.task.cancel()
    async with asyncio.timeout(60):
        await asyncio.wait([bench.task])
        await bench.executor.settled()
        await bench.queue.stop()
    left = await bench.database.read(lambda c: c.execute("SELECT * FROM task").fetchall())
    assert "running" not in {task["state"] for task in left}
    assert bench.limiter._reserved == 0
    waiting = [task for task in left if task["state"] == "queued"]
    assert all(task["attempts"] == 0 for task in waiting)
    assert len(waiting) + len(bench.worker.tasks) == 3


async def test_an_end_is_written_when_the_lock_is_gone(bench: Bench) -> None:
    bench.worker.gate.clear()
    async with running(bench):
        task_id = await bench.send()
        await bench.worker.called.wait()
        async with Locked(bench.database):
            bench.worker.gate.set()
            await asyncio.sleep(0.1)
            assert (await bench.kept(task_id))["state"] == "running"
        assert (await bench.watching.end()).state is TaskState.DELIVERED
        assert (await bench.kept(task_id))["state"] == "delivered"
    assert len(bench.worker.tasks) == 1


async def test_no_next_delivery_begins_before_the_last_end_is_written(bench: Bench) -> None:
    bench.worker.gate.clear()
    async with running(bench):
        await bench.send(recipients=["a", "b"])
        await bench.worker.called.wait()
        async with Locked(bench.database):
            bench.worker.gate.set()
            await asyncio.sleep(0.1)
            assert len(bench.worker.tasks) == 1
        assert [(await bench.watching.end()).state for _ in range(2)] == [TaskState.DELIVERED] * 2


async def test_an_observer_that_fails_loses_no_task_and_no_place(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.limiter = Limiter(Rate(1000, 1.0), None, clock=bench.monotonic)
    bench.watching.raises = [RuntimeError("a bug of ours")]
    async with running(bench):
        await bench.send(recipients=["a", "b"])
        assert [(await bench.watching.end()).task.recipient for _ in range(2)] == ["a", "b"]
    assert bench.limiter._reserved == 0
    assert [task.recipient for task in bench.worker.tasks] == ["a", "b"]
    assert (await bench.database.read(counts.all_counts))["alerts"] == {"delivered": 2}
    assert any("an observer of deliveries failed" in str(record.msg) for record in caplog.records)


async def test_a_cancel_during_a_delivery_prevents_another_try(bench: Bench) -> None:
    bench.worker.gate.clear()
    bench.worker.raises = [Unavailable("down")]
    async with running(bench):
        task_id = await bench.send()
        await bench.worker.called.wait()
        message_id = bench.worker.tasks[0].message_id
        await bench.database.write(lambda c: cancellation.cancel(c, message_id, NOW))
        bench.worker.gate.set()
        await bench.watching.end()
        assert (await bench.kept(task_id))["state"] == "canceled"


async def test_the_terminating_task_ends_it_after_the_last_end_is_written(bench: Bench) -> None:
    bench.start()
    task_id = await bench.send()
    await bench.worker.called.wait()
    bench.queue.terminate(1)
    async with asyncio.timeout(60):
        await bench.task
    assert (await bench.kept(task_id))["state"] == "delivered"
    await bench.queue.stop()


# -- what is told is what is written


async def test_a_try_that_failed_after_its_cancel_is_told_as_canceled(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.worker.raises = [Unavailable("down")]
    bench.worker.gate.clear()
    async with running(bench):
        task_id = await bench.send()
        await bench.worker.called.wait()
        message_id = MessageId(bench.worker.tasks[0].message_id)
        await bench.database.write(lambda c: cancellation.cancel(c, message_id, NOW))
        bench.worker.gate.set()
        settlement = await bench.watching.end()
        assert (await bench.kept(task_id))["state"] == "canceled"
    assert (settlement.state, settlement.due_at) == (TaskState.CANCELED, None)
    assert events(caplog, logging.WARNING) == ["canceled"]


async def test_an_end_that_the_store_does_not_take_counts_for_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.worker.gate.clear()
    async with running(bench):
        task_id = await bench.send()
        await bench.worker.called.wait()
        [task] = bench.worker.tasks
        await bench.database.write(lambda c: claims.give_back(c, task, NOW + 60, NOW))
        bench.worker.gate.set()
        async with asyncio.timeout(60):
            assert (await bench.watching.losses.get()).id == task_id
        assert (await bench.kept(task_id))["state"] != "delivered"
    assert bench.watching.ends.empty()
    assert events(caplog, logging.WARNING) == ["how it ended is not written"]
    assert "delivered" not in events(caplog, logging.INFO)


def events(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    records = [record for record in caplog.records if record.levelno == level]
    return [record.msg["event"] if isinstance(record.msg, dict) else record.getMessage() for record in records]
