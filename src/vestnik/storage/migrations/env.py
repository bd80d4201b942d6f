"""Alembic's entry: run the steps, in one transaction, on the connection that `upgrade` was given."""

from __future__ import annotations

import sqlite3

from alembic import context
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

sqlite: sqlite3.Connection = context.config.attributes["connection"]
engine = create_engine("sqlite://", creator=lambda: sqlite, poolclass=StaticPool)


@event.listens_for(engine, "begin")
def begin(connection: Connection) -> None:
    # sqlite3 is in autocommit mode here, and by itself would leave DDL outside the transaction.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


sqlite.row_factory = None  # SQLAlchemy wants tuples
try:
    with engine.connect() as connection:
        context.configure(connection=connection, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
finally:
    sqlite.row_factory = sqlite3.Row
