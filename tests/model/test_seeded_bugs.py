"""The machine catches every bug that is put into the store, by the invariant that it breaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from delivery_machine import machine
from invariants import Broken, Invariant
from runs import LONGEST, Run, search, search_until
from seeded_bugs import SEEDED_BUGS
from service_under_test import ServiceUnderTest
from under_test import StoreUnderTest

pytestmark = pytest.mark.timeout(LONGEST)


@pytest.mark.parametrize(
    ("bug", "invariant"), [pytest.param(bug, broken, id=bug.__name__) for bug, broken in SEEDED_BUGS.items()]
)
def test_a_seeded_bug_is_caught(
    bug: type[StoreUnderTest] | type[ServiceUnderTest], invariant: Invariant, template: Path, tmp_path: Path, run: Run
) -> None:
    tried = machine(lambda clock: bug(template, tmp_path, clock), run)
    with pytest.raises(Broken) as caught:
        search_until(lambda: False, tried, search(500, 1_000, shrink=False))
    assert caught.value.invariant is invariant
    run.note = f"caught by {invariant.name}"


def test_every_invariant_has_a_bug_that_breaks_it() -> None:
    assert set(SEEDED_BUGS.values()) == set(Invariant)
