"""How long and how often everything is measured."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import WORK


@dataclass(frozen=True)
class Options:
    rounds: int = 5
    quick: bool = False

    @property
    def seconds(self) -> float:
        """Of one measurement."""
        return 1.0 if self.quick else 3.0

    def tasks(self, count: int) -> int:
        """A number of tasks, a tenth of it for a quick look."""
        return count // 10 if self.quick else count


@contextlib.contextmanager
def folder(name: str) -> Iterator[Path]:
    """An empty folder for one case, removed afterwards."""
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
