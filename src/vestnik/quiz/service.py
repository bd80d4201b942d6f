"""Moderation (Q13): what administrators may do with questions, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from vestnik.errors import Conflict, InvalidInput, NotFound
from vestnik.quiz.model import Content, Origin, Question, Timestamp
from vestnik.quiz.screening import rules
from vestnik.quiz.screening.rules import switched_off
from vestnik.quiz.screening.screening import Refused, Screened, screen
from vestnik.quiz.store import intake, moderation
from vestnik.quiz.store.intake import NewQuestion
from vestnik.quiz.store.moderation import Decided, Filter, Page
from vestnik.runtime.clock import wall
from vestnik.storage.database import Connection, Database

MOST_AT_ONCE = 10_000  # questions that one request decides
_STEP = 100  # of them in one write

#: A person types what is meant: `&amp;` and `<b>` in a question about HTML, and the capitals that it should have.
_TYPED = {rule.name: False for rule in (rules.ENTITIES, rules.MARKUP, rules.TITLE_CASE)}

Decide = Callable[[Connection, str], Decided]
Switches = Callable[[str], Mapping[str, bool]]


@dataclass(slots=True)
class Bulk:
    """What became of many at once. `skipped` says by id why; `more` is True when the limit left some out."""

    changed: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    more: bool = False


class Moderation:
    def __init__(
        self, database: Database, *, switches: Switches = lambda _: {}, clock: Callable[[], Timestamp] = wall
    ) -> None:
        """`switches` gives the screening switches of a source by its name; {} for one that is gone."""
        self._database = database
        self._switches = switches
        self._clock = clock

    async def page(self, wanted: Filter, after: str | None, limit: int) -> Page:
        return await self._database.read(lambda c: moderation.page(c, wanted, after or "", limit))

    async def find(self, question_id: str) -> Question:
        """Raises NotFound."""
        question = await self._database.read(lambda c: moderation.find(c, question_id))
        if question is None:
            raise _missing(question_id)
        return question

    async def edit(self, question_id: str, changes: Mapping[str, Any]) -> Question:
        """`changes` are fields of a Content. The result is screened like what comes from a source, and hashed anew.

        Raises NotFound; Conflict when it is on its way out or its text is known; InvalidInput when screening refuses.
        """
        if not changes:
            return await self.find(question_id)
        return await self._database.write(partial(self._edit, question_id=question_id, changes=changes))

    async def approve(self, question_id: str) -> Question:
        """Raises NotFound."""
        await self._database.write(lambda c: _done(question_id, moderation.approve(c, question_id)))
        return await self.find(question_id)

    async def reject(self, question_id: str) -> None:
        """Raises NotFound, and Conflict when it is on its way out."""
        now = self._clock()
        await self._database.write(lambda c: _done(question_id, moderation.reject(c, question_id, now)))

    async def approve_many(self, ids: Sequence[str]) -> Bulk:
        return await self._decide_each(ids, moderation.approve)

    async def reject_many(self, ids: Sequence[str]) -> Bulk:
        return await self._decide_each(ids, self._rejection())

    async def approve_matching(self, wanted: Filter, limit: int) -> Bulk:
        return await self._decide_matching(wanted, limit, moderation.approve)

    async def reject_matching(self, wanted: Filter, limit: int) -> Bulk:
        return await self._decide_matching(wanted, limit, self._rejection())

    def _rejection(self) -> Decide:
        return partial(moderation.reject, now=self._clock())

    async def _decide_each(self, ids: Sequence[str], decide: Decide) -> Bulk:
        bulk = Bulk()
        for start in range(0, len(ids), _STEP):
            step = ids[start : start + _STEP]
            _note(bulk, await self._database.write(partial(_decide, ids=step, decide=decide)))
        return bulk

    async def _decide_matching(self, wanted: Filter, limit: int, decide: Decide) -> Bulk:
        """In the order of their ids, so that what cannot be decided is passed by once."""
        bulk, after = Bulk(), ""
        for start in range(0, limit, _STEP):
            page = await self.page(wanted, after, min(_STEP, limit - start))
            ids = [question.id for question in page.questions]
            _note(bulk, await self._database.write(partial(_decide, ids=ids, decide=decide)))
            bulk.more = page.next is not None
            if page.next is None:
                break
            after = page.next
        return bulk

    def _edit(self, connection: Connection, question_id: str, changes: Mapping[str, Any]) -> Question:
        old = moderation.find(connection, question_id)
        if old is None:
            raise _missing(question_id)
        if old.batch_id is not None:
            raise _on_its_way(question_id)
        switches = {**self._switches(old.source.name), **_TYPED}
        screened = _screened(replace(old.content, **changes), old, switches)
        new = NewQuestion.of(
            old.id, screened.content, screened.reasons, old.source, old.licence, switched_off(switches)
        )
        _refuse_known(connection, new)
        return moderation.replace(connection, old, new, new.reasons + intake.near_reasons(connection, new))


def _screened(content: Content, old: Question, switches: Mapping[str, bool]) -> Screened:
    origin = Origin(name=old.source.name, licence=old.licence.spdx if old.licence else None, screening=switches)
    screened = screen(content.as_candidate(), origin)
    if isinstance(screened, Refused):
        where = "correct_answers" if screened.rule is rules.NO_ANSWER else "text"
        raise InvalidInput({where: f"is refused: {screened.rule.description} ({screened.rule.name})"})
    return screened


def _refuse_known(connection: Connection, new: NewQuestion) -> None:
    if intake.is_past(connection, new.hashes):
        raise Conflict("a question with this text was sent or rejected before")
    kept = intake.find_kept(connection, new.hashes)
    if kept is not None and kept["id"] != new.id:
        raise Conflict(f"question {kept['id']} has this text")


def _decide(connection: Connection, ids: Sequence[str], decide: Decide) -> list[tuple[str, Decided]]:
    return [(question_id, decide(connection, question_id)) for question_id in ids]


def _note(bulk: Bulk, decided: Sequence[tuple[str, Decided]]) -> None:
    for question_id, what in decided:
        problem = _problem(question_id, what)
        if problem is None:
            bulk.changed += 1
        else:
            bulk.skipped[question_id] = str(problem)


def _done(question_id: str, decided: Decided) -> None:
    if problem := _problem(question_id, decided):
        raise problem


def _problem(question_id: str, decided: Decided) -> NotFound | Conflict | None:
    match decided:
        case Decided.DONE:
            return None
        case Decided.MISSING:
            return _missing(question_id)
        case Decided.ON_ITS_WAY:
            return _on_its_way(question_id)


def _missing(question_id: str) -> NotFound:
    return NotFound(f"there is no question {question_id} (any more)")


def _on_its_way(question_id: str) -> Conflict:
    return Conflict(f"question {question_id} is on its way to the main server")
