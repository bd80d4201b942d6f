"""`vestnik jobs`: what runs when, and how it did."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from vestnik.cli.answer import Answer
from vestnik.cli.http import DaemonClient
from vestnik.cli.options import config_option, json_option, print_json, print_table
from vestnik.configuration import load


def _client(config: Path) -> DaemonClient:
    return DaemonClient(load(config))


@click.group()
def jobs() -> None:
    """Look at jobs; run, pause, start, stop or reset one."""


@jobs.command("list")
@config_option
@json_option
def list_jobs(config: Path, as_json: bool) -> None:
    """Show all jobs, when they run and how their last run went."""
    found = _client(config).get("/jobs").many("jobs", Answer)
    if as_json:
        print_json(found)
        return
    header = ("name", "state", "runs", "next_run_at", "last_run_at", "last_outcome", "last_error")
    print_table(header, [_row(job) for job in found])


def _row(job: Answer) -> tuple[object, ...]:
    outcome = "running" if job["running"] else job["lastOutcome"]
    # An error that a later run made good is in --json only: at night one looks for what is wrong now.
    error = None if job["lastOutcome"] == "succeeded" else job["lastError"]
    return job["name"], _state(job), _runs(job), job["nextRunAt"], job["lastRunAt"], outcome, error


def _state(job: Answer) -> str:
    return f"{job['state']} until {job['startAt']}" if job["startAt"] else str(job["state"])


def _runs(job: Answer) -> str:
    """When it does; with a star where that is not what the configuration says."""
    plan = f"every {job['interval']} ms" if job["mode"] == "TIMER" else f"{job['schedule']} ({job['timezone']})"
    return f"{plan} *" if job["changed"] else plan


@jobs.command()
@click.argument("name")
@config_option
@json_option
def run(name: str, config: Path, as_json: bool) -> None:
    """Run a job now, beside its plan. Returns when the run has begun."""
    found = _call(config, "POST", name, "run")
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found['name']} has begun to run")


@jobs.command()
@click.argument("name")
@config_option
@json_option
def reset(name: str, config: Path, as_json: bool) -> None:
    """Undo what was changed of a job while the daemon ran: it works as the configuration says."""
    _tell(_call(config, "POST", name, "reset"), as_json)


@jobs.command()
@click.argument("name")
@click.option("--start-at", metavar="TIME", help="Start again then; such as 2026-01-31T12:00:00Z.")
@config_option
@json_option
def pause(name: str, start_at: str | None, config: Path, as_json: bool) -> None:
    """Begin no run of a job until it is started, or until a time; a run under way goes on."""
    body = {"action": "PAUSE", **({"startAt": start_at} if start_at is not None else {})}
    _tell(_call(config, "PUT", name, "state", body), as_json)


@jobs.command()
@click.argument("name")
@config_option
@json_option
def start(name: str, config: Path, as_json: bool) -> None:
    """Let a paused or stopped job work again."""
    _tell(_call(config, "PUT", name, "state", {"action": "START"}), as_json)


@jobs.command()
@click.argument("name")
@config_option
@json_option
def stop(name: str, config: Path, as_json: bool) -> None:
    """Stop a job, and the run under way."""
    _tell(_call(config, "PUT", name, "state", {"action": "STOP"}), as_json)


def _call(config: Path, method: str, name: str, what: str, body: Any = None) -> Answer:
    return _client(config).call(method, f"/jobs/{quote(name, safe='')}/{what}", body).having("name", "state")


def _tell(job: Answer, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    following = f", next run at {job['nextRunAt']}" if job["nextRunAt"] else ""
    click.echo(f"{job['name']} is {_state(job)}, {_runs(job)}{following}")
