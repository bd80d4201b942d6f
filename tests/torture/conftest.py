from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from figures import LONG, Row, table
from recording_gateway import RecordingGateway
from tortured import TorturedDaemon

_ROWS = pytest.StashKey[list[Row]]()
LONGEST = 1800.0  # seconds for one test of the long form


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if LONG:
        for item in items:
            item.add_marker(pytest.mark.timeout(LONGEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if LONG:
        terminalreporter.section("figures")
        terminalreporter.write_line(table(config.stash[_ROWS]))


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Row]]:
    """Begins a row of the table; its seconds end with the test."""
    rows: list[Row] = []

    def begin(trouble: str) -> Row:
        rows.append(Row(trouble))
        return rows[-1]

    yield begin
    for begun in rows:
        begun.seconds = time.monotonic() - begun.began
    request.config.stash[_ROWS] += rows


@pytest.fixture
async def gateway() -> AsyncIterator[RecordingGateway]:
    async with RecordingGateway() as started:
        yield started


@pytest.fixture
async def daemon(tmp_path: Path, gateway: RecordingGateway) -> TorturedDaemon:
    """Not started yet: `async with daemon` does."""
    return TorturedDaemon(tmp_path, gateway.url)
