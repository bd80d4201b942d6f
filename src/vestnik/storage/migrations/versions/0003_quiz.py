"""Questions that were collected and not yet sent, and the hashes of those that were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = depends_on = None

IN_BATCH = sa.text("batch_id IS NOT NULL")


def upgrade() -> None:
    _questions()
    _reasons()
    _past_questions()
    _counts()


def _questions() -> None:
    op.create_table(
        "question",
        sa.Column("id", sa.Text, primary_key=True),  # UUID version 7: in the order of arrival
        sa.Column("hash_version", sa.SmallInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),  # of the text alone
        sa.Column("status", sa.Text, nullable=False),
        sa.Column(
            "moderated", sa.Boolean, nullable=False, server_default="0"
        ),  # approved: what comes later asks no more
        sa.Column("batch_id", sa.Text),  # set while it is on its way out
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("correct", sa.Text, nullable=False),  # lists are JSON
        sa.Column("incorrect", sa.Text, nullable=False),
        sa.Column("accepted", sa.Text, nullable=False),
        sa.Column("language", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("difficulty", sa.Text),
        sa.Column("explanation", sa.Text),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("media", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("source_url", sa.Text),
        sa.Column("external_id", sa.Text),
        sa.Column("author", sa.Text),
        sa.Column("source_references", sa.Text, nullable=False),
        sa.Column("licence", sa.Text),
        sa.Column("attribution", sa.Text),
        sa.Column("fetched_at", sa.Float, nullable=False),
        sa.Column("near_key", sa.BigInteger, nullable=False),  # where to look for questions worded almost the same
        sa.Column("near_length", sa.Integer, nullable=False),
        sa.UniqueConstraint("hash_version", "hash"),
        sa.CheckConstraint("status IN ('raw', 'ready')", name="status_known"),
        sa.CheckConstraint("batch_id IS NULL OR status = 'ready'", name="only_ready_in_batches"),
    )
    op.create_index("question_status", "question", ["status", "id"])
    op.create_index("question_source", "question", ["source", "status", "id"])
    op.create_index("question_batch", "question", ["batch_id"], sqlite_where=IN_BATCH, postgresql_where=IN_BATCH)
    op.create_index("question_near", "question", ["near_key", "near_length"])


def _reasons() -> None:
    """Why a question is raw; a ready one has none."""
    op.create_table(
        "question_reason",
        sa.Column("question_id", sa.Text, sa.ForeignKey("question.id", ondelete="CASCADE"), nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("question_id", "code"),
        sqlite_with_rowid=False,
    )
    op.create_index("question_reason_code", "question_reason", ["code", "question_id"])


def _past_questions() -> None:
    """All that is left of what was sent or rejected, so that it never comes again."""
    op.create_table(
        "past_question",
        sa.Column("hash_version", sa.SmallInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("exported_at", sa.Float),
        sa.Column("batch_id", sa.Text),
        sa.Column("rejected_at", sa.Float),
        sa.PrimaryKeyConstraint("hash_version", "hash"),
        sa.CheckConstraint("(exported_at IS NULL) <> (rejected_at IS NULL)", name="exported_or_rejected"),
        sqlite_with_rowid=False,
    )


def _counts() -> None:
    op.create_table(
        "question_count",  # kept in the transactions that change the rows, so that nothing counts them
        sa.Column("status", sa.Text, primary_key=True),  # raw | ready | exported | rejected
        sa.Column("count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO question_count VALUES ('raw', 0), ('ready', 0), ('exported', 0), ('rejected', 0)")


def downgrade() -> None:
    for table in ("question_count", "past_question", "question_reason", "question"):
        op.drop_table(table)
