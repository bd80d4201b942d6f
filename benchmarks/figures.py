"""Medians, percentiles, and ratios pair by pair: on a shared machine only what ran side by side can be compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all are not above (nearest rank). `ordered` is sorted."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the two that lie outermost."""

    middle: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.lowest:.2f}–{self.highest:.2f})"

    def whole(self) -> str:
        return f"{self.middle:,.0f} ({self.lowest:,.0f}–{self.highest:,.0f})"


def ratios(ours: Sequence[float], baseline: Sequence[float]) -> Spread:
    """Round by round, as both of a pair were measured one right after the other."""
    return Spread.of([a / b for a, b in zip(ours, baseline, strict=True)])
