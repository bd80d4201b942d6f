"""One run of a source: its pages are screened and stored as they come, and counted (Q1, Q3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from vestnik.quiz.intake import Intake, TakeReport
from vestnik.quiz.model import Origin
from vestnik.quiz.sources.source import Page, Source
from vestnik.runtime.log import get_logger
from vestnik.settings.problems import printable

log = get_logger(__name__)

MOST_NAMED = 20  # unreadable records in a report; all are counted
LONGEST_NAMED = 200  # characters
LOOK = 0.5  # seconds between two looks whether the run has to end
LAST_WAIT = 2.0  # seconds for an answer that is on its way then: a source may think that it was given


class Run(Protocol):
    """What a run is given: the scheduler's JobRun, or the command line's."""

    @property
    def ending(self) -> bool:
        """Finish what is in hand, and return."""

    def report(self, result: Mapping[str, Any]) -> None:
        """What has come of it so far."""


@dataclass(slots=True)
class CollectionReport:
    """What a run fetched, kept, left raw, refused, and why."""

    pages: int = 0
    fetched: int = 0  # records, those that could not be read among them
    taken: TakeReport = field(default_factory=TakeReport)
    unreadable: int = 0
    named: list[str] = field(default_factory=list[str])  # the first of the unreadable: where, and why

    def add(self, page: Page, taken: TakeReport) -> None:
        self.pages += not page.continued
        self.fetched += len(page.candidates) + len(page.unreadable)
        self.unreadable += len(page.unreadable)
        room = MOST_NAMED - len(self.named)
        self.named += [_shortened(f"{page.where}, {one.where}: {one.why}") for one in page.unreadable[:room]]
        self.taken.add(taken)

    def result(self) -> dict[str, Any]:
        """For a job's last result: values of JSON."""
        return {
            "pages": self.pages,
            "fetched": self.fetched,
            "ready": self.taken.ready,
            "raw": self.taken.raw,
            "refused": self.taken.refused,
            "repaired": self.taken.fixed,
            "unreadable": self.unreadable,
            "raw_by_rule": dict(self.taken.raw_by_rule),
            "refused_by_rule": dict(self.taken.refused_by_rule),
            "repaired_by_rule": dict(self.taken.fixed_by_rule),
            "unreadable_records": list(self.named),
        }


async def _next(pages: AsyncGenerator[Page], run: Run) -> Page | None:
    """None at the end, and when the run has to end: what is asked for just then has a moment left to come."""
    if run.ending:
        return None
    coming = asyncio.create_task(_first_of(pages))
    try:
        while not run.ending and not coming.done():
            await asyncio.wait({coming}, timeout=LOOK)
        await asyncio.wait({coming}, timeout=LAST_WAIT)
        return coming.result() if coming.done() else None
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _first_of(pages: AsyncGenerator[Page]) -> Page | None:
    async for page in pages:
        return page
    return None


def _shortened(text: str) -> str:
    """In the middle: where it is stands at the start, and what is wrong at the end. Fit for a terminal."""
    text = printable(text)
    half = LONGEST_NAMED // 2
    return text if len(text) <= LONGEST_NAMED else f"{text[:half]}…{text[1 - half :]}"


class Collection:
    """A source and what is done with its questions. `run` is a job's, and is never called while it still runs."""

    def __init__(self, source: Source, origin: Origin, intake: Intake) -> None:
        self._source = source
        self._origin = origin
        self._intake = intake

    async def close(self) -> None:
        await self._source.close()

    async def run(self, run: Run) -> None:
        """Raises SourceFailed or StoreUnavailable. What came before is kept, and `run.report` knows of it."""
        report = CollectionReport()
        try:
            async with aclosing(self._source.pages()) as pages:
                while (page := await _next(pages, run)) is not None:
                    report.add(page, await self._intake.take(self._origin, page.candidates))
                    run.report(report.result())
        finally:
            self._tell(report)
        run.report(report.result())

    def _tell(self, report: CollectionReport) -> None:
        taken = report.taken
        log.info(
            "collected",
            source=self._origin.name,
            pages=report.pages,
            fetched=report.fetched,
            ready=taken.ready,
            raw=taken.raw,
            refused=taken.refused,
            unreadable=report.unreadable,
        )
        for record in report.named:
            log.info("record left out", source=self._origin.name, record=record)
