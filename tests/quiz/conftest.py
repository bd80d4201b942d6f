from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kept_questions import counts_agree

from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Database]:
    """A database for questions. After the test its counts have to be what counting the rows gives."""
    database = Database(tmp_path / "questions.db")
    await database.open()
    await database.maintain(upgrade)
    yield database
    assert await database.read(counts_agree)
    await database.close()
