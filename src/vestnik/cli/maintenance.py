"""`vestnik maintenance on|off|status` (D4): works while the daemon is down, too."""

from __future__ import annotations

import time
from pathlib import Path

import click

from vestnik.cli.options import config_option, json_option, one_line, print_json
from vestnik.configuration import load
from vestnik.errors import VestnikError
from vestnik.runtime.clock import iso
from vestnik.runtime.instance import InstanceLock
from vestnik.runtime.maintenance import Flag, MaintenanceFlag

PATIENCE = 10.0  # seconds for a running daemon to act


class NotActedOn(VestnikError):
    code = "not_acted_on"


@click.command()
@click.argument("action", type=click.Choice(["on", "off", "status"]))
@click.option("--reason", default="", help="Shown by `status`.")
@config_option
@json_option
def maintenance(action: str, reason: str, config: Path, as_json: bool) -> None:
    """Set or show the maintenance flag. In maintenance sends are answered 503 and nothing is delivered.

    Returns when a running daemon has acted on it: nothing is taken in or begun any more. Deliveries under way may
    still end; `status` tells how many there are.
    """
    state_dir = load(config).settings.service.state_dir
    flags, lock = MaintenanceFlag(state_dir), InstanceLock(state_dir)
    if action != "status":
        flag = flags.set(on=action == "on", reason=reason)
        _wait(flags, flag, lock)
    running = lock.held_by_another()
    flag, seen = flags.read(), flags.acknowledged()
    known = running and flag.on and seen.revision == flag.revision
    _print(flag, running=running, under_way=seen.under_way if known else None, as_json=as_json)


def _wait(flags: MaintenanceFlag, flag: Flag, lock: InstanceLock) -> None:
    """Raises NotActedOn when a daemon runs and does not see the flag."""
    until = time.monotonic() + PATIENCE
    while flags.acknowledged().revision != flag.revision and lock.held_by_another():
        if time.monotonic() > until:
            raise NotActedOn(f"the flag is set, but the daemon has not acted on it within {PATIENCE:.0f} s")
        time.sleep(0.02)


def _print(flag: Flag, *, running: bool, under_way: int | None, as_json: bool) -> None:
    """`under_way`: deliveries that had begun before, and may still end."""
    since = iso(flag.since or None)
    if as_json:
        found = {"maintenance": flag.on, "reason": flag.reason, "since": since, "daemon_running": running}
        print_json({**found, "under_way": under_way})
        return
    state = "on" if flag.on else "off"
    details = [
        f"since {since}" if since else "",
        " ".join(one_line(flag.reason).split()),
        "" if running else "the daemon is not running",
    ]
    if under_way:
        details.append(f"{under_way} {'delivery is' if under_way == 1 else 'deliveries are'} still under way")
    click.echo("; ".join(filter(None, [f"maintenance is {state}", *details])))
