from __future__ import annotations

import os
from pathlib import Path

import pytest

from vestnik.storage.database import Database
from vestnik.storage.free_space import is_nearly_full


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """A disk whose size and free space, in MB, can be set."""
    disk = {"size": 100_000, "free": 50_000}
    real = os.statvfs(tmp_path)

    def statvfs(path: Path) -> os.statvfs_result:
        values = list(real)
        values[0] = values[1] = 1 << 20
        values[2], values[3], values[4] = disk["size"], disk["free"] + 500, disk["free"]
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return disk


@pytest.mark.parametrize(
    ("size", "free", "nearly_full"), [(100_000, 64, False), (100_000, 63, True), (200, 10, False), (200, 9, True)]
)
def test_some_of_the_disk_is_kept_free_of_a_small_one_a_twentieth(
    size: int, free: int, nearly_full: bool, left: dict[str, int], tmp_path: Path
) -> None:
    left.update(size=size, free=free)
    assert is_nearly_full(tmp_path) is nearly_full


async def test_a_database_tells_when_it_runs_short_and_when_there_is_room(
    left: dict[str, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    database = Database(tmp_path / "v.db")
    await database.open()
    seen = []
    for free in (50_000, 10, 9, 50_000, 50_000):
        left["free"] = free
        await database.look_at_space()
        seen.append(database.nearly_full)
    await database.close()
    assert seen == [False, True, True, False, False]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


async def test_one_in_memory_has_no_disk() -> None:
    database = Database(None)
    await database.look_at_space()
    assert not database.nearly_full
