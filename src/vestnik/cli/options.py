"""Options and output that the sub-commands share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    envvar="VESTNIK_CONFIG",
    default=Path("config/vestnik.yaml"),
    show_default=True,
    help="The configuration file ($VESTNIK_CONFIG).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as they need; nothing a terminal could take for a command."""
    lines = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(header, *lines, strict=True)]
    for line in [header, *lines]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    shown = one_line("-" if value is None else str(value))
    return shown if len(shown) <= 80 else shown[:79] + "…"


def one_line(text: str) -> str:
    """Nothing in it that a terminal could take for a command."""
    return "".join(c if c.isprintable() else " " for c in text)
