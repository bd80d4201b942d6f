"""The schema, step by step (Alembic). `upgrade` brings a database to the newest."""
