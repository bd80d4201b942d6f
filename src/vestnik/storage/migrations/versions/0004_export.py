"""Batches of questions on their way to the main server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "export_batch",  # gone as soon as the main server has said what became of every question in it
        sa.Column("id", sa.Text, primary_key=True),  # UUID; the Idempotency-Key
        sa.Column("body", sa.LargeBinary, nullable=False),  # the very bytes that are sent, each time
        sa.Column(
            "members", sa.Text, nullable=False
        ),  # JSON: [question id, hash] of each question, in the body's order
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("sends", sa.Integer, nullable=False, server_default="0"),  # counted before each
        sa.Column("error", sa.Text),  # why the last one was not the end of it
    )


def downgrade() -> None:
    op.drop_table("export_batch")
