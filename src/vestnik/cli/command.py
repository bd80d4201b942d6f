"""The command `vestnik` and how its sub-commands find the configuration, print, and fail."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from vestnik.cli import clients, jobs, keys, maintenance, messages, quiz, serving, trace
from vestnik.errors import ExitCode, VestnikError


class _Commands(click.Group):
    """Turns errors into one readable line (or one a problem) and the exit code that says what kind it was."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VestnikError as error:
            click.echo(str(error), err=True)
            sys.exit(error.exit_code)
        except BrokenPipeError:
            sys.exit(ExitCode.FAILED)
        except OSError as error:  # somebody else's state directory, a full disk
            click.echo(": ".join(filter(None, (error.filename, error.strerror))) or str(error), err=True)
            sys.exit(ExitCode.FAILED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vestnik")
def main() -> None:
    """Gets messages out: now, later or on schedule."""
    os.umask(0o077)  # whatever is written, messages and logs are nobody else's business


for command in (
    serving.serve,
    serving.check,
    maintenance.maintenance,
    messages.send,
    messages.messages,
    messages.channels,
    trace.trace,
    jobs.jobs,
    quiz.quiz,
    clients.clients,
    keys.token,
    keys.keys,
):
    main.add_command(command)
