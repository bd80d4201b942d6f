"""`vestnik token` and `vestnik keys`: who may administer, and who may send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click

from vestnik.cli.options import config_option, json_option, print_json, print_table
from vestnik.cli.shared_database import shared_database
from vestnik.configuration import Configuration, load
from vestnik.daemon import jwt_secret
from vestnik.errors import VestnikError
from vestnik.runtime.clock import iso
from vestnik.settings.values import parse_duration
from vestnik.storage.database import Connection
from vestnik.web import api_keys
from vestnik.web.auth import Tokens

T = TypeVar("T")


class CannotSign(VestnikError):
    code = "cannot_sign"


class _Lifetime(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            lifetime = parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)
        if not lifetime:
            self.fail(f"{value!r} is not a duration of more than 0", param, ctx)
        return lifetime


@click.command()
@click.option("--role", required=True, help="One of auth.jwt.roles.")
@click.option("--subject", default="cli", show_default=True, help="Whose token it is.")
@click.option("--ttl", type=_Lifetime(), default="1h", show_default=True, help="How long it is valid.")
@config_option
def token(role: str, subject: str, ttl: timedelta, config: Path) -> None:
    """Print a JWT signed with the configured secret."""
    configuration = load(config)
    settings = configuration.settings.auth.jwt
    if role not in settings.roles:
        raise click.BadParameter(f"{role!r} is not one of {', '.join(settings.roles)}", param_hint="--role")
    click.echo(sign(configuration, role=role, subject=subject, lifetime=ttl))


def sign(configuration: Configuration, *, role: str, subject: str, lifetime: timedelta) -> str:
    """Raises CannotSign when only a public key is configured."""
    settings = configuration.settings.auth.jwt
    if not settings.algorithms[0].startswith("HS"):
        raise CannotSign("the configuration holds a public key: only the main server can sign tokens")
    return Tokens(settings, jwt_secret(configuration)).sign(role=role, subject=subject, lifetime=lifetime)


@click.group()
def keys() -> None:
    """API keys for senders (auth.send: key)."""


@keys.command()
@click.argument("name")
@config_option
@json_option
def create(name: str, config: Path, as_json: bool) -> None:
    """Make a key. It is shown once and kept only as a hash."""
    row, key = _with_database(load(config), lambda c: api_keys.create(c, name, time.time()))
    if as_json:
        print_json({"id": row.id, "name": row.name, "key": key})
    else:
        click.echo(key)
        click.echo(f"This is the key of {row.name!r}. It is not shown again; send it as X-API-Key.", err=True)


@keys.command("list")
@config_option
@json_option
def list_keys(config: Path, as_json: bool) -> None:
    """Show all keys, also revoked ones; never the keys themselves."""
    found = _with_database(load(config), api_keys.list_all)
    rows = [(k.id, k.name, iso(k.created_at), iso(k.last_used_at), iso(k.revoked_at)) for k in found]
    header = ("id", "name", "created_at", "last_used_at", "revoked_at")
    if as_json:
        print_json([dict(zip(header, row, strict=True)) for row in rows])
    else:
        print_table(header, rows)


@keys.command()
@click.argument("name")
@config_option
def revoke(name: str, config: Path) -> None:
    """Revoke a key by its name or id; a running daemon refuses it within a second."""
    _with_database(load(config), lambda c: api_keys.revoke(c, name, time.time()))
    click.echo(f"revoked {name}")


def _with_database(configuration: Configuration, work: Callable[[Connection], T]) -> T:
    """Run one piece of work on the database itself: it works whether the daemon runs or not."""

    async def run() -> T:
        async with shared_database(configuration.database) as database:
            return await database.write(work)

    return asyncio.run(run())
