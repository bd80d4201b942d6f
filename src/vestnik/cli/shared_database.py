"""The database itself, beside a daemon that may have it open too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from vestnik.runtime.folders import make_folder
from vestnik.runtime.instance import InstanceLock
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade


@asynccontextmanager
async def shared_database(path: Path) -> AsyncIterator[Database]:
    """Open, with the schema of this version; made where there is none. Raises DatabaseDamaged, StoreUnavailable."""
    make_folder(path.parent)
    database = Database(path)
    await database.open(alone=not InstanceLock.of_database(path).held_by_another())
    try:
        await database.maintain(upgrade)
        yield database
    finally:
        await database.close()
