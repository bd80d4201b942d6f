from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from daemons import RunningDaemon


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[RunningDaemon]:
    """All workers against the sandbox."""
    async with RunningDaemon(tmp_path) as running:
        yield running
