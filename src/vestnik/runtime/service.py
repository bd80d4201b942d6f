"""The mechanics of a loop that must not die, written once: start, stop, log what it raises, back off, go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from vestnik.errors import VestnikError

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds after an error; doubled while errors go on


class Loop:
    """Runs `step` again and again in a task of its own, until stopped.

    A step that raises is logged once for each run of errors, and tried again after a pause: a bug in one part must not
    end the others, and must not flood the log.
    """

    def __init__(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self._step = step
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        failing = False
        while True:
            try:
                await self._step()
            except (Exception, asyncio.CancelledError) as error:
                if _being_stopped(error):
                    raise
                # The traceback once; while the same trouble goes on, a line for each try. A full disk has none to show.
                known = failing or isinstance(error, VestnikError)
                said = str(error) or repr(error)
                log.log(logging.ERROR, "%s failed: %s", self.name, said, exc_info=None if known else error)
                failing = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                if failing:
                    log.info("%s works again", self.name)
                failing, pause = False, FIRST_PAUSE


def _being_stopped(error: BaseException) -> bool:
    """Apart from a step that waited for what somebody else canceled: that is an error like any other."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
