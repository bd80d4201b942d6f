"""When a mailing would go out, and who cannot get it (M5, M12): computed from windows and rates. Nothing here does I/O.

It is what happens when the far side takes everything at once and nothing else is on its way in the channel: the
messages of all clients whose windows are open share the channel's rate, those who have waited longest first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vestnik.mailings.model import Mailing, Timestamp
from vestnik.mailings.windows import Window, window
from vestnik.mailings.zones import zone


@dataclass(frozen=True, slots=True)
class Forecast:
    """`first_at`, `last_at`: None when nobody can get it."""

    clients: int
    first_at: Timestamp | None
    last_at: Timestamp | None
    expire: int  # who cannot get it before the end


@dataclass(slots=True)
class _Group:
    """The clients of one zone who have not got it, and their present or next window."""

    zone: str
    left: int
    window: Window


class _Line:
    """What goes out one after another at the channel's rate; without a rate, all at once."""

    def __init__(self, rate: float | None) -> None:
        self._pause = 0.0 if rate is None else 1 / rate  # seconds from one to the next
        self._free_at = -math.inf
        self.first: Timestamp | None = None
        self.last: Timestamp | None = None

    def send(self, wanted: int, since: Timestamp, until: Timestamp) -> int:
        """How many of those wanted go out from `since` up to, not including, `until`."""
        start = max(since, self._free_at)
        if start >= until or not wanted:
            return 0
        room = math.ceil((until - start) / self._pause - 1e-9) if self._pause else wanted
        sent = min(wanted, room)
        self._free_at = start + sent * self._pause
        self.first = start if self.first is None else self.first
        self.last = start + (sent - 1) * self._pause
        return sent


def forecast(mailing: Mailing, zones: Mapping[str, int], rate: float | None, now: Timestamp) -> Forecast:
    """`zones`: how many clients are in each. `rate`: messages a second, None for as fast as can be.

    Goes from one opening or closing of a window to the next, as long as anybody is left: hand it to a thread.
    """
    begin = max(now, mailing.start_at)
    groups = [_Group(name, clients, _window(mailing, name, begin)) for name, clients in zones.items() if clients]
    line = _Line(rate)
    changes = [at for group in groups for at in (group.window.opens_at, group.window.closes_at)]
    heapq.heapify(changes)
    while changes and changes[0] < mailing.end_at:
        since = heapq.heappop(changes)
        for group in groups:
            if group.window.closes_at <= since:
                group.window = _window(mailing, group.zone, since)
                for at in (group.window.opens_at, group.window.closes_at):
                    heapq.heappush(changes, at)
        until = min(mailing.end_at, changes[0] if changes else math.inf)
        _send(line, groups, since, until)
        groups = [group for group in groups if group.left]
        if not groups:
            break
    return Forecast(sum(zones.values()), line.first, line.last, sum(group.left for group in groups))


def _send(line: _Line, groups: Sequence[_Group], since: Timestamp, until: Timestamp) -> None:
    waiting = [group for group in groups if group.window.opens_at <= since]
    for group in sorted(waiting, key=lambda group: (group.window.opens_at, group.zone)):
        group.left -= line.send(group.left, since, until)


def _window(mailing: Mailing, name: str, moment: Timestamp) -> Window:
    if mailing.interval is None:
        return Window(moment, max(moment, mailing.end_at))
    return window(moment, mailing.interval, zone(name))
