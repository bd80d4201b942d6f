"""kill -9, at random moments and at the n-th time the process does something that counts."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from audit import abandoned, audit, drained
from figures import LONG, Row, times
from load import Load
from recording_gateway import RecordingGateway
from strace import injecting
from tortured import TorturedDaemon


async def test_kill_9_at_random_moments_loses_nothing(
    daemon: TorturedDaemon, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("kill -9 at a random moment")
    async with daemon, Load(daemon.url) as load:
        for number in range(times(5, 500)):
            await load.more(1)
            await asyncio.sleep(random.uniform(0, 0.4))
            killed = time.time()
            await daemon.kill()
            if number % 5 == 4:  # recovery has to stand it too
                await daemon.killed_while_starting(random.uniform(0, 0.6))
                figures.times += 1
            await daemon.start()
            assert abandoned(daemon.database, killed) == 0
            figures.times += 1
        await load.stop()
        await drained(daemon.database)
        figures.add(audit(daemon.database, load.acknowledged, gateway.texts))


# In the long form every n from 1 to 200 has its turn.
# A commit is made of pwrite64 and fdatasync; answers to clients and hand-overs to the gateway are a write.
@pytest.mark.parametrize(
    ("call", "short", "long"),
    [
        ("fdatasync", [2, 40], range(1, 201, 3)),
        ("pwrite64", [20, 300], range(2, 201, 3)),
        ("write", [1, 200], range(3, 201, 3)),
    ],
)
async def test_a_kill_at_the_nth_call_loses_nothing(
    call: str,
    short: Sequence[int],
    long: Sequence[int],
    daemon: TorturedDaemon,
    gateway: RecordingGateway,
    row: Callable[[str], Row],
) -> None:
    figures = row(f"kill at the n-th {call}")
    async with daemon, Load(daemon.url) as load:
        await load.more(1)
        await daemon.kill()
        for nth in long if LONG else short:
            daemon.prefix = injecting(call, f"signal=KILL:when={nth}")
            began = time.time()
            if await daemon.starts():
                assert abandoned(daemon.database, began) == 0
            assert await daemon.ended() == -signal.SIGKILL, daemon.said
            figures.times += 1
        daemon.prefix = ()
        await daemon.start()
        await load.stop()
        await drained(daemon.database)
        figures.add(audit(daemon.database, load.acknowledged, gateway.texts))


async def test_a_kill_during_the_very_first_start_is_in_nobodys_way(
    tmp_path: Path, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("kill at the n-th pwrite64 of the first start")
    for nth in range(1, 1000, 5) if LONG else (1, 5, 90):
        folder = tmp_path / str(nth)
        folder.mkdir()
        daemon = TorturedDaemon(folder, gateway.url)
        daemon.prefix = injecting("pwrite64", f"signal=KILL:when={nth}")
        if await daemon.starts():
            assert nth > 90, f"a first start that makes less than {nth} calls"
            await daemon.kill()
            break
        assert await daemon.ended() == -signal.SIGKILL, daemon.said
        daemon.prefix = ()
        async with daemon:
            assert (await daemon.send("sink", f"after {nth}")).status == 204
            await drained(daemon.database)
        figures.times += 1
    assert gateway.texts.total() == figures.times
