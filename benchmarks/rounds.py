"""Comparisons are made in rounds, the two sides of a pair one right after the other: the machine's speed drifts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def interleaved(rounds: int, ours: Callable[[], T], baseline: Callable[[], T]) -> tuple[list[T], list[T]]:
    """What both gave, round by round. Every other round the baseline goes first, so that neither gains by its place."""
    found: tuple[list[T], list[T]] = ([], [])
    for number in range(rounds):
        sides = [(found[0], ours), (found[1], baseline)]
        for results, measure in sides if number % 2 == 0 else reversed(sides):
            results.append(measure())
    return found
