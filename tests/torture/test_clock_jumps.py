"""The wall clock is set while messages come in, wait and go out (libfaketime; the monotonic clock is left alone)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from audit import Audit, audit, drained
from figures import Row, times
from load import Load
from programs import require_file
from recording_gateway import RecordingGateway
from tortured import TorturedDaemon

HOUR, TEN_YEARS = 3600, 315_360_000
PATIENCE = 60.0
LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class WallClock:
    """What the daemon takes for the time; the real one at first."""

    def __init__(self, daemon: TorturedDaemon) -> None:
        self._file = daemon.folder / "clock"
        self._daemon = daemon
        self.set(0)
        daemon.program = [str(Path(__file__).with_name("faketime_daemon.py"))]
        daemon.environment = {
            "LD_PRELOAD": require_file(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead: int) -> None:
        """So many seconds ahead of the real time, within a second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead:+d}")
        new.replace(self._file)

    async def jump(self, ahead: int, direction: str) -> None:
        """Set it, and wait until the daemon says that somebody did."""
        self.set(ahead)
        async with asyncio.timeout(PATIENCE):
            while f"the clock was set {direction}" not in self._daemon.said:
                await asyncio.sleep(0.05)


@pytest.fixture
def clock(daemon: TorturedDaemon) -> WallClock:
    return WallClock(daemon)


async def audited(daemon: TorturedDaemon, load: Load, gateway: RecordingGateway) -> Audit:
    await drained(daemon.database)
    found = audit(daemon.database, load.acknowledged, gateway.texts)
    assert (found.copies, found.marked) == (0, 0)  # nothing that was under way was taken for dead
    return found


async def test_an_hour_forward_makes_due_what_is_and_rescues_nothing(
    daemon: TorturedDaemon, clock: WallClock, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("clock +1 h")
    gateway.longest = 0.05
    async with daemon, Load(daemon.url) as load:
        sooner = (await daemon.send("sink", "in half an hour", delay=HOUR // 2)).headers["X-Message-Id"]
        later = (await daemon.send("sink", "in two hours", delay=2 * HOUR)).headers["X-Message-Id"]
        await load.more(50)
        assert not {"in half an hour", "in two hours"} & gateway.texts.keys()
        await clock.jump(HOUR, "forward")
        await daemon.wait_for(sooner, "delivered")
        await load.more(times(50, 3000))
        assert (await daemon.message(later))["state"] == "scheduled"
        async with daemon.http.delete(f"{daemon.url}/api/messages/{later}") as canceled:
            assert canceled.status == 204
        await load.stop()
        figures.times += 1
        figures.add(await audited(daemon, load, gateway))


async def test_an_hour_back_holds_nothing_up_and_sends_nothing_early(
    daemon: TorturedDaemon, clock: WallClock, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("clock -1 h")
    async with daemon, Load(daemon.url) as load:
        gateway.down = True
        later = (await daemon.send("sink", "in ten minutes", delay=600)).headers["X-Message-Id"]
        await load.more(50)
        await clock.jump(-HOUR, "back")
        gateway.down = False
        await load.more(times(50, 3000))
        assert (await daemon.message(later))["state"] == "scheduled"
        async with daemon.http.delete(f"{daemon.url}/api/messages/{later}") as canceled:
            assert canceled.status == 204
        await load.stop()
        figures.times += 1
        figures.add(await audited(daemon, load, gateway))


@pytest.mark.parametrize("restart", [False, True], ids=["corrected while it runs", "corrected while it is down"])
async def test_a_wrong_decade_costs_nothing_once_it_is_corrected(
    restart: bool, daemon: TorturedDaemon, clock: WallClock, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row(f"clock +10 years, {'corrected while it is down' if restart else 'and back'}")
    # A few at a time: while the gateway is down, each is tried five times a second.
    load = Load(daemon.url, pause=0.2)
    expiring = Load(daemon.url, name="expiring", pause=0.2, expire=600)
    async with daemon, load, expiring:
        gateway.down = True
        await asyncio.gather(load.more(10), expiring.more(10))
        await expiring.stop()
        await clock.jump(TEN_YEARS, "forward")
        await load.more(10)
        late = (await daemon.send("sink", "in two seconds", delay=2)).headers["X-Message-Id"]
        if restart:
            await daemon.terminate()
            clock.set(0)
            await daemon.start()
        else:
            await clock.jump(0, "back")
        gateway.down = False
        await daemon.wait_for(late, "delivered")
        await load.stop()
        figures.times += 1
        load.acknowledged |= expiring.acknowledged
        found = await audited(daemon, load, gateway)
        figures.add(found)
        assert load.acknowledged.keys() <= gateway.texts.keys()  # nothing was ended for looking old
