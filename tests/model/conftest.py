from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import LONG, Run, table
from under_test import make_template

_RUNS = pytest.StashKey[list[Run]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RUNS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if LONG:
        terminalreporter.section("the model test")
        terminalreporter.write_line(table(config.stash[_RUNS]))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "empty.db")


@pytest.fixture
def run(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Run]:
    """A row of the table that the long form prints."""
    caplog.set_level(logging.CRITICAL, "vestnik")  # else every event leaves a line
    begun, found = time.monotonic(), Run(request.node.callspec.id)
    yield found
    found.seconds = time.monotonic() - begun
    request.config.stash[_RUNS].append(found)
