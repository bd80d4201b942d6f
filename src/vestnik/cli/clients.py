"""`vestnik clients`: look at clients, take them in and give them out as CSV."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import click

from vestnik.cli.http import DaemonClient
from vestnik.cli.options import config_option, json_option, print_json, print_table
from vestnik.configuration import load
from vestnik.errors import ExitCode

_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_SHOWN = ("id", "phone", "operator_code", "tag", "timezone")


@click.group()
def clients() -> None:
    """Clients, to whom mailings go: list them, take them in, give them out."""


@clients.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--encoding", type=click.Choice(["utf-8", "cp1251"]), default="utf-8", show_default=True)
@click.option("--dry-run", is_flag=True, help="Only tell what would become of the rows.")
@click.option("--errors", type=_FILE, help="Where to write the bad rows.  [default: the standard error]")
@config_option
@json_option
def import_files(
    files: tuple[str, ...], encoding: str, dry_run: bool, errors: Path | None, config: Path, as_json: bool
) -> None:
    """Take in files of clients (CSV); - is the standard input. Works whether the daemon runs or not.

    A header names the columns: phone, and where wanted operator_code, tag, timezone. A known phone is changed, a new
    one added; the same file can be taken in again. Ends with 1 when a row is bad or a file was not read to its end.
    """
    from vestnik.cli import client_files  # noqa: PLC0415 - not for every command to load

    with ExitStack() as stack:
        told = stack.enter_context(click.open_file(str(errors), "w")) if errors else None
        plan = client_files.Plan(files, "cp1251" if encoding == "cp1251" else "utf-8", dry_run, told)
        imported = client_files.import_files(load(config), plan)
    if as_json:
        print_json(imported.result())
    else:
        click.echo(f"{imported.report.sentence()}; {imported.seconds:.1f} s{', nothing was stored' * dry_run}")
        for file, why in imported.failed.items():
            click.echo(f"{file}: {why}", err=True)
        if imported.stopped:
            kept = "" if dry_run else " What was read by then is kept."
            click.echo(f"not finished: {imported.stopped}.{kept}", err=True)
    if not imported.whole:
        sys.exit(ExitCode.FAILED)


@clients.command()
@click.argument("file", default="-", type=_FILE)
@config_option
def export(file: Path, config: Path) -> None:
    """Give out all clients as CSV, into a file or to the standard output. Works whether the daemon runs or not."""
    from vestnik.cli import client_files  # noqa: PLC0415

    client_files.export(load(config), None if str(file) == "-" else file)


@clients.command("list")
@click.option("--operator-code", help="Only of this operator.")
@click.option("--tag", help="Only with this tag.")
@click.option("--phone", help="Only who has it.")
@click.option("--timezone", help="Only of this zone.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@config_option
@json_option
def list_clients(limit: int, config: Path, as_json: bool, **wanted: str | None) -> None:
    """Show clients, in the order they came."""
    found = list(islice(DaemonClient(load(config)).pages("/clients", "clients", wanted), limit))
    if as_json:
        print_json(found)
    else:
        print_table(_SHOWN, [[client[name] or None for name in _SHOWN] for client in found])
