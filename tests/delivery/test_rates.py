from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import defaultdict

import pytest
from deliveries import SetClock
from hypothesis import given
from hypothesis import strategies as st

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.rates import Limiter
from vestnik.delivery.recipient_rate import FURTHEST, RecipientRate
from vestnik.delivery.sliding_window import LONGEST_SLEEP, SlidingWindow
from vestnik.settings.values import Rate

PER_SECOND = Rate(3, 1.0)
_ids = itertools.count(1)


def task_to(recipient: str) -> Task:
    return Task(id=TaskId(next(_ids)), message_id=MessageId(1), channel="alerts", recipient=recipient, text="x")


def most_in_any_window(starts: list[float], period: float) -> int:
    return max((sum(start <= other < start + period for other in starts) for start in starts), default=0)


async def reserves_at_once(limiter: Limiter) -> bool:
    """Whether a place is free now; takes it."""
    try:
        async with asyncio.timeout(0.01):
            await limiter.reserve()
    except TimeoutError:
        return False
    return True


# Times are multiples of 1/64 s, so that no sum is rounded.
STEPS = st.lists(st.integers(0, 200).map(lambda n: n / 64), min_size=1, max_size=60)


@given(steps=STEPS, count=st.integers(1, 5), period=st.sampled_from([0.5, 1.0, 2.0]))
def test_no_window_ever_holds_more_than_the_rate(steps: list[float], count: int, period: float) -> None:
    window, now = SlidingWindow(Rate(count, period)), 0.0
    starts = []
    for step in steps:
        now += step
        if window.wait(now) == 0:
            window.start(now)
            starts.append(now)
    assert most_in_any_window(starts, period) <= count


@given(steps=STEPS, count=st.integers(1, 5))
def test_the_wait_is_exactly_as_long_as_needed(steps: list[float], count: int) -> None:
    window, now = SlidingWindow(Rate(count, 1.0)), 0.0
    for step in steps:
        now += min(step, 0.25)
        wait = window.wait(now)
        if wait > 0:
            assert window.wait(now + wait - 1 / 64) > 0
        now += wait
        assert window.wait(now) == 0
        window.start(now)


def test_reserved_places_count_as_if_they_started_now() -> None:
    window = SlidingWindow(PER_SECOND)
    window.start(0.0)
    assert window.wait(0.5, reserved=1) == 0
    assert window.wait(0.5, reserved=2) == 0.5
    assert window.wait(0.5, reserved=3) == LONGEST_SLEEP


def test_a_window_is_idle_when_nothing_in_it_counts_any_more() -> None:
    window = SlidingWindow(PER_SECOND)
    assert window.idle(0.0)
    window.start(0.0)
    assert not window.idle(0.9)
    assert window.idle(1.0)


@given(
    st.lists(st.tuples(st.sampled_from("rscw"), st.sampled_from("ab"), st.integers(1, 40)), max_size=80),
    st.integers(1, 4),
)
def test_executors_together_keep_both_rates(moves: list[tuple[str, str, int]], count: int) -> None:
    """r reserve, s start, c cancel, w time passes."""
    clock = SetClock(0.0)
    limiter = Limiter(Rate(count, 1.0), Rate(1, 1.0), clock=clock)
    starts: list[float] = []
    by_recipient: dict[str, list[float]] = defaultdict(list)

    async def play() -> None:
        reserved = 0
        for move, recipient, ticks in moves:
            if move == "w":
                clock.now += ticks / 64
            elif move == "r" and limiter._wait() == 0:
                await limiter.reserve()
                reserved += 1
            elif move == "s" and reserved:
                if limiter.start(task_to(recipient)) == 0:
                    reserved -= 1
                    starts.append(clock.now)
                    by_recipient[recipient].append(clock.now)
            elif move == "c" and reserved:
                limiter.cancel()
                reserved -= 1

    asyncio.run(play())
    assert most_in_any_window(starts, 1.0) <= count
    assert all(most_in_any_window(found, 1.0) <= 1 for found in by_recipient.values())


async def test_a_channel_without_rates_never_waits() -> None:
    limiter = Limiter(None, None)
    for _ in range(1000):
        await limiter.reserve()
        assert limiter.start(task_to("a")) == 0


async def test_a_place_that_is_given_back_is_free_at_once(clock: SetClock) -> None:
    limiter = Limiter(Rate(1, 60.0), None, clock=clock)
    await limiter.reserve()
    waiting = asyncio.create_task(limiter.reserve())
    await asyncio.sleep(0)
    assert not waiting.done()
    limiter.cancel()
    async with asyncio.timeout(4):
        await waiting


async def test_it_waits_until_the_window_has_moved_on() -> None:
    limiter = Limiter(Rate(2, 0.1), None)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(5):
        await limiter.reserve()
        assert limiter.start(task_to("a")) == 0
    assert 0.19 <= loop.time() - began < 2


async def test_a_recipient_that_has_to_wait_keeps_the_place_of_its_executor(clock: SetClock) -> None:
    limiter = Limiter(Rate(2, 1.0), Rate(1, 10.0), clock=clock)
    await limiter.reserve()
    assert limiter.start(task_to("a")) == 0
    await limiter.reserve()
    clock.now += 4
    assert limiter.start(task_to("a")) == 6
    assert limiter.start(task_to("b")) == 0


async def test_while_held_nothing_starts_and_nothing_is_reserved(clock: SetClock) -> None:
    limiter = Limiter(None, None, clock=clock)
    await limiter.reserve()
    limiter.hold(30)
    limiter.hold(10)  # a shorter wish does not shorten a longer one
    assert limiter.held()
    assert not await reserves_at_once(limiter)
    clock.now += 30
    assert not limiter.held()
    assert await reserves_at_once(limiter)


async def test_a_cancellation_that_comes_together_with_a_free_place_is_not_lost(clock: SetClock) -> None:
    for turns in range(6):
        limiter = Limiter(Rate(1, 60.0), None, clock=clock)
        await limiter.reserve()
        waiting = asyncio.create_task(limiter.reserve())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        limiter._changed.set()  # wakes it, and there still is no place
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        async with asyncio.timeout(4):
            await asyncio.wait([waiting])
        assert waiting.cancelled()


async def test_recipients_that_nobody_waits_for_are_forgotten(clock: SetClock) -> None:
    limiter = Limiter(None, Rate(1, 1.0), clock=clock)
    for number in range(5000):
        clock.now += 0.01
        await limiter.reserve()
        assert limiter.start(task_to(str(number))) == 0
    assert len(limiter._recipients) <= 1024


async def test_forgetting_never_lets_a_recipient_go_too_early(clock: SetClock) -> None:
    limiter = Limiter(None, Rate(1, 60.0), clock=clock)
    starts: dict[str, list[float]] = defaultdict(list)
    chance = random.Random(1)
    for _ in range(6000):
        clock.now += 0.03125
        recipient = str(chance.randrange(3000))
        await limiter.reserve()
        if limiter.start(task_to(recipient)) == 0:
            starts[recipient].append(clock.now)
        else:
            limiter.cancel()
    assert max(most_in_any_window(found, 60.0) for found in starts.values()) == 1


@pytest.mark.parametrize("rate", [Rate(1, 1.0), Rate(30, 1.0), Rate(20, 60.0)])
async def test_a_hundred_starts_take_the_time_that_the_rate_demands(rate: Rate, clock: SetClock) -> None:
    limiter = Limiter(rate, None, clock=clock)
    starts = []
    for _ in range(100):
        clock.now += limiter._wait()
        await limiter.reserve()
        assert limiter.start(task_to("")) == 0
        starts.append(clock.now)
    assert starts[-1] - starts[0] == pytest.approx((99 // rate.count) * rate.period)


def deliver_all(accepted: list[float], rate: Rate, lateness: list[float]) -> tuple[list[tuple[float, int]], int]:
    """As a queue hands them out, by due time and then id: the start of each message, and how many claims that took.

    `lateness` is how late a claim comes that was waited for, one after another.
    """
    recipient, late = RecipientRate(rate), itertools.cycle(lateness)
    waiting = [(due, number) for number, due in enumerate(accepted)]
    heapq.heapify(waiting)
    now, starts, claims = 0.0, [], 0
    while waiting:
        due, number = heapq.heappop(waiting)
        now = due + next(late) if due > now else now
        claims += 1
        if (wait := recipient.start(TaskId(number + 1), now)) > 0:
            heapq.heappush(waiting, (now + wait, number))
        else:
            starts.append((now, number))
    return starts, claims


@given(
    steps=st.lists(st.integers(0, 128).map(lambda n: n / 64), min_size=1, max_size=120),
    rate=st.builds(Rate, st.integers(1, 4), st.sampled_from([0.5, 1.0, 8.0])),
    lateness=st.lists(st.integers(0, 16).map(lambda n: n / 64), min_size=1, max_size=20),
)
def test_messages_to_one_recipient_keep_their_order_and_the_rate(
    steps: list[float], rate: Rate, lateness: list[float]
) -> None:
    starts, _ = deliver_all(list(itertools.accumulate(steps)), rate, lateness)
    assert [number for _, number in starts] == sorted(number for _, number in starts)
    assert most_in_any_window([start for start, _ in starts], rate.period) <= rate.count


def test_a_backlog_to_one_recipient_is_claimed_a_few_times_each_not_once_a_second() -> None:
    starts, claims = deliver_all([0.0] * 600, Rate(1, 1.0), [0.0])
    assert starts == [(float(second), second) for second in range(600)]
    # In a minute sixty get their turn and the others are told to ask again.
    assert claims <= 2 * 600 + sum(range(0, 600, int(FURTHEST)))


def test_a_turn_that_nobody_takes_is_not_kept_for_ever() -> None:
    recipient = RecipientRate(Rate(1, 1.0))
    for number in range(1, 1000):
        recipient.start(TaskId(number), float(number * 10) if number % 2 else number * 10 - 9.5)
    assert len(recipient._turns) < 10


async def test_a_message_may_not_overtake_those_that_wait_for_their_turn(clock: SetClock) -> None:
    limiter = Limiter(None, Rate(1, 10.0), clock=clock)
    first, second, third = (task_to("a") for _ in range(3))
    await limiter.reserve()
    assert limiter.start(first) == 0
    await limiter.reserve()
    assert limiter.start(second) == 10
    clock.now += 10
    assert limiter.start(third) == 10
    assert limiter.start(second) == 0
