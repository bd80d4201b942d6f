"""Reads answers and files in a process of its own.

What strangers wrote is parsed there and not here: a bomb ends at the limits of that process, a crash of a parser
written in C ends only it, and a large file leaves the event loop alone (design: reliability, bombs and API10).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources import frames
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.record import Unreadable
from vestnik.runtime.log import get_logger

log = get_logger(__name__)

AT_ONCE = 2  # processes; more read jobs wait
IDLE_FOR = 30.0  # seconds until a process that has nothing to read is ended
PATIENCE = 60.0  # seconds for the next batch

#: What Python needs to start. Secrets that an operator gives through the environment are not for that process.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH")


class ReadingFailed(Exception):
    """The text says why; it is fit for a log."""


@dataclass(frozen=True, slots=True)
class Batch:
    candidates: tuple[Candidate, ...]
    unreadable: tuple[Unreadable, ...]
    next: str | None = None  # in the last one, which has nothing else: the link or cursor that leads to the next page


class Reader:
    """Shared by all sources. Processes are started when there is something to read. Close it at the end."""

    def __init__(self, *, at_once: int = AT_ONCE, patience: float = PATIENCE, idle_for: float = IDLE_FOR) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._patience = patience
        self._idle_for = idle_for
        self._idle: list[_Process] = []
        self._tidying: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._tidying is not None:
            self._tidying.cancel()
        self._end_idle()
        await asyncio.gather(*self._ending)

    async def read(self, job: Job, body: bytes = b"") -> AsyncGenerator[Batch]:
        """Batches, at least one. Raises ReadingFailed, after what could be read before."""
        async with self._process() as process, aclosing(process.read(job, body, self._patience)) as batches:
            async for batch in batches:
                yield batch

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[_Process]:
        async with self._places:
            process = self._take_idle() or await _Process.start()
            try:
                yield process
            finally:
                if process.is_free:
                    self._keep(process)
                else:  # it broke, took too long, or its reader went away: nobody knows what it will say next
                    self._end(process)

    def _take_idle(self) -> _Process | None:
        """One that still lives: the system may have ended it to have its memory."""
        while self._idle:
            process = self._idle.pop()
            if process.lives:
                return process
            self._end(process)
        return None

    def _keep(self, process: _Process) -> None:
        self._idle.append(process)
        if self._tidying is not None:
            self._tidying.cancel()
        self._tidying = asyncio.get_running_loop().call_later(self._idle_for, self._end_idle)

    def _end_idle(self) -> None:
        self._tidying = None
        while self._idle:
            self._end(self._idle.pop())

    def _end(self, process: _Process) -> None:
        ending = asyncio.create_task(process.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - `start` asked for both
        assert process.stdout is not None  # noqa: S101
        self._process = process
        self._input, self._output = process.stdin, process.stdout
        self.is_free = True  # the last job was read to its end

    @classmethod
    async def start(cls) -> _Process:
        """Raises ReadingFailed."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the working directory is no place to import from
                "-m",
                "vestnik.quiz.sources.reader_process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
            )
        except OSError as error:
            raise ReadingFailed(f"the reader cannot be started: {error.strerror or error}") from None
        return cls(process)

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    async def read(self, job: Job, body: bytes, patience: float) -> AsyncGenerator[Batch]:
        self.is_free = False
        sending = asyncio.create_task(self._send(job, body))
        try:
            while "candidates" in (message := await self._receive(patience)):
                yield Batch(*_sound(message))
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        self.is_free = True
        if "bug" in message:
            log.error("reading failed", format=job.format, traceback=message["bug"])
        if "done" not in message:
            raise ReadingFailed(str(message.get("failed", _NONSENSE)))
        yield Batch((), (), message["done"]["next"])

    async def end(self) -> None:
        """At once: it holds nothing that could be lost."""
        self._input.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        # asyncio's `wait` returns at the end of all pipes, and one that nobody reads has none (cpython gh-119710).
        while await self._output.read(frames.LONGEST):
            pass
        await self._process.wait()

    async def _send(self, job: Job, body: bytes) -> None:
        self._input.write(frames.pack({"job": job.to_json(), "body": len(body)}))
        self._input.write(body)
        await self._input.drain()

    async def _receive(self, patience: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(patience):
                (length,) = frames.LENGTH.unpack(await self._output.readexactly(frames.LENGTH.size))
                if length > frames.LONGEST:
                    raise ReadingFailed(_NONSENSE)
                return _parsed(await self._output.readexactly(length))
        except TimeoutError:
            raise ReadingFailed(f"reading it took longer than {patience:g} s") from None
        except asyncio.IncompleteReadError:
            raise ReadingFailed(await self._how_it_ended()) from None

    async def _how_it_ended(self) -> str:
        code = await self._process.wait()
        if code < 0:
            return f"reading it broke the reader ({signal.Signals(-code).name})"
        return f"reading it broke the reader (exit code {code})"


_NONSENSE = "the reader answered with nonsense"


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError:
        raise ReadingFailed(_NONSENSE) from None
    if not isinstance(message, dict):
        raise ReadingFailed(_NONSENSE)
    return message


def _sound(message: dict[str, Any]) -> tuple[tuple[Candidate, ...], tuple[Unreadable, ...]]:
    try:
        return frames.unpack_batch(message)
    except (KeyError, TypeError, ValueError):
        raise ReadingFailed(_NONSENSE) from None
