"""What the long form prints: a row for each kind of trouble."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from audit import Audit

#: Set to 1 for the long form.
LONG = os.environ.get("VESTNIK_TORTURE") == "1"

_HEAD = "| trouble | times | answered 204 | lost | copies | marked | stored without an answer | seconds | |"


def times(short: int, long: int) -> int:
    """How often to do it: seldom among all the tests, often in `make torture`."""
    return long if LONG else short


@dataclass
class Row:
    trouble: str
    times: int = 0
    note: str = ""
    audits: list[Audit] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def add(self, audit: Audit) -> None:
        """Raises AssertionError unless it is sound; it counts in any case."""
        self.audits.append(audit)
        audit.assert_sound()

    def text(self) -> str:
        sums = {
            name: sum(getattr(audit, name) for audit in self.audits)
            for name in ("acknowledged", "copies", "marked", "stored_unanswered")
        }
        lost = sum(len(audit.lost) for audit in self.audits)
        return (
            f"| {self.trouble} | {self.times} | {sums['acknowledged']:,} | {lost} | {sums['copies']} | {sums['marked']}"
            f" | {sums['stored_unanswered']} | {self.seconds:.0f} | {self.note} |"
        )


def table(rows: list[Row]) -> str:
    return "\n".join([_HEAD, "| --- |" + " ---: |" * 7 + " --- |", *(row.text() for row in rows)])
