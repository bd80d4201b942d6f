"""The one way in: what a source fetched is screened and stored, and counted by outcome and rule (Q3, Q9).

Screening is work for the processor, and runs in a thread in slices, one at a time for all sources: it takes the
interpreter's lock from the event loop for a few milliseconds at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from vestnik.quiz.model import Candidate, Licence, Origin, QuestionId, Reason, Source, Timestamp
from vestnik.quiz.question_ids import QuestionIds
from vestnik.quiz.screening import rules
from vestnik.quiz.screening.rules import switched_off
from vestnik.quiz.screening.screening import Refused, Screened, Screening
from vestnik.quiz.store import intake as store
from vestnik.quiz.store.intake import Known, NewQuestion, Stored
from vestnik.runtime.clock import wall
from vestnik.storage.database import Database

SLICE = 100  # candidates: 10 ms of screening, and half of that for writing


@dataclass(slots=True)
class TakeReport:
    """What became of candidates. The rules are given by name; one candidate can be raw under several."""

    ready: int = 0
    raw: int = 0
    refused: int = 0
    fixed: int = 0  # of those kept: something was repaired by itself
    demoted: int = 0  # of those kept before: the same text came with another answer, so they became raw
    raw_by_rule: dict[str, int] = field(default_factory=dict)
    refused_by_rule: dict[str, int] = field(default_factory=dict)
    fixed_by_rule: dict[str, int] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        return self.ready + self.raw + self.refused

    def refuse(self, rule: rules.Rule) -> None:
        self.refused += 1
        _count(self.refused_by_rule, rule)

    def keep(self, reasons: Sequence[Reason], repaired: Sequence[rules.Rule]) -> None:
        self.raw += bool(reasons)
        self.ready += not reasons
        self.fixed += bool(repaired)
        for reason in reasons:
            _count(self.raw_by_rule, rules.BY_CODE[reason.code])
        for rule in repaired:
            _count(self.fixed_by_rule, rule)

    def add(self, other: TakeReport) -> None:
        for name in ("ready", "raw", "refused", "fixed", "demoted"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("raw_by_rule", "refused_by_rule", "fixed_by_rule"):
            mine: dict[str, int] = getattr(self, name)
            for rule, count in getattr(other, name).items():
                mine[rule] = mine.get(rule, 0) + count


def _count(by_rule: dict[str, int], rule: rules.Rule) -> None:
    by_rule[rule.name] = by_rule.get(rule.name, 0) + 1


class Observer(Protocol):
    """Told of every slice that is on disk."""

    def took(self, source: str, report: TakeReport) -> None: ...


class Intake:
    """Safe for several sources at once: a text is looked up and stored in one transaction."""

    def __init__(
        self, database: Database, *, observer: Observer | None = None, clock: Callable[[], Timestamp] = wall
    ) -> None:
        self._database = database
        self._observer = observer
        self._clock = clock
        self._ids = QuestionIds(clock)
        self._screening = asyncio.Lock()

    async def take(self, origin: Origin, candidates: Sequence[Candidate]) -> TakeReport:
        """Screen and store. Returns when all is on disk; raises StoreUnavailable, and what was stored by then stays.

        Taking the same again is harmless: it is known by its hash. Give any number; it is worked off in slices.
        """
        report = TakeReport()
        for start in range(0, len(candidates), SLICE):
            part = await self._take(origin, candidates[start : start + SLICE])
            if self._observer:
                self._observer.took(origin.name, part)
            report.add(part)
        return report

    async def _take(self, origin: Origin, candidates: Sequence[Candidate]) -> TakeReport:
        ids = [self._ids.next() for _ in candidates]
        async with self._screening:
            # Several threads at once would only take turns, and make the event loop wait for each of them.
            results = await asyncio.to_thread(_screened, origin, candidates, ids, self._clock())
        new = [result.question for result in results if isinstance(result, _Kept)]
        outcomes = iter(await self._database.write(partial(store.store, new=new)))
        report = TakeReport()
        for result in results:
            if isinstance(result, Refused):
                report.refuse(result.rule)
            else:
                _note(report, next(outcomes), result.repaired)
        return report


@dataclass(frozen=True, slots=True)
class _Kept:
    question: NewQuestion
    repaired: tuple[rules.Rule, ...]


def _screened(
    origin: Origin, candidates: Sequence[Candidate], ids: Sequence[QuestionId], now: Timestamp
) -> list[_Kept | Refused]:
    screening = Screening(origin)
    licence = Licence(spdx=origin.licence, attribution=origin.attribution) if origin.licence else None
    off = switched_off(origin.screening)
    results: list[_Kept | Refused] = []
    for id_, candidate in zip(ids, candidates, strict=True):
        found = screening.screen(candidate)
        if isinstance(found, Screened):
            source = _source(origin, candidate, now)
            question = NewQuestion.of(id_, found.content, found.reasons, source, licence, off)
            results.append(_Kept(question, found.repaired))
        else:
            results.append(found)
    return results


def _source(origin: Origin, candidate: Candidate, now: Timestamp) -> Source:
    return Source(
        name=origin.name,
        url=origin.url,
        external_id=candidate.external_id,
        author=candidate.author,
        references=candidate.references,
        fetched_at=now,
    )


def _note(report: TakeReport, outcome: Stored | Known, repaired: Sequence[rules.Rule]) -> None:
    if isinstance(outcome, Stored):
        report.keep(outcome.reasons, repaired)
    else:
        report.refuse(rules.DUPLICATE)
        report.demoted += outcome.demoted
