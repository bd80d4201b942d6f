"""Where tasks wait. `queue_manager` says what a queue promises, `durable` keeps it over a database."""
