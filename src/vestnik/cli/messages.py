"""`vestnik send`, `vestnik messages` and `vestnik channels`: what the running daemon holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from vestnik.cli.answer import Answer
from vestnik.cli.http import Answered, DaemonClient
from vestnik.cli.options import config_option, json_option, print_json, print_table
from vestnik.configuration import load
from vestnik.delivery.model import TaskState
from vestnik.delivery.store.lookup import MESSAGE_STATES
from vestnik.errors import ExitCode

ALL_FAILED = (TaskState.FAILED.value, "partial")


def _client(config: Path) -> DaemonClient:
    return DaemonClient(load(config))


@click.command()
@click.argument("channel")
@click.argument("text", default="-")
@click.option("--delay", type=int, help="Seconds to wait first.")
@click.option("--expire", type=int, help="Seconds after which it is dropped.")
@click.option("--subject", help="For e-mail.")
@config_option
def send(channel: str, text: str, delay: int | None, expire: int | None, subject: str | None, config: Path) -> None:
    """Send TEXT (or, with -, what comes on standard input) into CHANNEL; prints the message's id."""
    message = _utf8(text)
    fields = {"message": message, "delay": delay, "expire": expire, "subject": subject}
    click.echo(_client(config).post_form(f"/api/send/{quote(channel, safe='')}", fields, header="X-Message-Id"))


def _utf8(text: str) -> str:
    """The text, or what - stands for. Bytes that are not UTF-8 are refused here, not sent as something else."""
    try:
        message = sys.stdin.read() if text == "-" else text
        message.encode()
    except UnicodeError as error:
        raise click.BadParameter("the text is not UTF-8", param_hint="TEXT") from error
    return message


@click.group()
def messages() -> None:
    """Look at messages, cancel them, send them again."""


def _selection(command: Any) -> Any:
    """Options that select messages, for `list` and for bulk `cancel` and `resend`."""
    command = click.option("--channel", help="Only of this channel.")(command)
    return click.option("--state", type=click.Choice(MESSAGE_STATES), help="Only in this state.")(command)


@messages.command("list")
@_selection
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@config_option
@json_option
def list_messages(channel: str | None, state: str | None, limit: int, config: Path, as_json: bool) -> None:
    """Show messages, newest first."""
    found = [m for m, _ in zip(_select(_client(config), channel, state), range(limit), strict=False)]
    if as_json:
        print_json(found)
        return
    rows = [(m["id"], m["channel"], m["state"], m["created_at"], m["due_at"], _first_error(m)) for m in found]
    print_table(("id", "channel", "state", "created_at", "due_at", "error"), rows)


@messages.command()
@click.argument("message_id", type=int)
@config_option
@json_option
def show(message_id: int, config: Path, as_json: bool) -> None:
    """Show one message and each of its deliveries."""
    found = _client(config).get(f"/api/messages/{message_id}").having("id", "tasks")
    if as_json:
        print_json(found)
        return
    for name in (
        "id",
        "channel",
        "state",
        "created_at",
        "due_at",
        "expires_at",
        "parent_id",
        "resent_as",
        "mailing_id",
    ):
        click.echo(f"{name:<11} {found[name] if found[name] is not None else '-'}")
    click.echo()
    columns = ("recipient", "state", "attempts", "started_at", "finished_at", "maybe_sent", "error")
    print_table(columns, [[task[column] for column in columns] for task in found.many("tasks", Answer)])


@messages.command()
@click.argument("message_ids", nargs=-1, type=int)
@_selection
@click.option("--dry-run", is_flag=True, help="Only show which.")
@config_option
def cancel(message_ids: tuple[int, ...], channel: str | None, state: str | None, dry_run: bool, config: Path) -> None:
    """Cancel messages: those given, or all that the options select."""
    client = _client(config)
    _each(_chosen(client, message_ids, channel, state), dry_run, "canceled", lambda i: _cancel(client, i))


@messages.command()
@click.argument("message_ids", nargs=-1, type=int)
@_selection
@click.option("--failed", is_flag=True, help="All that failed, in whole or in part.")
@click.option("--again", is_flag=True, help="Also what was sent again already.")
@click.option("--dry-run", is_flag=True, help="Only show which.")
@config_option
def resend(
    message_ids: tuple[int, ...],
    channel: str | None,
    state: str | None,
    failed: bool,
    again: bool,
    dry_run: bool,
    config: Path,
) -> None:
    """Send messages again, to those who did not get them: those given, or all that the options select.

    What was sent again already is left out; where that failed too, the newer one is sent again in its place.
    Messages of mailings are left out, too: outside of their mailing nothing goes out.
    A recipient that the configuration does not name any more gets them, too, and is named in the output.
    """
    client = _client(config)
    if message_ids and not failed:
        chosen = list(message_ids)
    else:
        found = _selected(client, channel, ALL_FAILED if failed else (state,), "--failed, --channel or --state")
        chosen = _to_resend(found, again=again)
    _each(chosen, dry_run, "resent", lambda i: _resend(client, i, again=again))


def _to_resend(found: list[Answer], *, again: bool) -> list[int]:
    """The ids, without those of mailings and those that a newer message stands for; tells how many those are."""
    single = [message for message in found if message["mailing_id"] is None]
    parents = {message["parent_id"] for message in single}
    chosen = [m["id"] for m in single if again or (m["resent_as"] is None and m["id"] not in parents)]
    if len(single) < len(found):
        click.echo(f"{len(found) - len(single)} left out: messages of mailings", err=True)
    if len(chosen) < len(single):
        click.echo(f"{len(single) - len(chosen)} left out: sent again already", err=True)
    return chosen


def _cancel(client: DaemonClient, message_id: int) -> str:
    client.delete(f"/api/messages/{message_id}")
    return str(client.get(f"/api/messages/{message_id}")["state"])


def _resend(client: DaemonClient, message_id: int, *, again: bool) -> str:
    found = client.call("POST", f"/api/messages/{message_id}/resend" + ("?again=1" if again else ""))
    removed = ", ".join(found.many("removed", str))
    return f"as {found['id']}" + (f", also to {removed}: not configured any more" if removed else "")


def _chosen(client: DaemonClient, given: tuple[int, ...], channel: str | None, state: str | None) -> list[int]:
    if given:
        return list(given)
    return [message["id"] for message in _selected(client, channel, (state,), "--channel or --state")]


def _selected(client: DaemonClient, channel: str | None, states: Sequence[str | None], options: str) -> list[Answer]:
    """All before the first is touched: the list changes under one's feet otherwise."""
    if channel is None and not any(states):
        raise click.UsageError(f"give message ids, or {options}")
    return [message for state in states for message in _select(client, channel, state)]


def _each(chosen: list[int], dry_run: bool, done: str, act: Any) -> None:
    """Act on each; one that is refused does not stop the others, but the exit code tells."""
    failures = 0
    for message_id in chosen:
        if dry_run:
            click.echo(f"{message_id} would be {done}")
            continue
        try:
            click.echo(f"{message_id} {done} {act(message_id)}")
        except Answered as error:
            failures += 1
            click.echo(f"{message_id} not {done}: {error}", err=True)
    click.echo(f"{len(chosen) - failures} {'would be ' if dry_run else ''}{done}, {failures} not", err=True)
    if failures:
        sys.exit(ExitCode.FAILED)


def _select(client: DaemonClient, channel: str | None, state: str | None) -> Iterator[Answer]:
    return client.pages("/api/messages", "messages", {"channel": channel, "state": state})


def _first_error(message: Answer) -> str | None:
    return next((task["error"] for task in message.many("tasks", Answer) if task["error"]), None)


@click.group()
def channels() -> None:
    """Look at channels; hold or start one."""


@channels.command("list")
@config_option
@json_option
def list_channels(config: Path, as_json: bool) -> None:
    """Show all channels and how they do."""
    found = _client(config).get("/api/channels").many("channels", Answer)
    if as_json:
        print_json(found)
        return
    columns = ("name", "worker", "state", "waiting", "running", "oldest_due", "last_error_at", "last_error")
    print_table(columns, [[channel[column] for column in columns] for channel in found])


@channels.command()
@click.argument("name")
@click.option("--reason", help="Shown in the list.")
@config_option
def pause(name: str, reason: str | None, config: Path) -> None:
    """Hold a channel: it goes on taking messages and delivers none, also after a restart."""
    _change(config, name, {"action": "PAUSE", **({"reason": reason} if reason else {})})


@channels.command()
@click.argument("name")
@config_option
def start(name: str, config: Path) -> None:
    """Let a held channel deliver again."""
    _change(config, name, {"action": "START"})


def _change(config: Path, name: str, body: dict[str, str]) -> None:
    channel = _client(config).call("PUT", f"/api/channels/{quote(name, safe='')}/state", body)
    click.echo(f"{channel['name']} is {channel['state']}")
