"""A disk that fails a sync, is full, or belongs to somebody else for a while."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from audit import Audit, audit, drained
from figures import Row, times
from load import Load
from private_mounts import PrivateMounts
from recording_gateway import RecordingGateway
from strace import injecting
from tortured import TorturedDaemon

from vestnik.errors import ExitCode

BUSY = 5.0  # seconds that a write waits for somebody else's lock


@pytest.mark.parametrize("fault", ["error=EIO:when={}", "error=EIO:when={}+"], ids=["once", "for good"])
async def test_a_sync_that_fails_ends_the_daemon_and_is_never_tried_again(
    fault: str, daemon: TorturedDaemon, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("fdatasync fails with EIO")
    async with daemon, Load(daemon.url) as load:
        await load.more(1)
        await daemon.kill()
        for number in range(times(40, 5), times(41, 205), 20):
            daemon.prefix = injecting("fdatasync", fault.format(number))
            await daemon.starts()
            assert await daemon.ended() == ExitCode.FAILED, daemon.said
            assert "vestnik.db: input/output error" in daemon.said
            figures.times += 1
        daemon.prefix = ()
        await daemon.start()
        await load.stop()
        await drained(daemon.database)
        figures.add(audit(daemon.database, load.acknowledged, gateway.texts))
        assert load.answers.keys() <= {0, 204, 503}


@pytest.fixture
async def small_disk(daemon: TorturedDaemon) -> AsyncIterator[PrivateMounts]:
    """128 MB for the state directory."""
    daemon.state.mkdir()
    mounting = 'mount -t tmpfs -o size=128m,mode=700 none "$1"'
    async with PrivateMounts(mounting, str(daemon.state)) as mounts:
        daemon.within = mounts.entering
        yield mounts


class Filler:
    """A file that takes all the space that there is."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "filler"

    def take(self, leave: int = 0) -> None:
        """All of it, or all but some bytes."""
        space = os.statvfs(self._path.parent)
        with self._path.open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - max(leave, 1 << 20))
            file.seek(0, os.SEEK_END)
            with contextlib.suppress(OSError):
                while not leave:
                    file.write(b"\0" * 4096)

    def give_back(self) -> None:
        self._path.unlink()


async def test_a_full_disk_is_refused_and_goes_by_without_a_restart(
    daemon: TorturedDaemon,
    gateway: RecordingGateway,
    small_disk: PrivateMounts,
    row: Callable[[str], Row],
) -> None:
    figures = row("the disk is full")
    disk = small_disk.seen_from_here(daemon.state)
    filler = Filler(disk)
    async with daemon, Load(daemon.url) as load:
        for _ in range(times(2, 20)):
            await load.more(50)
            filler.take()
            await load.more(5, status=503)
            assert "nothing can be stored" in daemon.said or "the disk is nearly full" in daemon.said
            await assert_alive(daemon)
            filler.give_back()
            await load.more(20)
            figures.times += 1
        await load.stop()
        await daemon.drained()
        assert load.answers.keys() <= {204, 503}
        assert await daemon.terminate() == 0
        found = audit_of_copy(disk, daemon.folder, load.acknowledged, gateway.texts)
        figures.add(found)
        assert (found.copies, found.marked) == (0, 0)


async def test_a_nearly_full_disk_takes_nothing_new_and_delivers_what_waits(
    daemon: TorturedDaemon,
    gateway: RecordingGateway,
    small_disk: PrivateMounts,
    row: Callable[[str], Row],
) -> None:
    figures = row("the disk is nearly full")
    disk = small_disk.seen_from_here(daemon.state)
    filler = Filler(disk)
    gateway.down = True
    async with daemon, Load(daemon.url) as load:
        await load.more(100)
        filler.take(leave=6 << 20)
        await load.more(5, status=503)
        assert "the disk is nearly full" in daemon.said
        await load.stop()
        gateway.down = False
        await daemon.drained()
        filler.give_back()
        async with asyncio.timeout(20):
            while (await daemon.send("sink", "there is room again")).status != 204:
                await asyncio.sleep(0.1)
        await daemon.drained()
        assert await daemon.terminate() == 0
        figures.times += 1
        found = audit_of_copy(disk, daemon.folder, load.acknowledged, gateway.texts)
        figures.add(found)
        assert (found.copies, found.marked) == (0, 0)


async def test_a_daemon_killed_on_a_full_disk_starts_again_when_there_is_room(
    daemon: TorturedDaemon,
    gateway: RecordingGateway,
    small_disk: PrivateMounts,
    row: Callable[[str], Row],
) -> None:
    figures = row("kill -9 on a full disk")
    disk = small_disk.seen_from_here(daemon.state)
    filler = Filler(disk)
    async with daemon, Load(daemon.url) as load:
        for _ in range(times(1, 20)):
            await load.more(50)
            filler.take()
            await load.more(5, status=503)
            await daemon.kill()
            if not await daemon.starts():
                assert await daemon.ended() == ExitCode.FAILED
                assert "disk is full" in daemon.said or "No space left" in daemon.said
            else:
                await daemon.kill()
            filler.give_back()
            await daemon.start()
            figures.times += 1
        await load.stop()
        await daemon.drained()
        assert await daemon.terminate() == 0
        figures.add(audit_of_copy(disk, daemon.folder, load.acknowledged, gateway.texts))


async def assert_alive(daemon: TorturedDaemon) -> None:
    async with daemon.http.get(f"{daemon.url}/api/ping") as ping:
        assert ping.status == 204
    assert await daemon.open_tasks() >= 0


def audit_of_copy(disk: Path, folder: Path, acknowledged: dict[str, int], handed_over: Counter[str]) -> Audit:
    """For a database that only the daemon's own mount namespace has; the daemon has ended."""
    copy = folder / "copy"
    shutil.copytree(disk, copy)
    return audit(copy / "vestnik.db", acknowledged, handed_over)


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextlib.asynccontextmanager
async def locked(database: Path) -> AsyncIterator[None]:
    """Another process is in the middle of writing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOCK, str(database), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"
    try:
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def test_a_locked_database_is_refused_after_a_while_and_stalls_nothing_else(
    daemon: TorturedDaemon, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("locked by another process")
    async with daemon, Load(daemon.url) as load:
        await load.more(50)
        async with locked(daemon.database):
            await asyncio.sleep(0.1)
            accepted = load.answers[204]
            slowest = await slowest_ping(daemon, times(5, 60))
            await load.some(1, status=503)
            assert load.answers[204] == accepted
        await load.more(50)
        await load.stop()
        await drained(daemon.database)
        figures.times += 1
        found = audit(daemon.database, load.acknowledged, gateway.texts)
        figures.add(found)
        assert (found.copies, found.marked) == (0, 0)
        assert load.answers.keys() == {204, 503}
        assert load.slowest < BUSY + 4
        assert slowest < BUSY / 2
        figures.note = f"slowest send {load.slowest:.1f} s, slowest ping {slowest * 1000:.0f} ms"


async def slowest_ping(daemon: TorturedDaemon, seconds: float) -> float:
    """Ask all the time whether it is in service; the seconds that the slowest answer took."""
    loop = asyncio.get_running_loop()
    began, slowest = loop.time(), 0.0
    while (asked := loop.time()) < began + seconds:
        async with daemon.http.get(f"{daemon.url}/api/ping") as ping:
            assert ping.status == 204
        slowest = max(slowest, loop.time() - asked)
        await asyncio.sleep(0.02)
    return slowest
