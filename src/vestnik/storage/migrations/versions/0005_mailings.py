"""Clients and mailings. Their messages and tasks are delivery's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = depends_on = None

# SQLite keeps a row under its id only when the column is called INTEGER. An id is not given out again after its row is
# gone: tasks, logs and figures go on naming it.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "client",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("phone", sa.Text, nullable=False, unique=True),  # 7XXXXXXXXXX
        sa.Column("operator_code", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),  # "" for none
        sa.Column("timezone", sa.Text, nullable=False),  # IANA
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("client_operator_code", "client", ["operator_code", "id"])
    op.create_index("client_tag", "client", ["tag", "id"])
    op.create_table("client_count", sa.Column("count", sa.BigInteger, nullable=False))  # one row
    op.execute("INSERT INTO client_count VALUES (0)")
    op.create_table(
        "mailing",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("start_at", sa.Float, nullable=False),
        sa.Column("end_at", sa.Float, nullable=False),
        sa.Column("operator_codes", sa.Text, nullable=False),  # JSON list; empty: all
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("opens", sa.Text),  # HH:MM by the client's clock; null: at any hour
        sa.Column("closes", sa.Text),
        sa.Column("expanded_to", sa.BigInteger, nullable=False, server_default="0"),  # the last client looked at
        sa.Column("complete", sa.Boolean, nullable=False, server_default="0"),  # ended, and everybody was looked at
        sa.Column("follow_after", sa.BigInteger),  # a change: the last client whose task has followed; null: all have
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("deleted_at", sa.Float),  # its figures stay
        sqlite_autoincrement=True,
    )
    open_ = sa.text("NOT complete AND deleted_at IS NULL")
    op.create_index("mailing_start", "mailing", ["start_at"], sqlite_where=open_, postgresql_where=open_)
    following = sa.text("follow_after IS NOT NULL")
    op.create_index("mailing_following", "mailing", ["id"], sqlite_where=following, postgresql_where=following)
    _tasks_of_mailings()
    _figures()


def _tasks_of_mailings() -> None:
    op.add_column("task", sa.Column("closes_at", sa.Float))  # not handed over at or after it, until it has another one
    closing = sa.text("closes_at IS NOT NULL AND finished_at IS NULL AND owner IS NULL")
    op.create_index("task_closing", "task", ["closes_at"], sqlite_where=closing, postgresql_where=closing)
    op.add_column("message", sa.Column("html", sa.Text))  # the same, for who reads HTML
    op.create_table(
        "mailing_now",  # what the tasks of a mailing look at when they are claimed
        sa.Column("mailing_id", ID, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False, server_default="0"),
    )


def _figures() -> None:
    """Kept in the transactions that end tasks; they outlive the rows."""
    op.create_table(
        "mailing_hour",
        sa.Column("mailing_id", sa.BigInteger, nullable=False),
        sa.Column("hour", sa.BigInteger, nullable=False),  # its first second, UTC
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("mailing_id", "hour", "state"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mailing_reason",  # why deliveries failed
        sa.Column("mailing_id", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("mailing_id", "reason"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_index("task_closing", "task")
    op.drop_column("task", "closes_at")
    op.drop_column("message", "html")
    for table in ("mailing_reason", "mailing_hour", "mailing_now", "mailing", "client_count", "client"):
        op.drop_table(table)
