"""How long the machine runs, and what a run saw: seconds among all the tests, minutes with VESTNIK_TORTURE=1."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

LONG = os.environ.get("VESTNIK_TORTURE") == "1"
MOST_ROUNDS = 10
LONGEST = 3600.0 if LONG else 600.0  # seconds for one test; a failure is made small first

_HEAD = "| what ran | examples | comparisons | seconds | |\n| --- | ---: | ---: | ---: | --- |"


def search(short: int, long: int, *, shrink: bool = True) -> settings:
    """The short form is seeded. `shrink` makes what failed as small as it can be."""
    return settings(
        max_examples=long if LONG else short,
        stateful_step_count=40,
        derandomize=not LONG,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def search_until(enough: Callable[[], bool], tried: type[RuleBasedStateMachine], settings: settings) -> None:
    """Round after round, until `enough`.

    Hypothesis draws what it finds as constants in whatever modules were imported, so that the same seed sees other
    events among all the tests than alone: one round is enough nearly always, not always.
    """
    for number in range(MOST_ROUNDS):
        run_state_machine_as_test(tried if LONG else seed(number)(tried), settings=settings)
        if enough():
            break


@dataclass
class Run:
    """Of many examples, each with a store of its own."""

    name: str
    examples: int = 0
    comparisons: int = 0  # of all rows with the books
    happened: Counter[StrEnum] = field(default_factory=Counter)
    seconds: float = 0.0
    note: str = ""

    def text(self) -> str:
        return f"| {self.name} | {self.examples:,} | {self.comparisons:,} | {self.seconds:.1f} | {self.note} |"


def table(runs: list[Run]) -> str:
    return "\n".join([_HEAD, *(run.text() for run in runs)])
