"""Where the durable queue does more than every queue manager promises (`tests/conformance`)."""

from __future__ import annotations

import asyncio

from deliveries import NOW, Locked, SetClock, counts_agree, message, row

from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.store import claims, intake
from vestnik.storage.database import Database


def queue_over(database: Database, clock: SetClock) -> DurableQueue:
    queue = DurableQueue(database, "alerts", "owner", clock=clock)
    queue.start()
    return queue


async def test_giving_back_goes_on_until_the_database_takes_it(durable: Database, clock: SetClock) -> None:
    queue = queue_over(durable, clock)
    await queue.put(message())
    task = await queue.get()
    assert task
    async with Locked(durable):
        giving = asyncio.create_task(queue.give_back(task, 0.0))
        _, pending = await asyncio.wait([giving], timeout=0.1)
        assert pending
    async with asyncio.timeout(4):
        await giving
        assert await queue.get()
    await queue.stop()
    assert await durable.read(counts_agree)


async def test_a_queue_stops_in_bounded_time_while_the_database_is_locked(durable: Database, clock: SetClock) -> None:
    queue = queue_over(durable, clock)
    await queue.put(message())
    async with Locked(durable):
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0.05)
        async with asyncio.timeout(4):
            await queue.stop()
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_what_was_claimed_for_one_that_left_goes_back(durable: Database, clock: SetClock) -> None:
    queue = queue_over(durable, clock)
    new = message()
    task_id = new.recipients[0][0]
    await queue.put(new)
    for turns in range(30):
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(turns * 0.0002)
        waiting.cancel()
        await asyncio.wait([waiting])
        if not waiting.cancelled() and (task := waiting.result()):
            await queue.give_back(task, 0.0)
    await queue.stop()
    kept = await durable.read(lambda c: row(c, task_id))
    assert (kept["state"], kept["attempts"], kept["due_at"]) == ("queued", 0, NOW)


async def test_any_number_of_expired_messages_hides_none_that_may_go(durable: Database, clock: SetClock) -> None:
    """Also while nobody ends them: after a jump of the clock that takes ten minutes."""
    expired = [message(due_at=NOW - 100, expires_at=NOW - 50) for _ in range(3 * claims.EXAMINED)]
    await durable.write(lambda c: intake.register_all(c, expired))
    queue = queue_over(durable, clock)
    for _ in range(2):
        new = message()
        await queue.put(new)
        async with asyncio.timeout(4):
            task = await queue.get()
        assert task
        assert task.id == new.recipients[0][0]
    await queue.stop()


async def test_what_is_let_go_is_found_again_at_once(durable: Database, clock: SetClock) -> None:
    """Although the queue knew that it may not go."""
    held = message(due_at=NOW - 100, expires_at=NOW - 50)
    await durable.write(lambda c: intake.register(c, held))
    queue = queue_over(durable, clock)
    getting = asyncio.create_task(queue.get())
    await asyncio.wait([getting], timeout=0.1)
    await durable.write(lambda c: c.execute("UPDATE task SET expires_at = NULL").rowcount)
    queue.wake()
    async with asyncio.timeout(4):
        task = await getting
    assert task
    assert task.id == held.recipients[0][0]
    await queue.stop()
