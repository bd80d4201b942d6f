from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from deliveries import NOW, SetClock
from prometheus_client import CollectorRegistry, Counter

from vestnik.delivery.clock_watch import AGAIN, DOUBT, ClockWatch
from vestnik.errors import StoreUnavailable


class Bench:
    """A wall clock and a steady one, and a service that counts how often it was told to follow."""

    def __init__(self) -> None:
        self.wall, self.steady = SetClock(NOW), SetClock(100.0)
        self.registry = CollectorRegistry()
        self.followed = 0
        self.maintenance = False
        self.locked = False
        self.meanwhile: Callable[[], object] = lambda: None  # what happens while it follows
        jumps = Counter("jumps", "", ["direction"], registry=self.registry)
        self.watch = ClockWatch(self.follow, jumps, held=lambda: self.maintenance, clock=self.wall, steady=self.steady)

    async def follow(self) -> int:
        if self.locked:
            raise StoreUnavailable("locked")
        self.followed += 1
        self.meanwhile()
        return 7

    async def look(self, *, seconds: float = 1.0, jump: float = 0.0) -> None:
        """After so many seconds, in which the clock was set by `jump`."""
        self.steady.now += seconds
        self.wall.now += seconds + jump
        await self.watch.look()

    def jumps(self, direction: str) -> float | None:
        return self.registry.get_sample_value("jumps_total", {"direction": direction})


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_clock_that_goes_is_no_jump(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3000):
        await bench.look(jump=0.0005)  # as fast as ntpd corrects a clock
    await bench.look(seconds=3600.0)
    assert (bench.followed, bench.watch.in_doubt(), caplog.records) == (0, False, [])


async def test_a_clock_set_back_is_told_and_followed_twice(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Again for what was on its way into the database by the old time."""
    await bench.look(jump=-3600)
    assert (bench.followed, bench.jumps("back")) == (1, 1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert "set back" in caplog.text
    assert "3600.0" in caplog.text
    await bench.look(seconds=AGAIN - 2)
    assert bench.followed == 1
    await bench.look(seconds=2)
    await bench.look(seconds=1000)
    assert bench.followed == 2


async def test_after_a_jump_forward_nothing_is_ended_for_its_age_for_a_while(bench: Bench) -> None:
    await bench.look(jump=3600)
    assert (bench.followed, bench.jumps("forward"), bench.watch.in_doubt()) == (0, 1, True)
    await bench.look(seconds=DOUBT)
    assert not bench.watch.in_doubt()


async def test_who_asks_sees_a_jump_that_nobody_has_looked_at_yet(bench: Bench) -> None:
    assert not bench.watch.in_doubt()
    bench.wall.now += 3600
    assert bench.watch.in_doubt()
    await bench.look()
    assert bench.jumps("forward") == 1


async def test_a_year_that_is_corrected_leaves_no_doubt(bench: Bench) -> None:
    await bench.look(jump=3e8)
    await bench.look(jump=-3e8)
    assert (bench.watch.in_doubt(), bench.followed) == (False, 1)


async def test_following_waits_for_the_end_of_maintenance(bench: Bench) -> None:
    bench.maintenance = True
    await bench.look(jump=-3600)
    assert bench.followed == 0
    bench.maintenance = False
    await bench.look()
    assert bench.followed == 1


async def test_following_is_tried_again_when_the_store_cannot(bench: Bench) -> None:
    bench.locked = True
    with pytest.raises(StoreUnavailable):
        await bench.look(jump=-3600)
    bench.locked = False
    await bench.look()
    assert bench.followed == 1


async def test_a_clock_set_back_again_while_one_follows_is_followed_at_once_and_twice(bench: Bench) -> None:
    def set_back_again() -> None:
        bench.meanwhile = lambda: None
        bench.wall.now -= 3600
        bench.watch.in_doubt()

    bench.meanwhile = set_back_again
    await bench.look(jump=-3600)
    assert (bench.followed, bench.jumps("back")) == (1, 2)
    await bench.look()
    assert bench.followed == 2
    await bench.look(seconds=AGAIN)
    await bench.look(seconds=1000)
    assert bench.followed == 3


async def test_a_clock_set_back_while_nobody_watched_is_followed_at_the_start(bench: Bench) -> None:
    bench.watch.start(behind=True)
    await bench.watch.stop()
    await bench.look()
    assert bench.followed == 1
