"""One run of a source: what it fetched is screened and stored, and told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from vestnik.errors import StoreUnavailable
from vestnik.quiz.collection import LONGEST_NAMED, MOST_NAMED, Collection
from vestnik.quiz.intake import Intake, TakeReport
from vestnik.quiz.model import Candidate, Origin
from vestnik.quiz.sources.source import Page, Source, SourceFailed, Unreadable
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade

ORIGIN = Origin(name="letters", url="https://quiz.example.org/", language="en", licence="CC-BY-SA-4.0")


class Given(Source):
    """Gives the pages it was made with, then raises what it was made with."""

    def __init__(self, pages: Sequence[Page], error: Exception | None = None) -> None:
        self._pages = pages
        self._error = error
        self.ended = False
        self.closed = False

    async def pages(self) -> AsyncGenerator[Page]:
        try:
            for page in self._pages:
                yield page
            if self._error:
                raise self._error
        finally:
            self.ended = True

    async def close(self) -> None:
        self.closed = True


class FakeRun:
    def __init__(self, *, ends_after: int = 1000) -> None:
        self.results: list[Mapping[str, Any]] = []
        self._ends_after = ends_after
        self.has_to_end = False

    @property
    def ending(self) -> bool:
        return self.has_to_end or len(self.results) >= self._ends_after

    def report(self, result: Mapping[str, Any]) -> None:
        self.results.append(result)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = Database(None)
    await opened.open()
    await opened.maintain(upgrade)
    yield opened
    await opened.close()


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database)


def page(where: str, *candidates: Candidate, unreadable: int = 0) -> Page:
    return Page(where, candidates, tuple(Unreadable(f"line {n}", "it has no text") for n in range(1, unreadable + 1)))


def good(letter: str, **changes: Any) -> Candidate:
    text = f"Which letter of the alphabet looks like the shape of {letter * 3}?"
    return Candidate(**{"text": text, "correct": (f"Shape {letter}",), "incorrect": ("x1", "y2", "z3"), **changes})


async def collected(intake: Intake, source: Given, run: FakeRun | None = None) -> Mapping[str, Any]:
    run = run or FakeRun()
    await Collection(source, ORIGIN, intake).run(run)
    return run.results[-1]


async def test_a_run_says_what_it_fetched_kept_left_raw_refused_and_why(intake: Intake) -> None:
    first = page("p1", good("a"), good("b", incorrect=("x1", "x1", "y2")), good("c", correct=()), unreadable=1)
    second = page("p2", good("a"), good("d", text="Which letter of the alphabet is &quot;D&quot;, by its shape?"))
    assert await collected(intake, Given([first, second])) == {
        "pages": 2,
        "fetched": 6,
        "ready": 2,
        "raw": 1,
        "refused": 2,
        "repaired": 1,
        "unreadable": 1,
        "raw_by_rule": {"R03-repeated-option": 1},
        "refused_by_rule": {"R02-no-answer": 1, "R30-duplicate": 1},
        "repaired_by_rule": {"R10-entities": 1},
        "unreadable_records": ["p1, line 1: it has no text"],
    }


async def test_the_parts_of_a_large_page_are_one_page(intake: Intake) -> None:
    parts = [page("a"), replace(page("a", good("a")), continued=True), page("a"), page("b")]
    result = await collected(intake, Given(parts))
    assert (result["pages"], result["fetched"]) == (3, 1)


async def test_a_run_without_anything_says_so(intake: Intake) -> None:
    result = await collected(intake, Given([]))
    assert (result["pages"], result["fetched"], result["unreadable_records"]) == (0, 0, [])


async def test_what_came_before_a_failure_is_kept_and_told(intake: Intake, database: Database) -> None:
    run = FakeRun()
    source = Given([page("p1", good("a"))], SourceFailed("it is an HTML page, wanted JSON"))
    with pytest.raises(SourceFailed, match="it is an HTML page"):
        await Collection(source, ORIGIN, intake).run(run)
    assert (run.results[-1]["fetched"], run.results[-1]["ready"]) == (1, 1)
    assert (
        await database.read(lambda connection: connection.execute("SELECT count(*) FROM question").fetchone()[0]) == 1
    )
    assert source.ended


async def test_a_run_that_has_to_end_ends_after_its_page(intake: Intake) -> None:
    source = Given([page("p1", good("a")), page("p2", good("b")), page("p3", good("c"))])
    result = await collected(intake, source, FakeRun(ends_after=2))
    assert result["fetched"] == 2
    assert source.ended


class Endless(Given):
    async def pages(self) -> AsyncGenerator[Page]:
        async for page in super().pages():
            yield page
        try:
            await asyncio.sleep(3600)
        finally:
            self.ended = True


async def test_a_run_that_has_to_end_does_not_wait_for_a_slow_far_side(intake: Intake) -> None:
    source, run = Endless([page("p1", good("a"))]), FakeRun()
    running = asyncio.create_task(collected(intake, source, run))
    async with asyncio.timeout(30):
        while not run.results:
            await asyncio.sleep(0.01)
        run.has_to_end = True
        assert (await running)["fetched"] == 1
    assert source.ended


async def test_a_run_that_is_canceled_leaves_nothing_running(intake: Intake) -> None:
    source, run = Endless([page("p1", good("a"))]), FakeRun()
    running = asyncio.create_task(collected(intake, source, run))
    async with asyncio.timeout(30):
        while not run.results:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert source.ended
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Full(Intake):
    async def take(self, origin: Origin, candidates: Sequence[Candidate]) -> TakeReport:
        raise StoreUnavailable("the disk is full")


async def test_a_store_that_takes_no_more_ends_the_run(database: Database) -> None:
    source = Given([page("p1", good("a"))])
    with pytest.raises(StoreUnavailable):
        await Collection(source, ORIGIN, Full(database)).run(FakeRun())
    assert source.ended


async def test_the_first_records_that_could_not_be_read_are_named_and_all_are_counted(intake: Intake) -> None:
    result = await collected(intake, Given([page("p\x1b1", unreadable=15), page("p" * 500, unreadable=15)]))
    assert result["unreadable"] == 30
    assert len(result["unreadable_records"]) == MOST_NAMED
    assert result["unreadable_records"][0] == "p\\x1b1, line 1: it has no text"
    assert len(result["unreadable_records"][-1]) == LONGEST_NAMED
    assert result["unreadable_records"][-1].endswith("line 5: it has no text")


async def test_a_run_is_a_line_in_the_log(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await collected(intake, Given([page("p1", good("a"), unreadable=1)]))
    lines = [record.getMessage() for record in caplog.records if record.name == "vestnik.quiz.collection"]
    assert any("collected" in line and "letters" in line for line in lines)
    assert any("p1, line 1: it has no text" in line for line in lines)


async def test_closing_closes_the_source(intake: Intake) -> None:
    source = Given([])
    await Collection(source, ORIGIN, intake).close()
    assert source.closed
