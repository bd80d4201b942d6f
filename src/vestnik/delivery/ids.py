"""Ids of messages and tasks: time-ordered integers made in the process, within 53 bits, never given out twice.

Milliseconds since 2025 (41 bits, until 2094), the daemon's number (4 bits), a sequence (8 bits). More than 256 in one
millisecond borrow from the next ones. The database keeps a ceiling (`store.intake.raise_ceiling`), so that neither a
clock that was set back nor deleted rows bring an id again.
"""

from __future__ import annotations

from collections.abc import Callable

EPOCH = 1_735_689_600.0  # 2025-01-01 UTC
MAX_NODE = 15
_NODE_BITS = 4
_SEQUENCE_BITS = 8
_LOW_BITS = _NODE_BITS + _SEQUENCE_BITS
RESERVE = 10_000 << _LOW_BITS  # ten seconds of ids: how far ahead the ceiling is written


class IdFactory:
    """Not for several threads: ids are made in the event loop."""

    def __init__(self, clock: Callable[[], float], *, node: int = 0, above: int = 0) -> None:
        """`above` is the ceiling that the database holds."""
        self._clock = clock
        self._node = node << _SEQUENCE_BITS
        self._millisecond = (above >> _LOW_BITS) + 1
        self._sequence = 0

    def next(self) -> int:
        now = int((self._clock() - EPOCH) * 1000)
        if now > self._millisecond:
            self._millisecond, self._sequence = now, 0
        elif self._sequence >> _SEQUENCE_BITS:
            self._millisecond, self._sequence = self._millisecond + 1, 0
        made = self._millisecond << _LOW_BITS | self._node | self._sequence
        self._sequence += 1
        return made
