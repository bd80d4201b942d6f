"""What the inbox page and its JSON show of arrivals and far sides: plain values, safe to encode."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vestnik.errors import InvalidInput, NotFound
from vestnik.sandbox.far_side import Arrival, FarSide, Inbox

SHOWN = 200  # arrivals on the page
SHOWN_TEXT = 20_000  # characters of one text on the page; GET /inbox has all of it


class InboxView:
    """The inbox and the far sides as one reader sees them."""

    def __init__(self, inbox: Inbox, far_sides: Iterable[FarSide]) -> None:
        self.inbox = inbox
        self._far_sides = {far_side.name: far_side for far_side in far_sides}
        # Numbers start again with the daemon; a page that stayed open tells the two runs apart by this.
        self.run = secrets.token_hex(4)
        self._last = 0

    def far_side(self, name: str) -> FarSide:
        """Raises NotFound."""
        try:
            return self._far_sides[name]
        except KeyError:
            raise NotFound(f"no far side is called {name!r}; known are {', '.join(self._far_sides)}") from None

    def arrivals(self, *, after: int = 0, far_side: str | None = None) -> list[dict[str, Any]]:
        """Oldest first. Raises InvalidInput for an unknown far side."""
        if far_side is not None and far_side not in self._far_sides:
            raise InvalidInput({"far_side": f"must be one of {', '.join(self._far_sides)}"})
        return [shown(arrival) for arrival in self.inbox.arrivals(after=after, far_side=far_side)]

    def far_sides(self) -> list[dict[str, Any]]:
        counts = Counter(arrival.far_side for arrival in self.inbox.arrivals())
        return [self.shown_far_side(far_side, counts) for far_side in self._far_sides.values()]

    def shown_far_side(self, far_side: FarSide, counts: Mapping[str, int] | None = None) -> dict[str, Any]:
        if counts is None:
            counts = {far_side.name: len(self.inbox.arrivals(far_side=far_side.name))}
        given = {} if far_side.given is None else {"given": far_side.given}
        return {
            "name": far_side.name,
            "fault": far_side.fault.value,
            "faults": [fault.value for fault in far_side.faults],
            "arrived": counts.get(far_side.name, 0),
            **given,
        }

    def clear(self) -> None:
        self._last = self._newest()
        self.inbox.clear()

    def update(self, after: int) -> dict[str, Any]:
        """What a page that has shown everything up to number `after` needs to be right again."""
        arrivals = self.inbox.arrivals()
        newer = [arrival for arrival in arrivals if arrival.number > after]
        return {
            "run": self.run,
            "oldest": arrivals[0].number if arrivals else self._last + 1,
            "newest": self._newest(),
            "arrivals": [shortened(shown(arrival)) for arrival in newer[-SHOWN:]],
            "far_sides": self.far_sides(),
        }

    def event_id(self, newest: int) -> str:
        return f"{self.run}.{newest}"

    def number_in(self, event_id: str) -> int:
        """The number up to which the holder of this id has seen everything; 0 for one of another run, or nonsense."""
        match = re.fullmatch(r"([0-9a-f]{8})\.([0-9]{1,15})", event_id)
        return int(match[2]) if match and match[1] == self.run else 0

    def _newest(self) -> int:
        arrivals = self.inbox.arrivals()
        return arrivals[-1].number if arrivals else self._last


def shown(arrival: Arrival) -> dict[str, Any]:
    arrived_at = datetime.fromtimestamp(arrival.arrived_at, UTC)
    return {
        "number": arrival.number,
        "far_side": arrival.far_side,
        "arrived_at": arrived_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "recipient": _encodable(arrival.recipient),
        "subject": None if arrival.subject is None else _encodable(arrival.subject),
        "text": _encodable(arrival.text),
        "reference": None if arrival.reference is None else _encodable(arrival.reference),
        "details": {_encodable(name): _encodable(str(value)) for name, value in arrival.details.items()},
    }


def shortened(arrival: dict[str, Any]) -> dict[str, Any]:
    """For the page: a mail may be megabytes long."""
    more = max(len(arrival["text"]) - SHOWN_TEXT, 0)
    return {**arrival, "text": arrival["text"][:SHOWN_TEXT], "more": more}


def newest_first(arrivals: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [shortened(arrival) for arrival in reversed(arrivals[-SHOWN:])]


def _encodable(text: str) -> str:
    # JSON from a client may hold half of a surrogate pair, which no page can be encoded with.
    return text.encode("utf-8", "replace").decode()
