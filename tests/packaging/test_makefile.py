"""What `make` says and does, without doing it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stamp", [".venv/.installed-run", ".venv/.installed-dev"])
def test_a_long_installation_is_announced_before_it_begins(stamp: str) -> None:
    told = subprocess.run(
        ["make", "--dry-run", "--always-make", stamp], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    announced, installed = told.index("a minute"), told.index("pip --disable-pip-version-check")
    assert announced < installed
