"""A mailing's tasks are kept by its end, which may be put off; and an index for mailings that have not ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("mailing_now", sa.Column("ends_at", sa.Float))  # its tasks stay until then, and the usual time after
    op.execute(
        "UPDATE mailing_now SET ends_at = (SELECT end_at FROM mailing WHERE mailing.id = mailing_now.mailing_id)"
    )
    # All that counting by state needs: the texts of all mailings ever are not read for it.
    op.create_index("mailing_end", "mailing", ["end_at", "start_at", "deleted_at"])


def downgrade() -> None:
    op.drop_index("mailing_end", "mailing")
    op.drop_column("mailing_now", "ends_at")
