"""Brings a database to the newest schema; a database from the future is refused, not guessed at."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from vestnik.errors import VestnikError
from vestnik.storage.database import Connection
from vestnik.storage.sqlite_errors import meaning

#: The newest revision. Alembic takes 0.4 s to import, so it is asked only when the database stands elsewhere.
HEAD = "0008"


class SchemaTooNew(VestnikError):
    code = "schema_too_new"


class CannotUpgrade(VestnikError):
    code = "cannot_upgrade"


def upgrade(connection: Connection) -> None:
    """Run inside the writer, outside a transaction; all steps are one transaction.

    Raises SchemaTooNew; sqlite3.Error when the disk or a lock is in the way; CannotUpgrade for any other cause.
    """
    current = _revision(connection)
    if current == HEAD:
        return
    from alembic import command, script  # noqa: PLC0415 - see HEAD
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - alembic brings it

    config = _configuration(connection)
    if current is not None and current not in {
        s.revision for s in script.ScriptDirectory.from_config(config).walk_revisions()
    }:
        raise SchemaTooNew(
            f"the database has schema {current}, newer than this version's {HEAD}: install a newer vestnik"
        )
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error) and meaning(error.orig, ""):
            raise error.orig from error
        raise CannotUpgrade(
            f"the database cannot be brought to schema {HEAD}, and is as it was: {error.orig}"
        ) from error


def _revision(connection: Connection) -> str | None:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return None  # no such table: a new database
    return row[0] if row else None


def _configuration(connection: Connection) -> Any:
    from alembic.config import Config  # noqa: PLC0415 - see HEAD

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
