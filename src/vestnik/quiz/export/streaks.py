"""What came several times in a row, so that not a question or a batch is to blame but the main server. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vestnik.quiz.export.answers import Later
from vestnik.quiz.export.batches import Settled
from vestnik.quiz.model import QuestionId

#: Questions refused in a row, none taken between, after which the export stops and they are ready again.
MOST_REFUSED = 20
#: Tries in a row after which somebody should look why nobody understands the answers. Nothing is lost meanwhile.
MOST_UNCLEAR = 5


@dataclass(frozen=True, slots=True)
class Streaks:
    refused: tuple[QuestionId, ...] = ()  # of a daemon's life: a restart forgets them, and they stay raw
    unclear: int = 0  # tries

    def settled(self, settled: Settled) -> Streaks:
        return replace(self, refused=() if settled.gone else (*self.refused, *settled.refused))

    def tried(self, later: Later | None) -> Streaks:
        """After a try of a batch; None when it is closed. A clear "later" says nothing of the tries before."""
        if later is not None and not later.unclear:
            return self
        return replace(self, unclear=0 if later is None else self.unclear + 1)

    @property
    def refuses_everything(self) -> bool:
        return len(self.refused) >= MOST_REFUSED

    @property
    def is_not_understood(self) -> bool:
        return self.unclear >= MOST_UNCLEAR
