"""The database: `database` (one writer, group commit) and `migrations`, where the tables are defined."""
