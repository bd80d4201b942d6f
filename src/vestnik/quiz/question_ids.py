"""Ids of questions: UUIDs of version 7 (RFC 9562, 5.7), in the order in which they are made."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from uuid import UUID

from vestnik.quiz.model import QuestionId

_RANDOM_BITS = 62
_SEQUENCE_BITS = 12
_VERSION, _VARIANT = 7 << 76, 0b10 << 62


class QuestionIds:
    """Not for several threads. A clock that is set back is waited out by counting on."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._clock = clock
        self._last = 0  # the millisecond and the sequence below it, as one number

    def next(self) -> QuestionId:
        now = int(self._clock() * 1000) << _SEQUENCE_BITS
        self._last = max(now, self._last + 1)
        millisecond, sequence = self._last >> _SEQUENCE_BITS, self._last & ((1 << _SEQUENCE_BITS) - 1)
        number = millisecond << 80 | _VERSION | sequence << 64 | _VARIANT | secrets.randbits(_RANDOM_BITS)
        return QuestionId(str(UUID(int=number)))
