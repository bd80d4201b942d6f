from __future__ import annotations

import asyncio
import itertools
import logging
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from vestnik.errors import StoreUnavailable
from vestnik.runtime.service import Loop


class _Skipping(selectors.DefaultSelector):
    """Moves the loop's clock on instead of waiting."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.skipped += timeout
        return super().select(0)


class _SkippingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


def run_without_waiting(main: Callable[[], Awaitable[Any]]) -> None:
    async def run() -> None:
        await main()

    with asyncio.Runner(loop_factory=_SkippingLoop) as runner:
        runner.run(run())


async def test_a_step_is_done_again_and_again() -> None:
    steps: asyncio.Queue[int] = asyncio.Queue()

    async def step() -> None:
        steps.put_nowait(1)
        await asyncio.sleep(0)

    loop = Loop("part", step)
    loop.start()
    async with asyncio.timeout(60):
        for _ in range(3):
            await steps.get()
    await loop.stop()
    count = steps.qsize()
    await asyncio.sleep(0.01)
    assert steps.qsize() == count


async def test_stop_breaks_a_step_off_and_may_come_twice_or_early() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop = Loop("part", step)
    await loop.stop()
    loop.start()
    async with asyncio.timeout(60):
        await begun.wait()
        await loop.stop()
        await loop.stop()
    assert ended.is_set()


def test_pauses_after_errors_double_up_to_half_a_minute_and_begin_anew() -> None:
    times: list[float] = []
    enough: list[asyncio.Event] = []

    async def step() -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 9:  # works once
            return
        if len(times) == 11:
            enough[0].set()
        raise ValueError("out of order")

    async def main() -> None:
        enough.append(asyncio.Event())
        loop = Loop("part", step)
        loop.start()
        await enough[0].wait()
        await loop.stop()

    run_without_waiting(main)
    pauses = [round(later - earlier, 1) for earlier, later in itertools.pairwise(times)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 0, 0.5]


def test_one_run_of_errors_is_one_traceback_and_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outcomes = iter([ValueError("first"), ValueError("second"), None, ValueError("third")])
    done: list[asyncio.Event] = []

    async def step() -> None:
        outcome = next(outcomes, ...)
        if outcome is ...:
            done[0].set()
            await asyncio.Event().wait()
        if isinstance(outcome, Exception):
            raise outcome

    async def main() -> None:
        done.append(asyncio.Event())
        loop = Loop("part", step)
        loop.start()
        await done[0].wait()
        await loop.stop()

    run_without_waiting(main)
    lines = [(r.getMessage(), r.exc_info is not None) for r in caplog.records if r.name == "vestnik.runtime.service"]
    assert lines == [
        ("part failed: first", True),
        ("part failed: second", False),
        ("part works again", False),
        ("part failed: third", True),
    ]


def test_a_step_that_waits_for_what_was_canceled_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[float] = []

    async def main() -> None:
        second = asyncio.Event()

        async def step() -> None:
            steps.append(1)
            if len(steps) == 2:
                second.set()
                await asyncio.Event().wait()
            canceled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            canceled.cancel()
            await canceled

        loop = Loop("part", step)
        loop.start()
        await second.wait()
        await loop.stop()

    run_without_waiting(main)
    assert len(steps) == 2
    assert "part failed: CancelledError()" in caplog.text


def test_a_full_disk_is_told_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def step() -> None:
        raise StoreUnavailable("the disk is full")

    async def main() -> None:
        loop = Loop("sweeper", step)
        loop.start()
        await asyncio.sleep(1)
        await loop.stop()

    run_without_waiting(main)
    assert caplog.messages[0] == "sweeper failed: the disk is full"
    assert caplog.records[0].exc_info is None
