"""Jobs: what changes of them while the daemon runs, and outlives it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "job",  # a row stays when its job leaves the configuration: it may come back
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("schedule", sa.Text),
        sa.Column("interval_ms", sa.BigInteger),
        sa.Column("timezone", sa.Text, nullable=False),  # kept in TIMER mode, for the way back
        sa.Column("changed", sa.Boolean, nullable=False),  # over HTTP: the configuration does not count
        sa.Column("planned_at", sa.Float, nullable=False),  # when the next run was worked out
        sa.Column("next_run_at", sa.Float),
        sa.Column("start_at", sa.Float),  # the end of a pause
        sa.Column("running_since", sa.Float),  # written before the run begins
        sa.Column("running_because", sa.Text),
        sa.Column("interruptions", sa.Integer, nullable=False),  # runs in a row that the daemon did not outlive
        sa.Column("last_run_at", sa.Float),
        sa.Column("last_outcome", sa.Text),
        sa.Column("last_success_at", sa.Float),
        sa.Column("last_error", sa.Text),
        sa.Column("last_error_at", sa.Float),
        sa.Column("last_result", sa.Text),  # JSON
        sa.CheckConstraint("state IN ('WORKING', 'PAUSED', 'STOPED')", name="state_known"),
        sa.CheckConstraint(
            "(mode = 'CRON' AND schedule IS NOT NULL AND interval_ms IS NULL)"
            " OR (mode = 'TIMER' AND schedule IS NULL AND interval_ms IS NOT NULL)",
            name="settings_of_the_mode",
        ),
        sa.CheckConstraint("(running_since IS NULL) = (running_because IS NULL)", name="running_has_a_cause"),
    )


def downgrade() -> None:
    op.drop_table("job")
