"""Messages, tasks, attempts and what steers them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = depends_on = None

# SQLite keeps a row under its id only when the column is called INTEGER.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Every index below is asked at every insert and update whether the row belongs in it. That a column is NULL is known at
# once; comparing states with each index cost a third of an insert. `store` says why these mean the same.
WAITING = sa.text("finished_at IS NULL AND owner IS NULL")


def upgrade() -> None:
    _messages()
    _tasks()
    _attempts()
    _control()


def _messages() -> None:
    op.create_table(
        "message",
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("sender", sa.Text),  # the API key's id; null where none was asked for
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("parent_id", sa.BigInteger),  # of a resend
    )


def _tasks() -> None:
    op.create_table(
        "task",
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        sa.Column("message_id", sa.BigInteger, sa.ForeignKey("message.id"), nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("ambiguous", sa.Integer, nullable=False, server_default="0"),
        sa.Column("crashes", sa.Integer, nullable=False, server_default="0"),
        sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
        sa.Column("owner", sa.Text),  # random per process start; set exactly while running
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("maybe_sent", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("error", sa.Text),
        sa.Column("mailing_id", sa.BigInteger),  # a task of a mailing, to one of its clients
        sa.Column("client_id", sa.BigInteger),
        sa.CheckConstraint("(state = 'running') = (owner IS NOT NULL)", name="owner_iff_running"),
    )
    op.create_index(
        "task_waiting", "task", ["channel", "priority", "due_at", "id"], sqlite_where=WAITING, postgresql_where=WAITING
    )
    expiring = sa.text(f"expires_at IS NOT NULL AND {WAITING.text}")
    op.create_index("task_expiring", "task", ["expires_at"], sqlite_where=expiring, postgresql_where=expiring)
    running = sa.text("owner IS NOT NULL")
    op.create_index("task_running", "task", ["owner"], sqlite_where=running, postgresql_where=running)
    unhappy = sa.text("finished_at IS NOT NULL AND state <> 'delivered'")
    op.create_index("task_unhappy", "task", ["message_id"], sqlite_where=unhappy, postgresql_where=unhappy)
    op.create_index("task_message", "task", ["message_id"])
    of_mailing, of_client = sa.text("mailing_id IS NOT NULL"), sa.text("client_id IS NOT NULL")
    mailing = ["mailing_id", "client_id"]  # unique: nobody gets a mailing twice
    op.create_index("task_mailing", "task", mailing, unique=True, sqlite_where=of_mailing, postgresql_where=of_mailing)
    op.create_index("task_client", "task", ["client_id"], sqlite_where=of_client, postgresql_where=of_client)


def _attempts() -> None:
    """Append-only: what every try came to."""
    op.create_table(
        "attempt",
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),  # delivered | refused | deferred | ambiguous
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("task_id", "epoch"),
        sqlite_with_rowid=False,
    )


def _control() -> None:
    op.create_table(
        "idempotency",  # outlives its message
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("content_hash", sa.LargeBinary, nullable=False),
        sa.Column("message_id", sa.BigInteger, nullable=False),
        sa.Column("kept_until", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("sender", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "task_count",  # kept in the transactions that change the states, so that no request counts rows
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("channel", "state"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mailing_count",  # the same for mailings; outlives the rows
        sa.Column("mailing_id", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("mailing_id", "state"),
        sqlite_with_rowid=False,
    )
    op.create_table("id_ceiling", sa.Column("id", sa.BigInteger, nullable=False))  # no id up to it is given out again
    op.execute("INSERT INTO id_ceiling VALUES (0)")
    op.create_table(
        "channel_pause",
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text, primary_key=True),  # the part before the dot: shown, and looked up by
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("hash", sa.LargeBinary, nullable=False),  # SHA-256 of the whole key; the key itself is not kept
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("last_used_at", sa.Float),
        sa.Column("revoked_at", sa.Float),
    )


def downgrade() -> None:
    for table in (
        "api_key",
        "channel_pause",
        "id_ceiling",
        "mailing_count",
        "task_count",
        "idempotency",
        "attempt",
        "task",
        "message",
    ):
        op.drop_table(table)
