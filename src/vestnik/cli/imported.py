"""What every import of files has in common: how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vestnik.errors import VestnikError


class InMaintenance(VestnikError):
    code = "in_maintenance"


@dataclass
class Imported:
    """What came of it. `failed` says by file why it was not read to its end."""

    failed: dict[str, str] = field(default_factory=dict[str, str])
    stopped: str | None = None  # why it ended before its time
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        return not self.failed and self.stopped is None

    def result(self) -> dict[str, Any]:
        return {"failed": dict(self.failed), "stopped": self.stopped, "seconds": round(self.seconds, 1)}

    def stops(self, *, interrupted: bool, maintenance: bool) -> bool:
        """Whether it has to end before its time, now or since it was last asked."""
        if interrupted:
            self.stopped = "it was interrupted"
        elif maintenance:
            self.stopped = "maintenance began"
        return self.stopped is not None
