"""A second daemon, on the same state directory or on the same database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audit import audit, drained
from figures import Row
from load import Load
from recording_gateway import RecordingGateway
from tortured import TorturedDaemon

from vestnik.errors import ExitCode


async def test_a_second_daemon_on_the_same_state_or_database_leaves_at_once(
    daemon: TorturedDaemon, gateway: RecordingGateway, tmp_path: Path, row: Callable[[str], Row]
) -> None:
    figures = row("a second daemon")
    async with daemon, Load(daemon.url) as load:
        await load.more(20)
        assert daemon.process is not None
        for held in (daemon.state, daemon.database, linked(tmp_path, daemon.database)):
            code, said = await second(tmp_path, gateway.url, held)
            assert (code, said.strip()) == (ExitCode.ALREADY_RUNNING, f"{held} is in use by pid {daemon.process.pid}")
            figures.times += 1
        await load.more(20)
        await load.stop()
        await drained(daemon.database)
        found = audit(daemon.database, load.acknowledged, gateway.texts)
        figures.add(found)
        assert (found.copies, found.marked) == (0, 0)


def linked(folder: Path, database: Path) -> Path:
    link = folder / "elsewhere.db"
    link.symlink_to(database)
    return link


async def second(folder: Path, gateway: str, held: Path) -> tuple[int, str]:
    """Start another daemon on a state directory, or with one of its own on a database; its exit code and last words."""
    own = folder / f"second-{held.name}"
    own.mkdir()
    if held.suffix != ".db":
        return await TorturedDaemon(own, gateway, state=held).run("serve")
    other = TorturedDaemon(own, gateway)
    other.config.write_text(f'store: "sqlite:///{held}"\n' + other.config.read_text())
    return await other.run("serve")
