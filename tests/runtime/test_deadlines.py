"""Time limits on one timer. What is waited for here is short, and the order is what counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from vestnik.runtime.deadlines import Deadlines, TimeLimit

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Waiting:
    def __init__(self, expired: list[str], name: str) -> None:
        self._expired = expired
        self._name = name
        self.over = asyncio.Event()

    def expire(self) -> None:
        self._expired.append(self._name)
        self.over.set()


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    made = Deadlines()
    yield made
    made.close()


@pytest.fixture
async def expired() -> list[str]:
    return []


@pytest.fixture
async def waiting(expired: list[str]) -> Callable[[str], Waiting]:
    return lambda name: Waiting(expired, name)


def after(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_each_expires_once_in_its_own_time(
    deadlines: Deadlines, expired: list[str], waiting: Callable[[str], Waiting]
) -> None:
    last = waiting("c")
    deadlines.set(last, after(0.09))
    deadlines.set(waiting("a"), after(0.03))
    deadlines.set(waiting("b"), after(0.06))
    async with asyncio.timeout(60):
        await last.over.wait()
    assert expired == ["a", "b", "c"]


async def test_what_was_cleared_in_time_does_not_expire(
    deadlines: Deadlines, expired: list[str], waiting: Callable[[str], Waiting]
) -> None:
    done, late = waiting("done"), waiting("late")
    deadlines.set(done, after(0.01))
    deadlines.set(late, after(0.03))
    deadlines.clear(done)
    deadlines.clear(done)
    async with asyncio.timeout(60):
        await late.over.wait()
    assert expired == ["late"]


async def test_a_later_limit_takes_the_place_of_an_earlier_one(
    deadlines: Deadlines, expired: list[str], waiting: Callable[[str], Waiting]
) -> None:
    moved, other = waiting("moved"), waiting("other")
    deadlines.set(moved, after(0.01))
    deadlines.set(other, after(0.02))
    deadlines.set(moved, after(0.04))
    async with asyncio.timeout(60):
        await moved.over.wait()
    assert expired == ["other", "moved"]


async def test_a_limit_that_is_over_already_expires_at_once(
    deadlines: Deadlines, waiting: Callable[[str], Waiting]
) -> None:
    late = waiting("late")
    deadlines.set(late, after(-1.0))
    async with asyncio.timeout(60):
        await late.over.wait()


async def test_one_may_be_set_again_when_it_expires(deadlines: Deadlines, expired: list[str]) -> None:
    class Again(Waiting):
        def expire(self) -> None:
            super().expire()
            if len(expired) < 3:
                self.over.clear()
                deadlines.set(self, after(0.01))

    again = Again(expired, "again")
    deadlines.set(again, after(0.01))
    async with asyncio.timeout(60):
        while len(expired) < 3:
            await again.over.wait()
            await asyncio.sleep(0)
    assert expired == ["again"] * 3


async def test_after_closing_nothing_expires(
    deadlines: Deadlines, expired: list[str], waiting: Callable[[str], Waiting]
) -> None:
    deadlines.set(waiting("never"), after(0.01))
    deadlines.close()
    deadlines.close()
    await asyncio.sleep(0.03)
    assert expired == []


async def test_a_time_limit_breaks_off_what_is_waited_for(deadlines: Deadlines) -> None:
    limit = TimeLimit(deadlines, 0.01)
    with pytest.raises(TimeoutError), limit:
        await asyncio.Event().wait()
    assert limit.expired
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_done_in_time_knows_nothing_of_its_limit(deadlines: Deadlines) -> None:
    limit = TimeLimit(deadlines, 0.01)
    with limit:
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)
    assert not limit.expired


async def test_a_timeout_of_what_is_waited_for_is_not_that_of_the_limit(deadlines: Deadlines) -> None:
    limit = TimeLimit(deadlines, 60.0)
    with pytest.raises(TimeoutError, match="its own"), limit:
        raise TimeoutError("its own")
    assert not limit.expired


@pytest.mark.parametrize("seconds", [60.0, -1.0], ids=["in time", "when it is over, too"])
async def test_whoever_cancels_the_task_ends_it_whatever_the_limit(deadlines: Deadlines, seconds: float) -> None:
    began = asyncio.Event()

    async def limited() -> None:
        with TimeLimit(deadlines, seconds):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(limited())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_limit_inside_of_another_ends_what_is_its_own(deadlines: Deadlines) -> None:
    outer, inner = TimeLimit(deadlines, 60.0), TimeLimit(deadlines, 0.01)
    with outer:
        with pytest.raises(TimeoutError), inner:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
    assert not outer.expired


async def test_a_time_limit_is_for_a_task(deadlines: Deadlines) -> None:
    made: asyncio.Future[TimeLimit] = asyncio.get_running_loop().create_future()

    def outside() -> None:
        try:
            made.set_result(TimeLimit(deadlines, 1.0))
        except RuntimeError as error:
            made.set_exception(error)

    asyncio.get_running_loop().call_soon(outside)
    with pytest.raises(RuntimeError, match="outside of a task"):
        await made


async def test_one_that_fails_to_expire_leaves_the_others_their_limits(
    deadlines: Deadlines, expired: list[str]
) -> None:
    class Broken(Waiting):
        def expire(self) -> None:
            raise RuntimeError("a bug")

    complaints: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    other = Waiting(expired, "other")
    deadlines.set(Broken(expired, "broken"), after(0.01))
    deadlines.set(other, after(0.03))
    async with asyncio.timeout(60):
        await other.over.wait()
    loop.set_exception_handler(None)
    assert expired == ["other"]
    assert [str(complaint["exception"]) for complaint in complaints] == ["a bug"]
