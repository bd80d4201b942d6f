"""How often a host is asked, over all sources."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from vestnik.quiz.sources.pace import HeldOff, Paces
from vestnik.settings.values import Rate

RATE = Rate(1, 0.1)


async def times(paces: Paces, host: str, rate: Rate | None, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        await paces.turn(host, rate, patience=5)
        taken.append(time.monotonic())
    return taken


async def test_sources_of_one_host_share_its_rate() -> None:
    paces = Paces()
    paces.know("a.test", RATE)
    first, second = await asyncio.gather(times(paces, "a.test", RATE, 2), times(paces, "a.test", RATE, 2))
    taken = sorted(first + second)
    assert all(later - earlier >= 0.09 for earlier, later in pairwise(taken))


async def test_requests_of_sources_without_a_rate_count_for_those_that_have_one() -> None:
    paces = Paces()
    paces.know("a.test", RATE)
    (free,) = await times(paces, "a.test", None, 1)
    (paced,) = await times(paces, "a.test", RATE, 1)
    assert paced - free >= 0.09


async def test_hosts_do_not_wait_for_each_other() -> None:
    clock = 100.0
    paces = Paces(clock=lambda: clock)
    for host in ("a.test", "b.test"):
        paces.know(host, Rate(1, 3600))
        await asyncio.wait_for(paces.turn(host, Rate(1, 3600), patience=5), 5)


async def test_a_host_that_asked_for_it_is_left_alone() -> None:
    paces = Paces()
    paces.hold("a.test", 0.1)
    began = time.monotonic()
    await paces.turn("a.test", None, patience=5)
    assert time.monotonic() - began >= 0.09


async def test_nobody_waits_longer_than_he_wants_to() -> None:
    paces = Paces()
    paces.hold("a.test", 3600)
    paces.hold("a.test", 1)
    with pytest.raises(HeldOff, match=r"left alone for 36\d\d s more") as caught:
        await paces.turn("a.test", None, patience=60)
    assert 3590 < caught.value.seconds <= 3600


async def test_one_that_gives_up_waiting_does_not_hold_up_the_others() -> None:
    paces = Paces()
    paces.hold("a.test", 0.2)
    waiting = asyncio.create_task(paces.turn("a.test", None, patience=5))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait_for(paces.turn("a.test", None, patience=5), 5)
