"""`vestnik trace`: everything that is known of one message, mailing or client, in the order of time (M13).

It reads the database and the log itself, so it works whether the daemon runs or not, and it changes nothing.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from vestnik.cli import log_search
from vestnik.cli.options import config_option, json_option, one_line
from vestnik.configuration import Configuration, load
from vestnik.delivery.store import trace as rows
from vestnik.delivery.store.trace import Event, Kind, Subject
from vestnik.errors import NotFound, StoreUnavailable
from vestnik.runtime.clock import iso
from vestnik.runtime.instance import InstanceLock
from vestnik.runtime.redaction import Redactor
from vestnik.storage.connection_thread import BUSY_TIMEOUT
from vestnik.storage.damage import refuse_damaged_files
from vestnik.storage.database import Connection
from vestnik.storage.sqlite_errors import meaning

LARGEST_ID = (1 << 63) - 1
_ID = click.IntRange(1, LARGEST_ID)
NO_LOG = "log.file is not configured: requests are not shown"


@click.command()
@click.option("--message", type=_ID, metavar="ID", help="What became of a message.")
@click.option("--mailing", type=_ID, metavar="ID", help="What became of a mailing, client by client.")
@click.option("--client", type=_ID, metavar="ID", help="What a client was sent.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Show so many events.")
@config_option
@json_option
def trace(config: Path, limit: int, as_json: bool, **ids: int | None) -> None:
    """Show in the order of time what is known of a message, a mailing or a client.

    Requests come from log.file, everything else from the database. Works whether the daemon runs or not.
    """
    subject = _subject(ids)
    configuration = load(config)
    with _read_only(configuration) as connection:
        states, found = _found(connection, configuration, subject, limit)
        notes = [] if configuration.settings.log.file else [NO_LOG]
        redact = Redactor(configuration.secrets())
        show = _print_json if as_json else _print_lines
        show(subject, states, (_shown(event, redact) for event in found), limit, notes)


def _subject(ids: dict[str, int | None]) -> Subject:
    given = [Subject(Kind(name), id_) for name, id_ in ids.items() if id_ is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --message, --mailing and --client")
    return given[0]


@contextmanager
def _read_only(configuration: Configuration) -> Iterator[Connection]:
    """Raises StoreUnavailable, DatabaseDamaged."""
    path = configuration.database
    if not path.exists():
        raise StoreUnavailable(f"{path}: there is no database yet")
    if not InstanceLock.of_database(path).held_by_another():
        refuse_damaged_files(path)
    try:
        uri = f"file:{quote(str(path.resolve()))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT)) as connection:
            connection.row_factory = sqlite3.Row
            connection.text_factory = _text
            yield connection
    except sqlite3.Error as error:
        said = meaning(error, str(path))
        raise said or StoreUnavailable(f"{path}: cannot be read by this version of vestnik ({error})") from error


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "backslashreplace")


def _found(
    connection: Connection, configuration: Configuration, subject: Subject, limit: int
) -> tuple[dict[str, int], Iterator[Event]]:
    """States with their counts, and events without their end. Raises NotFound."""
    states = rows.states(connection, subject)
    # One more than is shown tells that there are more.
    found = rows.events(connection, subject, limit + 1)
    log = configuration.settings.log.file
    if log:
        # What the database does not know any more, or never did (`queue: memory`), the log may still tell.
        lines = log_search.events(
            log, subject, belongs=lambda id_: rows.belongs(connection, id_, subject), ends_too=not states
        )
        found = heapq.merge(found, lines, key=lambda event: event.at)
    first = next(found, None)
    if first is None and not states:
        raise NotFound(f"nothing is known of {subject.kind} {subject.id}: it never was, or was deleted since")
    return states, iter(()) if first is None else chain([first], found)


def _shown(event: Event, redact: Redactor) -> dict[str, Any]:
    fields = {name: redact(value) if isinstance(value, str) else value for name, value in event.fields.items()}
    return {"at": iso(event.at), "event": redact(event.name), **fields}


Shown = Iterator[dict[str, Any]]


def _print_json(subject: Subject, states: dict[str, int], events: Shown, limit: int, notes: list[str]) -> None:
    """One document, written event by event."""
    head = json.dumps({subject.kind: subject.id, "tasks": states, "notes": notes}, ensure_ascii=False)
    click.echo(f'{head[:-1]}, "events": [', nl=False)
    for number, event in zip(range(limit), events, strict=False):
        click.echo(f"{',' if number else ''}\n{json.dumps(event, ensure_ascii=False)}", nl=False)
    click.echo(f'\n], "more": {json.dumps(next(events, None) is not None)}}}')


def _print_lines(subject: Subject, states: dict[str, int], events: Shown, limit: int, notes: list[str]) -> None:
    counted = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    click.echo(f"{subject.kind} {subject.id}: {counted or 'not in the database, so this is what the log has'}")
    for _, event in zip(range(limit), events, strict=False):
        at, name = event.pop("at"), event.pop("event")
        event.pop(subject.kind, None)
        line = f"{at}  {name:<11}" + "".join(f" {key}={_value(v)}" for key, v in event.items())
        click.echo(one_line(line).rstrip())
    if next(events, None) is not None:
        notes = [*notes, f"there are more events than these {limit:,}: --limit"]
    for note in notes:
        click.echo(note, err=True)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= 200 else f"{text[:199]}…"
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' "=\n') else text
