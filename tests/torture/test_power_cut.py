"""The power fails: what was not synced is gone. kill -9 cannot show this, as the page cache outlives the process."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from audit import Audit, audit
from figures import Row, times
from load import Load
from private_mounts import PrivateMounts
from programs import require_program
from recording_gateway import RecordingGateway
from tortured import TorturedDaemon

HERE = Path(__file__).parent
MOUNTING = """
"$1" "$2/forgetful_disk.py" "$3" "$4" "$5" & echo $! >"$4.pid"
until mountpoint -q "$3"; do kill -0 $!; sleep 0.05; done
"""


class Disk:
    """What the daemon keeps its state on; each `power` is one time between two cuts."""

    def __init__(self, folder: Path, luck: float) -> None:
        self.mountpoint, self._platter = folder / "disk", folder / "platter"
        self.luck = luck
        for made in (self.mountpoint, self._platter):
            made.mkdir()

    @asynccontextmanager
    async def power(self) -> AsyncIterator[PrivateMounts]:
        arguments = (sys.executable, HERE, self.mountpoint, self._platter, self.luck)
        async with PrivateMounts(MOUNTING, *map(str, arguments)) as mounts:
            yield mounts

    def cut(self) -> None:
        os.kill(int(self._platter.with_name("platter.pid").read_text()), signal.SIGKILL)


async def cut_again_and_again(daemon: TorturedDaemon, disk: Disk, load: Load, cuts: int) -> None:
    """Returns with the power off."""
    for _ in range(cuts):
        async with disk.power() as mounts:  # the first time, what is cut is the making of the database
            daemon.within = mounts.entering
            await daemon.killed_while_starting(random.uniform(0, 0.8), disk.cut)
        async with disk.power() as mounts:
            daemon.within = mounts.entering
            async with daemon:
                await load.more(50)
                await asyncio.sleep(random.uniform(0, 0.5))
                disk.cut()
                await daemon.kill()


async def audited(daemon: TorturedDaemon, disk: Disk, load: Load, gateway: RecordingGateway) -> Audit:
    """Put the power on a last time, let everything be delivered, and look."""
    async with disk.power() as mounts:
        daemon.within = mounts.entering
        async with daemon:
            await daemon.drained()
            assert await daemon.terminate() == 0
        copy = daemon.folder / "copy"
        shutil.copytree(mounts.seen_from_here(daemon.state), copy)
    return audit(copy / "vestnik.db", load.acknowledged, gateway.texts)


@pytest.fixture(params=[0.0, 0.5], ids=["nothing unsynced survives", "half of it survives"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    require_program("fusermount3")  # for its library
    if not Path("/dev/fuse").exists():
        pytest.skip("no FUSE here: /dev/fuse is not there")
    return Disk(tmp_path, request.param)


@pytest.fixture
def daemon(disk: Disk, gateway: RecordingGateway, tmp_path: Path) -> TorturedDaemon:
    return TorturedDaemon(tmp_path, gateway.url, state=disk.mountpoint / "var")


async def test_a_power_cut_loses_nothing_that_was_answered(
    daemon: TorturedDaemon, disk: Disk, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row(f"power cut, {disk.luck:.0%} of what was not synced survives")
    async with Load(daemon.url) as load:
        cuts = times(2, 15)
        await cut_again_and_again(daemon, disk, load, cuts)
        figures.times = 2 * cuts
    figures.add(await audited(daemon, disk, load, gateway))


@pytest.mark.parametrize("disk", [0.0], indirect=True, ids=["nothing unsynced survives"])
async def test_the_same_cut_is_seen_to_lose_with_relaxed_syncing(
    daemon: TorturedDaemon, disk: Disk, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    """The control: without it, a file system that forgets nothing would pass the test above."""
    figures = row("control: power cut with synchronous=NORMAL")
    daemon.program = [str(HERE / "relaxed_daemon.py")]
    gateway.down = True
    async with Load(daemon.url) as load:
        cuts = times(3, 3)  # a checkpoint syncs as well: the cut that comes right after one loses nothing
        await cut_again_and_again(daemon, disk, load, cuts)
        figures.times = 2 * cuts
    gateway.down = False
    assert "relaxed" in daemon.said
    found = await audited(daemon, disk, load, gateway)
    figures.audits.append(found)
    assert found.lost
    # WAL keeps the database whole even so: it is the last messages that are gone, and with them which ids they had.
    assert set(found.wrong) <= {"an id was given out twice"}
