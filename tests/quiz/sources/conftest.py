from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sites import Site

from vestnik.quiz.sources.pace import Paces
from vestnik.quiz.sources.reader import Reader
from vestnik.quiz.sources.source import Shared


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.server.start_server()
    yield made
    await made.server.close()


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    made = Reader()
    yield made
    await made.close()


@pytest.fixture
def shared(reader: Reader) -> Shared:
    return Shared(reader, Paces())
