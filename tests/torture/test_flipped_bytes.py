"""Bytes that the disk gives back changed: found at the start and named, or harmless; never a quiet loss."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from audit import drained, opened
from figures import Row, times
from load import Load
from recording_gateway import RecordingGateway
from tortured import TorturedDaemon

from vestnik.errors import ExitCode

AT_ONCE = 2  # daemons


@pytest.fixture
async def acknowledged(daemon: TorturedDaemon, gateway: RecordingGateway) -> AsyncIterator[set[int]]:
    """Ids of messages that wait in the database of a daemon which is not running any more."""
    gateway.down = True
    async with daemon, Load(daemon.url) as load:
        await load.some(200, status=204)
        await load.stop()
        yield set(load.acknowledged.values())


@pytest.mark.parametrize("ending", ["terminate", "kill"])
async def test_flipped_bytes_are_found_or_harm_nobody(
    ending: str, daemon: TorturedDaemon, gateway: RecordingGateway, acknowledged: set[int], row: Callable[[str], Row]
) -> None:
    """After SIGTERM everything is in the database, after kill -9 the newest is in its log."""
    await getattr(daemon, ending)()
    file = {"terminate": "vestnik.db", "kill": "vestnik.db-wal"}[ending]
    figures = row(f"a changed byte in {file}")
    figures.times = times(4, 60)
    busy = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> bool:
        async with busy:
            return await serves_with_a_flip(daemon, file, number, gateway.url, acknowledged)

    gateway.down = False
    served = await asyncio.gather(*(one(number) for number in range(figures.times)))
    figures.note = f"{served.count(False)} refused, {served.count(True)} went on with nothing missing"


async def serves_with_a_flip(
    original: TorturedDaemon, file: str, number: int, gateway: str, acknowledged: set[int]
) -> bool:
    """Whether it delivers all that there was; False when it refuses, names the file, and leaves it as it is."""
    folder = original.folder / f"flip-{number}"
    shutil.copytree(original.state, folder / "var")
    daemon = TorturedDaemon(folder, gateway)
    place = flip(folder / "var" / file, number)
    before = (folder / "var" / file).read_bytes()
    if await daemon.starts():
        try:
            await drained(daemon.database)
        finally:
            await daemon.kill()
        missing = without_a_word(daemon.database, acknowledged)
        assert not missing, f"{len(missing)} of {len(acknowledged)} quietly lost by a byte at {place}"
        return True
    assert (await daemon.ended(), str(daemon.database) in daemon.said) == (ExitCode.DAMAGED, True), daemon.said
    assert (folder / "var" / file).read_bytes() == before
    return False


def flip(file: Path, number: int) -> int:
    content = bytearray(file.read_bytes())
    chance = random.Random(number)
    place = chance.randrange(len(content))
    content[place] ^= chance.randrange(1, 256)
    file.write_bytes(content)
    return place


def without_a_word(database: Path, acknowledged: set[int]) -> set[int]:
    """Those that were neither delivered nor failed with a reason, such as a number that is none any more."""
    with closing(opened(database)) as connection:
        rows = connection.execute("SELECT message_id, state, error FROM task").fetchall()
    return acknowledged - {row["message_id"] for row in rows if row["state"] == "delivered" or row["error"]}
