"""Any order of events, thousands of times: no invariant breaks, and the run has seen everything that can happen."""

from __future__ import annotations

from pathlib import Path

import pytest
from delivery_machine import machine
from happened import Happened
from runs import LONGEST, Run, search, search_until
from service_under_test import ServiceUnderTest
from under_test import StoreUnderTest

pytestmark = pytest.mark.timeout(LONGEST)

UnderTests = type[StoreUnderTest] | type[ServiceUnderTest]


@pytest.mark.parametrize(
    ("under_test", "short", "long"),
    [
        pytest.param(StoreUnderTest, 150, 8_000, id="the store"),
        pytest.param(ServiceUnderTest, 80, 2_000, id="the service"),
    ],
)
def test_delivery_keeps_every_promise(
    under_test: UnderTests, short: int, long: int, template: Path, tmp_path: Path, run: Run
) -> None:
    tried = machine(lambda clock: under_test(template, tmp_path, clock), run)

    def unseen() -> list[Happened]:
        return [event for event in Happened if not run.happened[event]]

    search_until(lambda: not unseen(), tried, search(short, long))
    assert unseen() == []
    rarest = min(Happened, key=run.happened.__getitem__)
    run.note = f"rarest: {rarest}, {run.happened[rarest]} times"
