from __future__ import annotations

from collections.abc import Iterator

import pytest
from deliveries import counts_agree

from vestnik.storage.database import Connection


@pytest.fixture
def counts_agree_in_the_end(connection: Connection) -> Iterator[None]:
    yield
    assert counts_agree(connection)
