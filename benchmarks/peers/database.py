"""`python -m benchmarks.peers.database create|drop SERVER NAME`: a PostgreSQL database for one measurement."""

from __future__ import annotations

import sys

import psycopg
from psycopg import sql


def main(action: str, server: str, name: str) -> None:
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        if action == "create":
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    print("{}")


if __name__ == "__main__":
    main(*sys.argv[1:])
