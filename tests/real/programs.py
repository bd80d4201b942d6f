"""Finds the programs that tests in this folder start: the ones that are not Python packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

#: Set to 1 where the programs must be there (`make check`): an absent one is then a failure, not a skip.
REQUIRE = "VESTNIK_REQUIRE_SERVICES"

# Daemons live in the sbin folders, which an ordinary user's PATH leaves out.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def require_program(name: str, folders: Sequence[str] = ()) -> str:
    """Return the path of a program; where it is absent, skip the test, or fail it under VESTNIK_REQUIRE_SERVICES=1.

    `folders` are looked into after PATH.
    """
    folders = [os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS, *folders]
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        _absent(f"{name} is not installed")
    return path


def require_file(pattern: str) -> str:
    """Return the path of a file of some package, by a pattern from the root; skip or fail as with programs."""
    found = next(Path("/").glob(pattern.lstrip("/")), None)
    if found is None:
        _absent(f"{pattern} is not installed")
    return str(found)


def require_root(name: str) -> None:
    """For a program that only root can start."""
    if os.geteuid() != 0:
        _absent(f"{name} can be started by root only")


def _absent(reason: str) -> NoReturn:
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{reason}, and {REQUIRE}=1 says that it must be")
    pytest.skip(reason)
