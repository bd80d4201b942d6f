"""Takes in a CSV of clients as it comes: a thousand rows a transaction, so what was read by an interruption stays.

What waits for a client follows in the transaction that changes it: the more mailings run, the fewer rows go into one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from vestnik.mailings.clients import Clients
from vestnik.mailings.csv.rows import BadRow, Encoding, RowReader, Rows
from vestnik.mailings.store.clients import Taken

AT_ONCE = 1_000  # rows of one transaction
_SLICE = 8 << 10  # bytes that are parsed at once: some two hundred rows, two milliseconds


@dataclass(slots=True)
class ImportReport:
    """What became of a file's rows by now."""

    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    bad: int = 0

    def add(self, taken: Taken) -> None:
        self.new += taken.new
        self.changed += taken.changed
        self.unchanged += taken.unchanged

    def counts(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.rows:,} rows: {self.new:,} new, {self.changed:,} changed, {self.unchanged:,} unchanged, "
            f"{self.bad:,} bad"
        )


class ClientImport:
    """For one file: `feed` it, then `end`. When something raises, `report` tells what is stored all the same."""

    def __init__(
        self,
        clients: Clients,
        *,
        on_bad: Callable[[BadRow], None],
        encoding: Encoding = "utf-8",
        dry_run: bool = False,
        report: ImportReport | None = None,
    ) -> None:
        """`report` is that of the files before, when this one is to be added to it."""
        self._clients = clients
        self._reader = RowReader(encoding)
        self._on_bad = on_bad
        self.dry_run = dry_run
        self._waiting = Rows()
        self.report = report or ImportReport()

    async def feed(self, data: bytes) -> None:
        """Return when there is room for more. Raises NotClients, StoreUnavailable."""
        for start in range(0, len(data), _SLICE):
            self._note(self._reader.feed(data[start : start + _SLICE]))
            if len(self._waiting.good) >= AT_ONCE:
                await self._take()
            else:
                await asyncio.sleep(0)  # parsing is work for the event loop: others have their turn

    async def end(self) -> ImportReport:
        """Raises NotClients, StoreUnavailable."""
        self._note(self._reader.end())
        await self._take()
        return self.report

    def _note(self, rows: Rows) -> None:
        self._waiting.good += rows.good
        self.report.bad += len(rows.bad)
        self.report.rows += len(rows.bad)
        for bad in rows.bad:
            self._on_bad(bad)

    async def _take(self) -> None:
        good, self._waiting.good = self._waiting.good, []
        while good:
            size = AT_ONCE if self.dry_run else await self._clients.taken_at_once() or AT_ONCE
            some, good = good[:size], good[size:]
            self.report.add(await self._clients.take(some, dry_run=self.dry_run))
            self.report.rows += len(some)
