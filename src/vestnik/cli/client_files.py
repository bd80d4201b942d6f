"""Files of clients, in and out, on the database itself: whether the daemon runs or not, it costs it nothing.

Loaded only when a file is taken in or given out.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, Any, BinaryIO

import click

from vestnik.cli.imported import Imported, InMaintenance
from vestnik.cli.progress import Progress
from vestnik.cli.shared_database import shared_database
from vestnik.configuration import Configuration
from vestnik.errors import StoreUnavailable
from vestnik.mailings.clients import Clients
from vestnik.mailings.csv import exporting
from vestnik.mailings.csv.importing import ClientImport, ImportReport
from vestnik.mailings.csv.rows import BadRow, Encoding, NotClients
from vestnik.mailings.store import clients as store
from vestnik.mailings.store.clients import Wanted
from vestnik.runtime.maintenance import MaintenanceFlag

_PIECE = 64 << 10  # bytes read at once


@dataclass(frozen=True, slots=True)
class Plan:
    """`files`: paths, or - for the standard input. `errors`: where bad rows go; None: the standard error."""

    files: Sequence[str]
    encoding: Encoding
    dry_run: bool
    errors: IO[str] | None


@dataclass
class ImportedClients(Imported):
    report: ImportReport = field(default_factory=ImportReport)

    @property
    def whole(self) -> bool:
        return super().whole and not self.report.bad

    def result(self) -> dict[str, Any]:
        return {**self.report.counts(), **super().result()}


def import_files(configuration: Configuration, plan: Plan) -> ImportedClients:
    """Raises InMaintenance, DatabaseDamaged, StoreUnavailable when nothing could be begun."""
    maintenance = MaintenanceFlag(configuration.settings.service.state_dir)
    if maintenance.on:
        raise InMaintenance("in maintenance nothing is taken in")
    with Interruption() as interruption, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            database = runner.run(stack.enter_async_context(shared_database(configuration.database)))
            runner.run(database.look_at_space())
            clients = Clients(database, timezone=configuration.settings.mailings.timezone)
            return _Import(plan, clients, maintenance, interruption, runner).carry_out()
        finally:
            runner.run(stack.aclose())


class Interruption:
    """Ctrl-C: at once where a read is waited for, else when asked. As a context it takes the signal for itself."""

    def __init__(self) -> None:
        self.on = False
        self._waits = False

    def __enter__(self) -> Interruption:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Raises KeyboardInterrupt inside of it."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.on = True
        if self._waits:
            raise KeyboardInterrupt


class _Import:
    """Reads in between the event loop's runs: nothing else happens there, and Ctrl-C reaches a read that waits."""

    def __init__(
        self,
        plan: Plan,
        clients: Clients,
        maintenance: MaintenanceFlag,
        interruption: Interruption,
        runner: asyncio.Runner,
    ) -> None:
        self._plan = plan
        self._clients = clients
        self._maintenance = maintenance
        self._interruption = interruption
        self._runner = runner
        self._progress = Progress()
        self._imported = ImportedClients()

    def carry_out(self) -> ImportedClients:
        try:
            for name in self._plan.files:
                if not self._ending():
                    self._read(name)
        finally:
            self._imported.seconds = self._progress.end()
        return self._imported

    def _read(self, name: str) -> None:
        import_ = ClientImport(
            self._clients,
            on_bad=lambda bad: self._tell(name, bad),
            encoding=self._plan.encoding,
            dry_run=self._plan.dry_run,
            report=self._imported.report,
        )
        try:
            with click.open_file(name, "rb") as file:
                while not self._ending() and (piece := self._piece(file)):
                    self._runner.run(import_.feed(piece))
                    self._progress.show(self._imported.report.rows, self._imported.report.sentence)
            if not self._ending():
                self._runner.run(import_.end())
        except (NotClients, StoreUnavailable) as error:
            self._imported.failed[name] = str(error)
        except OSError as error:
            self._imported.failed[name] = error.strerror or str(error)

    def _piece(self, file: IO[bytes]) -> bytes:
        """Empty at the end, and at Ctrl-C."""
        with suppress(KeyboardInterrupt), self._interruption.waiting():
            return os.read(file.fileno(), _PIECE)
        return b""

    def _tell(self, name: str, bad: BadRow) -> None:
        line = f"{name}:{bad.line}: {bad.reason}"
        if self._plan.errors is None:
            self._progress.aside(line)
        else:
            self._plan.errors.write(f"{line}\n")

    def _ending(self) -> bool:
        return self._imported.stops(interrupted=self._interruption.on, maintenance=self._maintenance.on)


def export(configuration: Configuration, file: Path | None) -> None:
    """Into a file, which is there when it is whole, or to the standard output. Raises StoreUnavailable, OSError."""
    if file is None:
        asyncio.run(_export(configuration, sys.stdout.buffer))
        return
    part = file.with_name(f"{file.name}.part")
    with part.open("wb") as opened:
        asyncio.run(_export(configuration, opened))
    part.replace(file)


async def _export(configuration: Configuration, out: BinaryIO) -> None:
    progress, written = Progress(), 0
    try:
        async with shared_database(configuration.database) as database:
            clients = Clients(database, timezone=configuration.settings.mailings.timezone)
            all_of_them = await database.read(store.count)
            out.write(exporting.HEADER)
            async for page in clients.all_pages(Wanted()):
                out.write(exporting.lines(page))
                written += len(page)
                progress.show(written, partial("{:,} of {:,} clients".format, written, all_of_them))
            out.flush()
    finally:
        progress.end()
    click.echo(f"{written:,} clients", err=True)
