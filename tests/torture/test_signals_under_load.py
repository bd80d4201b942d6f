"""Told to end, stopped in its tracks, put into maintenance: while messages come in and go out."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

from audit import abandoned, audit, drained
from figures import Row, times
from load import Load
from recording_gateway import RecordingGateway
from tortured import TorturedDaemon

from vestnik.errors import ExitCode


async def test_sigterm_once_or_twice_ends_it_cleanly_with_nothing_in_doubt(
    daemon: TorturedDaemon, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("SIGTERM under load")
    gateway.longest = 0.3
    slowest = 0.0
    async with daemon, Load(daemon.url) as load:
        for number in range(times(2, 50)):
            await load.more(50)
            began = time.time()
            if number % 2:
                assert daemon.process is not None
                daemon.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.05)
            assert await daemon.terminate() == ExitCode.DONE
            slowest = max(slowest, time.time() - began)
            assert abandoned(daemon.database, time.time()) == 0
            await daemon.start()
            figures.times += 1
        await load.stop()
        await drained(daemon.database)
        found = audit(daemon.database, load.acknowledged, gateway.texts)
        figures.add(found)
        assert (found.copies, found.marked) == (0, 0)
        assert slowest < 30
        figures.note = f"slowest end {slowest:.1f} s"


async def test_a_daemon_that_was_stopped_goes_on_where_it_was(
    daemon: TorturedDaemon, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("SIGSTOP, then SIGCONT")
    async with daemon, Load(daemon.url) as load:
        assert daemon.process is not None
        for _ in range(times(1, 3)):
            await load.more(50)
            daemon.process.send_signal(signal.SIGSTOP)
            # A stopped daemon still holds what is its own.
            code, said = await daemon.run("serve")
            assert (code, "in use by pid" in said) == (ExitCode.ALREADY_RUNNING, True)
            await asyncio.sleep(times(1, 12))  # the long one outlasts every timeout of the deliveries under way
            daemon.process.send_signal(signal.SIGCONT)
            await load.more(50)
            figures.times += 1
        await load.stop()
        await drained(daemon.database)
        figures.add(audit(daemon.database, load.acknowledged, gateway.texts))
        assert load.answers.keys() <= {204}


async def test_maintenance_stops_everything_within_two_seconds_and_loses_nothing(
    daemon: TorturedDaemon, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("maintenance on and off under load")
    async with daemon, Load(daemon.url) as load:
        for _ in range(times(1, 10)):
            await load.more(30)
            await daemon.do("maintenance", "on")
            await asyncio.sleep(2)  # what is promised: what was under way has ended by then
            accepted, handed_over = load.answers[204], gateway.texts.total()
            await load.more(30, status=503)
            assert (load.answers[204], gateway.texts.total()) == (accepted, handed_over)
            await daemon.do("maintenance", "off")
            figures.times += 1
        await load.more(30)
        await load.stop()
        await drained(daemon.database)
        found = audit(daemon.database, load.acknowledged, gateway.texts)
        figures.add(found)
        assert (found.copies, found.marked) == (0, 0)
        assert load.answers.keys() == {204, 503}
