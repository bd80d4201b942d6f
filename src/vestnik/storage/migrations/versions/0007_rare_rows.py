"""Indexes for what few rows have: a key that comes to its end, a parent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_index("idempotency_kept_until", "idempotency", ["kept_until"])
    resent = sa.text("parent_id IS NOT NULL")
    op.create_index("message_parent", "message", ["parent_id"], sqlite_where=resent, postgresql_where=resent)


def downgrade() -> None:
    op.drop_index("message_parent", "message")
    op.drop_index("idempotency_kept_until", "idempotency")
