"""What every queue manager promises, held against each there is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from deliveries import NOW, POLICY, SetClock, counts_agree, message

from vestnik.delivery.model import Deferred, Delivered, Priority, Task, settle
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.store.intake import NewMessage, OtherContent, Registered
from vestnik.errors import StoreUnavailable
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=["on disk", "in memory"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "vestnik.db" if request.param == "on disk" else None)
    await opened.open()
    await opened.maintain(upgrade)
    yield opened
    assert await opened.read(counts_agree)
    await opened.close()


@pytest.fixture
async def queue(database: Database, clock: SetClock) -> AsyncIterator[DurableQueue]:
    made = DurableQueue(database, "alerts", "owner", clock=clock)
    made.start()
    yield made
    await made.stop()


async def got(queue: DurableQueue) -> Task:
    """The next task, which has to be there at once: the poll is 5 s away."""
    async with asyncio.timeout(4):
        task = await queue.get()
    assert task is not None
    return task


async def gets_nothing(queue: DurableQueue) -> bool:
    try:
        async with asyncio.timeout(0.1):
            await queue.get()
    except TimeoutError:
        return True
    return False


async def getting(queue: DurableQueue) -> asyncio.Task[Task | None]:
    """An executor that waits for a task."""
    waiting = asyncio.create_task(queue.get())
    for _ in range(5):
        await asyncio.sleep(0)
    return waiting


async def running(database: Database) -> int:
    count: int = await database.read(
        lambda c: c.execute("SELECT count(*) FROM task WHERE state = 'running'").fetchone()[0]
    )
    return count


async def test_what_is_put_is_got(queue: DurableQueue) -> None:
    new = message(recipients=["a"])
    assert await queue.put(new) == Registered(new.id)
    task = await got(queue)
    assert (task.id, task.message_id, task.recipient, task.text) == (new.recipients[0][0], new.id, "a", "Hello")
    assert (task.channel, task.attempts) == ("alerts", 1)


async def test_a_put_wakes_whoever_waits(queue: DurableQueue) -> None:
    waiting = await getting(queue)
    await queue.put(message())
    async with asyncio.timeout(4):
        assert await waiting is not None


async def test_two_that_wait_get_different_tasks(queue: DurableQueue) -> None:
    waiting = [await getting(queue) for _ in range(2)]
    await queue.put(message(recipients=["a", "b"]))
    async with asyncio.timeout(4):
        tasks = await asyncio.gather(*waiting)
    assert {task.recipient for task in tasks if task} == {"a", "b"}


async def test_many_executors_get_every_task_once(queue: DurableQueue) -> None:
    taken: list[str] = []

    async def execute() -> None:
        while task := await queue.get():
            taken.append(task.recipient)
            await queue.done(settle(task, Delivered(), POLICY, NOW))

    executors = [asyncio.create_task(execute()) for _ in range(8)]
    everyone = [str(number) for number in range(100)]
    await asyncio.gather(*(queue.put(message(recipients=everyone[start::10])) for start in range(10)))
    async with asyncio.timeout(4):
        while await queue.has_tasks() or len(taken) < 100:
            await asyncio.sleep(0.01)
    queue.terminate(8)
    await asyncio.gather(*executors)
    assert sorted(taken) == sorted(everyone)


async def test_what_is_done_does_not_come_again(queue: DurableQueue) -> None:
    await queue.put(message())
    task = await got(queue)
    assert await queue.done(settle(task, Delivered(), POLICY, NOW))
    assert not await queue.done(settle(task, Delivered(), POLICY, NOW))
    assert not await queue.has_tasks()
    assert await gets_nothing(queue)


async def test_what_could_not_be_delivered_comes_again_at_its_time(queue: DurableQueue, clock: SetClock) -> None:
    await queue.put(message())
    await queue.done(settle(await got(queue), Deferred("down"), POLICY, NOW))
    assert await queue.has_tasks()
    assert await gets_nothing(queue)
    clock.now += 30
    assert (await got(queue)).attempts == 2


async def test_what_is_given_back_comes_again_and_has_used_no_try(queue: DurableQueue) -> None:
    await queue.put(message())
    task = await got(queue)
    await queue.give_back(task, 0.0)
    again = await got(queue)
    assert (again.id, again.attempts) == (task.id, 1)
    assert again.epoch > task.epoch


async def test_what_is_given_back_keeps_its_place(queue: DurableQueue, clock: SetClock) -> None:
    await queue.put(message(recipients=["first"]))
    await queue.put(message(recipients=["second"], due_at=NOW + 1))
    clock.now += 10
    await queue.give_back(await got(queue), 0.0)
    assert (await got(queue)).recipient == "first"


async def test_given_back_for_later_it_comes_later(queue: DurableQueue, clock: SetClock) -> None:
    await queue.put(message())
    await queue.give_back(await got(queue), 20.0)
    assert await gets_nothing(queue)
    clock.now += 20
    assert (await got(queue)).attempts == 1


async def test_a_stale_holder_changes_nothing(queue: DurableQueue) -> None:
    await queue.put(message())
    stale = await got(queue)
    await queue.give_back(stale, 0.0)
    task = await got(queue)
    assert not await queue.done(settle(stale, Delivered(), POLICY, NOW))
    await queue.give_back(stale, 0.0)
    assert await queue.done(settle(task, Delivered(), POLICY, NOW))


async def test_tasks_come_in_the_order_they_are_due(queue: DurableQueue, clock: SetClock) -> None:
    for recipient, due_at in [("c", NOW + 3), ("a", NOW + 1), ("b", NOW + 2)]:
        await queue.put(message(recipients=[recipient], due_at=due_at))
    clock.now += 10
    assert [(await got(queue)).recipient for _ in range(3)] == ["a", "b", "c"]


async def test_a_single_send_overtakes_a_mailing(queue: DurableQueue) -> None:
    await queue.put(message(recipients=["b1", "b2"], priority=Priority.BULK, due_at=NOW - 60))
    assert (await got(queue)).recipient == "b1"
    await queue.put(message(recipients=["single"]))
    assert [(await got(queue)).recipient for _ in range(2)] == ["single", "b2"]


async def test_a_delayed_task_does_not_come_before_its_time(queue: DurableQueue, clock: SetClock) -> None:
    await queue.put(message(due_at=NOW + 60))
    assert await queue.has_tasks()
    clock.now += 59.9
    assert await gets_nothing(queue)
    clock.now += 0.1
    assert (await got(queue)).attempts == 1


async def test_a_delayed_task_wakes_whoever_waits_when_it_is_due(database: Database) -> None:
    queue = DurableQueue(database, "alerts", "owner")  # on the real clock
    queue.start()
    loop = asyncio.get_running_loop()
    now = queue._clock()
    await queue.put(message(created_at=now, due_at=now + 0.2))
    began = loop.time()
    await got(queue)
    assert 0.1 < loop.time() - began < 1.5
    await queue.stop()


async def test_an_empty_queue_has_no_tasks(queue: DurableQueue) -> None:
    assert not await queue.has_tasks()
    await queue.put(message())
    assert await queue.has_tasks()
    await got(queue)
    assert not await queue.has_tasks()  # it is running


async def test_another_channels_tasks_are_not_ours(queue: DurableQueue) -> None:
    await queue.put(message("other"))
    assert not await queue.has_tasks()
    assert await gets_nothing(queue)


async def test_while_held_nothing_is_handed_out_and_puts_go_on(queue: DurableQueue) -> None:
    await queue.hold("one")
    await queue.hold("two")
    await queue.put(message())
    waiting = await getting(queue)
    queue.resume("one")
    _, pending = await asyncio.wait([waiting], timeout=0.1)
    assert pending
    queue.resume("two")
    async with asyncio.timeout(4):
        assert await waiting is not None


async def test_after_hold_has_returned_no_claim_begins(queue: DurableQueue, database: Database) -> None:
    waiting = [await getting(queue) for _ in range(3)]
    puts = [queue.put(message()) for _ in range(3)]
    await asyncio.sleep(0)
    await queue.hold("now")
    held_at = await running(database)
    await asyncio.gather(*puts)
    await asyncio.sleep(0.05)
    assert await running(database) == held_at
    for getter in waiting:
        getter.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_terminating_tasks_come_ahead_of_all_others(queue: DurableQueue) -> None:
    await queue.put(message())
    queue.terminate(1)
    assert await queue.get() is None
    assert (await got(queue)).attempts == 1


async def test_terminating_tasks_end_those_that_wait(queue: DurableQueue) -> None:
    waiting = [await getting(queue) for _ in range(2)]
    queue.terminate(3)
    async with asyncio.timeout(4):
        assert await asyncio.gather(*waiting) == [None, None]
        assert await queue.get() is None


async def test_a_queue_that_starts_again_has_forgotten_terminating_tasks(queue: DurableQueue) -> None:
    queue.terminate(3)
    await queue.stop()
    queue.start()
    await queue.put(message())
    assert (await got(queue)).attempts == 1


@pytest.mark.parametrize("turns", [*range(12), 50])
async def test_whoever_stops_waiting_loses_no_task(queue: DurableQueue, database: Database, turns: int) -> None:
    waiting = await getting(queue)
    put = queue.put(message())
    for _ in range(turns):
        await asyncio.sleep(0.0005)
    waiting.cancel()
    await asyncio.wait([waiting])
    await put
    if waiting.cancelled():
        assert (await got(queue)).attempts == 1
    else:
        assert waiting.result() is not None
    assert await running(database) == 1


async def test_a_task_claimed_for_one_that_left_goes_to_another(queue: DurableQueue) -> None:
    gone, stays = await getting(queue), await getting(queue)
    put = queue.put(message())
    await asyncio.sleep(0)
    gone.cancel()
    await put
    async with asyncio.timeout(4):
        assert await stays is not None


@pytest.mark.parametrize("turns", range(10))
async def test_stopping_at_any_moment_ends_and_leaves_nothing_running(
    queue: DurableQueue, database: Database, turns: int
) -> None:
    waiting = await getting(queue)
    put = queue.put(message())
    for _ in range(turns):
        await asyncio.sleep(0.0003)
    waiting.cancel()
    async with asyncio.timeout(4):
        await queue.stop()
        await asyncio.wait([waiting])
        await put
    if waiting.cancelled():
        assert await running(database) == 0


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_that_comes_together_with_a_wake_is_not_lost(queue: DurableQueue, turns: int) -> None:
    await getting_nothing_yet(queue)
    queue.resume("anything")  # wakes the loop
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(4):
        await queue.stop()


async def getting_nothing_yet(queue: DurableQueue) -> None:
    """Let the queue's loop go to sleep."""
    for _ in range(3):
        await asyncio.sleep(0.001)


async def test_a_key_that_comes_again_makes_no_second_task(queue: DurableQueue) -> None:
    first = message(idempotency_key="k")
    await queue.put(first)
    await got(queue)
    assert await queue.put(message(idempotency_key="k")) == Registered(first.id, new=False)
    assert await queue.put(message(idempotency_key="k", text="Other")) == OtherContent()
    assert not await queue.has_tasks()


async def test_a_queue_that_cannot_keep_a_message_says_so(queue: DurableQueue, database: Database) -> None:
    await database.close()
    with pytest.raises(StoreUnavailable):
        await queue.put(message())
    await database.open()
    await database.maintain(upgrade)


async def test_one_bad_message_does_not_spoil_those_that_come_with_it(queue: DurableQueue) -> None:
    good = message()
    bad: NewMessage = message(id=good.id)
    results = await asyncio.gather(queue.put(good), queue.put(bad), return_exceptions=True)
    assert results[0] == Registered(good.id)
    assert isinstance(results[1], sqlite3.IntegrityError)
