"""A start that fails in the middle, when some channels are delivering."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audit import audit, drained
from figures import Row
from load import Load
from recording_gateway import RecordingGateway
from tortured import TorturedDaemon

from vestnik.errors import ExitCode


async def test_a_start_that_fails_in_the_middle_ends_and_loses_nothing(
    daemon: TorturedDaemon, gateway: RecordingGateway, row: Callable[[str], Row]
) -> None:
    figures = row("a start that fails in the middle")
    gateway.down = True
    async with daemon, Load(daemon.url) as load:
        await load.some(200, status=204)
        await load.stop()
        await daemon.terminate()
        gateway.down = False
        configured = daemon.config.read_text()
        daemon.config.write_text(f'{configured}  broken: {{worker: "null"}}\n')
        daemon.program = [str(Path(__file__).with_name("half_started_daemon.py"))]
        assert not await daemon.starts()
        assert await daemon.ended() == ExitCode.FAILED
        assert "this worker cannot be started" in daemon.said
        figures.times += 1
        daemon.config.write_text(configured)
        daemon.program = ("-m", "vestnik")
        await daemon.start()
        await drained(daemon.database)
        found = audit(daemon.database, load.acknowledged, gateway.texts)
        figures.add(found)
        assert (found.copies, found.marked) == (0, 0)
