"""`vestnik quiz`: questions that wait for a moderator, and files to import."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from vestnik.cli.answer import Answer
from vestnik.cli.http import DaemonClient
from vestnik.cli.options import config_option, json_option, print_json, print_table
from vestnik.configuration import load
from vestnik.errors import ExitCode

STATUSES = ("raw", "ready")
FORMATS = ("csv", "hash-q", "json", "opentdb", "openquizzdb", "xml", "yaml")
_AT_ONCE = 500  # questions decided by one request


@click.group()
def quiz() -> None:
    """Questions: moderate them, import them."""


@quiz.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", required=True, help="Whose questions they are; one of the configuration lends its settings.")
@click.option("--format", type=click.Choice(FORMATS), help="How to read them, unless the configuration says it.")
@click.option("--items", help="json, yaml, xml: where the questions stand.")
@click.option("--field", "fields", multiple=True, metavar="FIELD=PLACE", help="Where a field stands; repeatable.")
@click.option("--columns", help="csv without a header: the field of each column, as in text,correct,incorrect,-.")
@click.option("--delimiter", help="csv: between columns.  [default: ,]")
@click.option("--encoding", help="Where it is not UTF-8, and does not show.")
@click.option("--category", help="Of all, where the format has none.")
@click.option("--language", help="Of the questions that do not say, such as en.")
@click.option("--licence", help="An SPDX id, such as CC-BY-SA-4.0.")
@click.option("--attribution", help="Whom the licence wants named.")
@config_option
@json_option
def import_files(
    files: tuple[Path, ...], source: str, config: Path, as_json: bool, **options: str | tuple[str, ...] | None
) -> None:
    """Import files of questions: screened, and stored like what comes from any source.

    Works whether the daemon runs or not. Importing the same again is harmless: known questions are refused.
    Ends with 1 when anything could not be read; the rest is kept.
    """
    configuration = load(config)
    if configuration.quiz is None:
        raise click.UsageError("the configuration has no section `quiz`")
    from vestnik.cli import file_import  # noqa: PLC0415 - what reads questions is not for every command to load

    plan = file_import.planned(configuration.quiz, files, source, _as_section(options))
    imported = file_import.carry_out(configuration, plan)
    if as_json:
        print_json(imported.result())
    else:
        _print_report(imported.result())
    if not imported.whole:
        sys.exit(ExitCode.FAILED)


def _as_section(options: Mapping[str, str | tuple[str, ...] | None]) -> dict[str, Any]:
    """As one would write it in the configuration."""
    section: dict[str, Any] = {}
    for name, value in options.items():
        if name == "columns" and isinstance(value, str):
            section[name] = value.split(",")
        elif name == "fields" and isinstance(value, tuple):
            section |= {name: _fields(value)} if value else {}
        elif value is not None:
            section[name] = value
    return section


def _fields(pairs: Iterable[str]) -> dict[str, Any]:
    fields: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, place = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not FIELD=PLACE, such as text=question", param_hint="--field")
        fields.setdefault(name, []).append(place)
    return {name: places[0] if len(places) == 1 else places for name, places in fields.items()}


def _print_report(result: dict[str, Any]) -> None:
    rows = [
        (outcome, rule, count)
        for outcome, by_rule in (
            ("raw", "raw_by_rule"),
            ("refused", "refused_by_rule"),
            ("repaired", "repaired_by_rule"),
        )
        for rule, count in sorted(result[by_rule].items())
    ]
    counts = ", ".join(f"{result[name]:,} {name}" for name in ("ready", "raw", "refused", "unreadable"))
    click.echo(f"{result['fetched']:,} records in {result['seconds']} s: {counts}")
    if rows:
        print_table(("outcome", "rule", "questions"), rows)
    for record in result["unreadable_records"]:
        click.echo(f"left out: {record}")
    unnamed = result["unreadable"] - len(result["unreadable_records"])
    if unnamed > 0:
        click.echo(f"left out: {unnamed:,} more")
    for file, why in result["failed"].items():
        click.echo(f"{file}: {why}", err=True)
    if result["stopped"]:
        click.echo(f"not finished: {result['stopped']}. What was read by then is kept.", err=True)


@quiz.group()
def questions() -> None:
    """Look at questions; approve or reject those that are raw."""


def _selection(command: Any) -> Any:
    """Options that select questions."""
    command = click.option("--reason", help="Only raw by this rule, such as R08.")(command)
    command = click.option("--source", help="Only of this source.")(command)
    return click.option("--status", type=click.Choice(STATUSES), help="Only with this status.")(command)


@questions.command("list")
@_selection
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@config_option
@json_option
def list_questions(
    status: str | None, source: str | None, reason: str | None, limit: int, config: Path, as_json: bool
) -> None:
    """Show questions, oldest first."""
    wanted = _filter(status, source, reason)
    found = list(islice(_pages(_client(config), wanted), limit))
    if as_json:
        print_json(found)
        return
    print_table(("id", "status", "source", "reasons", "text"), [_row(question) for question in found])


def _row(question: Answer) -> tuple[object, ...]:
    source, reasons = question.one("source", Answer)["name"], " ".join(question.many("reasons", str))
    return question["id"], question["status"], source, reasons or None, question["text"]


@questions.command()
@click.argument("question_id")
@config_option
@json_option
def show(question_id: str, config: Path, as_json: bool) -> None:
    """Show one question, and why it is raw."""
    found = _client(config).get(f"/questions/{quote(question_id, safe='')}").having("id", "findings")
    if as_json:
        print_json(found)
        return
    rows = [(name, _line(found[name])) for name in _SHOWN if found[name]]
    rows += [(finding["rule"], _because(finding)) for finding in found.many("findings", Answer)]
    print_table(("field", "value"), rows)


_SHOWN = (
    "id",
    "status",
    "text",
    "correct_answers",
    "accepted_answers",
    "incorrect_answers",
    "explanation",
    "type",
    "language",
    "category",
    "difficulty",
    "batch_id",
)


def _line(value: Any) -> str:
    return " | ".join(map(str, value)) if isinstance(value, list) else str(value)


def _because(finding: Answer) -> str:
    return " ".join(map(str, filter(None, (finding["description"], finding["detail"] and f"({finding['detail']})"))))


def _decision(command: Any) -> Any:
    """Arguments and options of what decides on questions."""
    command = click.option("--dry-run", is_flag=True, help="Only show which.")(config_option(command))
    return click.argument("ids", nargs=-1)(_selection(command))


@questions.command()
@_decision
def approve(ids: tuple[str, ...], dry_run: bool, config: Path, **wanted: str | None) -> None:
    """Approve raw questions: those given, or all that the options select."""
    _decide("approve", "approved", ids, _filter(**wanted), dry_run=dry_run, client=_client(config))


@questions.command()
@_decision
def reject(ids: tuple[str, ...], dry_run: bool, config: Path, **wanted: str | None) -> None:
    """Reject raw questions: those given, or all that the options select. They never come again."""
    _decide("reject", "rejected", ids, _filter(**wanted), dry_run=dry_run, client=_client(config))


def _decide(
    action: str, done: str, ids: tuple[str, ...], wanted: dict[str, str], *, dry_run: bool, client: DaemonClient
) -> None:
    if bool(ids) == bool(wanted):
        raise click.UsageError("give either ids, or --status, --source or --reason")
    # What is ready already is decided on only when that is asked for.
    wanted = {"status": "raw", **wanted} if wanted else {}
    if dry_run:
        _show_which(ids or (question["id"] for question in _pages(client, wanted)), done)
        return
    changed, skipped = 0, dict[str, str]()
    for answer in _answers(client, f"/questions/{action}", ids, wanted):
        changed += answer.one("changed", int)
        skipped.update(answer.one("skipped", Answer))
    for problem in skipped.values():
        click.echo(problem, err=True)
    click.echo(f"{changed} {done}, {len(skipped)} not", err=True)
    if skipped:
        sys.exit(ExitCode.FAILED)


def _answers(client: DaemonClient, path: str, ids: Sequence[str], wanted: dict[str, str]) -> Iterator[Answer]:
    """Of as many requests as it takes."""
    for start in range(0, len(ids), _AT_ONCE):
        yield client.call("POST", path, {"ids": ids[start : start + _AT_ONCE]})
    more = not ids
    while more:
        answer = client.call("POST", path, {"filter": wanted, "limit": _AT_ONCE})
        yield answer
        more = answer["more"] and answer["changed"] > 0


def _show_which(ids: Iterable[str], done: str) -> None:
    count = 0
    for count, question_id in enumerate(ids, start=1):  # noqa: B007 - the last one is their number
        click.echo(f"{question_id} would be {done}")
    click.echo(f"{count} would be {done}", err=True)


def _client(config: Path) -> DaemonClient:
    return DaemonClient(load(config))


def _filter(status: str | None, source: str | None, reason: str | None) -> dict[str, str]:
    given = {"status": status, "source": source, "reason": reason}
    return {name: value for name, value in given.items() if value is not None}


def _pages(client: DaemonClient, wanted: dict[str, str]) -> Iterator[Answer]:
    return client.pages("/questions", "questions", wanted)
