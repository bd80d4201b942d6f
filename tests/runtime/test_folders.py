"""That the entries outlive a power cut is seen in tests/torture/test_power_cut.py."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vestnik.runtime.folders import make_folder, sync_folder


def test_a_folder_is_made_with_its_parents_and_only_once(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b" / "c", 0o700)
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match="exists") as raised:
        make_folder(tmp_path / "a")
    assert raised.value.errno == errno.EEXIST


def test_syncing_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names are wanted
    sync_folder(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "none")
