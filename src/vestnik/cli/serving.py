"""`vestnik serve` and `vestnik check`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from vestnik.cli.options import config_option
from vestnik.configuration import load


@click.command()
@config_option
@click.option("-v", "verbosity", count=True, help="Show debug lines; twice: those of the libraries, too.")
@click.option("--debug", is_flag=True, help="As -vv, with asyncio's own checks.")
def serve(config: Path, verbosity: int, debug: bool) -> None:
    """Run the daemon in the foreground; SIGTERM ends it cleanly."""
    configuration = load(config, serving=True)
    # The rest of the daemon is imported once the configuration is right: errors show in a fifth of a second.
    import uvloop  # noqa: PLC0415

    from vestnik.daemon import Daemon, jwt_secret  # noqa: PLC0415
    from vestnik.runtime import log  # noqa: PLC0415
    from vestnik.runtime.redaction import Redactor  # noqa: PLC0415

    secret = jwt_secret(configuration)
    redact = Redactor([*configuration.secrets(), secret])
    log.configure(configuration.settings.log, verbosity=verbosity, debug=debug, redactor=redact)

    async def run() -> None:
        # Built inside the loop, to which its events belong.
        await Daemon(configuration, secret, redact).run()

    with asyncio.Runner(debug=debug, loop_factory=None if debug else uvloop.new_event_loop) as runner:
        runner.run(run())


@click.command()
@config_option
def check(config: Path) -> None:
    """Check the configuration; prints every error as file:line: key: what was found, what was wanted."""
    configuration = load(config, serving=True)
    counts = [_counted(len(configuration.channels), "channel")]
    if configuration.quiz is not None:
        counts.append(_counted(len(configuration.quiz.sources), "quiz source"))
    click.echo(f"{config}: right, {', '.join(counts)}")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
