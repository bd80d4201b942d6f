"""How often a host may be asked: one place for all sources, as a host counts the requests of all of them.

Open Trivia DB answers one request in five seconds, over all its endpoints and whatever the job.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from vestnik.delivery.sliding_window import SlidingWindow
from vestnik.runtime.clock import Clock, monotonic
from vestnik.settings.values import Rate


class HeldOff(Exception):
    """The host asked to be left alone, for longer than anybody wants to wait now."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it asked to be left alone for {seconds:.0f} s more")
        self.seconds = seconds


@dataclass(slots=True)
class _Host:
    windows: dict[Rate, SlidingWindow] = field(default_factory=dict[Rate, SlidingWindow])
    held_until: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # first come, first served


class Paces:
    """Shared by all sources."""

    def __init__(self, *, clock: Clock = monotonic) -> None:
        self._hosts: dict[str, _Host] = {}
        self._clock = clock

    def know(self, host: str, rate: Rate) -> None:
        """From now on requests to the host count for this rate, whoever makes them."""
        self._hosts.setdefault(host, _Host()).windows.setdefault(rate, SlidingWindow(rate))

    async def turn(self, host: str, rate: Rate | None, patience: float) -> None:
        """Wait until the host may be asked once more. Raises HeldOff when it asked for more than `patience` seconds."""
        known = self._hosts.setdefault(host, _Host())
        async with known.turn:
            while True:
                wait = self._wait(known, rate, patience)
                if wait <= 0:
                    break
                await asyncio.sleep(wait)  # then look again: the host may have asked for more
            now = self._clock()
            for window in known.windows.values():
                window.start(now)

    def _wait(self, host: _Host, rate: Rate | None, patience: float) -> float:
        now = self._clock()
        held = host.held_until - now
        if held > patience:
            raise HeldOff(held)
        own = host.windows[rate].wait(now) if rate in host.windows else 0.0
        return max(held, own)

    def hold(self, host: str, seconds: float) -> None:
        """The host asked for it: nobody asks it anything for so long."""
        known = self._hosts.setdefault(host, _Host())
        known.held_until = max(known.held_until, self._clock() + seconds)
