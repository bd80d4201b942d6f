"""One pipeline for every question, whatever its source (Q3): decode, clean, validate, flag. Pure.

What needs the other questions, duplicates and near duplicates, is looked up where they are: `store.intake`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vestnik.quiz.model import Candidate, Content, Licence, Origin, Reason
from vestnik.quiz.screening import answers, refusals, rules, wording
from vestnik.quiz.screening.cleaning import Notes
from vestnik.quiz.screening.content import content_of
from vestnik.quiz.screening.rules import Effect, Rule, switched_off

_Check = Callable[[Content], str | None]

_REFUSALS: tuple[tuple[Rule, _Check], ...] = (
    (rules.EMPTY, refusals.empty),
    (rules.NO_ANSWER, refusals.no_answer),
    (rules.TOO_LONG, refusals.too_long),
    (rules.WITHDRAWN, refusals.withdrawn),
    (rules.MEDIA, refusals.needs_media),
)
_FLAGS: tuple[tuple[Rule, _Check], ...] = (
    (rules.SYMBOLS_ONLY, answers.symbols_only),
    (rules.REPEATED_OPTION, answers.repeated_option),
    (rules.CORRECT_AMONG_INCORRECT, answers.correct_among_incorrect),
    (rules.FEW_OPTIONS, answers.few_options),
    (rules.MANY_OPTIONS, answers.many_options),
    (rules.NOT_TRUE_OR_FALSE, answers.not_true_or_false),
    (rules.ALL_OF_THE_ABOVE, answers.all_of_the_above),
    (rules.SEVERAL_CORRECT, answers.several_correct),
    (rules.LOST_LETTER, wording.lost_letter),
    (rules.URL_IN_QUESTION, wording.url_in_question),
    (rules.HOST_NOTES, wording.host_notes),
    (rules.OPTIONS_MISSING, wording.options_missing),
    (rules.LONG, wording.long),
    (rules.SHORT, wording.short),
    (rules.LONG_ANSWER, answers.long_answer),
    (rules.LONG_OPTION, answers.long_option),
    (rules.ANSWER_IN_QUESTION, wording.answer_in_question),
    (rules.TIME_DEPENDENT, wording.time_dependent),
    (rules.INDECENT, wording.indecent),
    (rules.WRONG_SCRIPT, wording.wrong_script),
    (rules.SHOUTING, wording.shouting),
    (rules.SEVERAL_QUESTIONS, wording.several_questions),
    (rules.UNKNOWN_LANGUAGE, wording.unknown_language),
)
_LONGEST_DETAIL = 100  # characters


@dataclass(frozen=True, slots=True)
class Refused:
    rule: Rule
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Screened:
    """To be stored, unless it is known: ready when there are no `reasons`, else raw."""

    content: Content
    reasons: tuple[Reason, ...] = ()
    repaired: tuple[Rule, ...] = ()


def screen(candidate: Candidate, origin: Origin) -> Screened | Refused:
    """Never raises, whatever is in the texts."""
    return Screening(origin).screen(candidate)


class Screening:
    """Of one source's candidates: what the source says about all of them is worked out once."""

    def __init__(self, origin: Origin) -> None:
        off = switched_off(origin.screening)
        self._off = off
        self._language = origin.language
        self._refusals = [(rule, check) for rule, check in _REFUSALS if rule not in off]
        self._flags = [(rule, check) for rule, check in _FLAGS if rule not in off]
        self._licence = None if rules.LICENCE in off else _licence_problem(origin)

    def screen(self, candidate: Candidate) -> Screened | Refused:
        if (found := refusals.beyond_measure(candidate)) is not None:
            return Refused(rules.TOO_LONG, found)
        if candidate.withdrawn and rules.WITHDRAWN not in self._off:
            return Refused(rules.WITHDRAWN)
        notes = Notes(self._off)
        content = content_of(candidate, self._language, notes)
        for rule, check in self._refusals:
            if (found := check(content)) is not None:
                return Refused(rule, _shown(found))
        return Screened(content, self._reasons(content, notes), _repaired(notes))

    def _reasons(self, content: Content, notes: Notes) -> tuple[Reason, ...]:
        found: dict[Rule, str | None] = {rule: what for rule, what in notes.found.items() if rule.effect is Effect.RAW}
        found |= {rule: what for rule, check in self._flags if (what := check(content)) is not None}
        if self._licence is not None:
            found[rules.LICENCE] = self._licence
        return tuple(Reason(rule.code, _shown(what)) for rule, what in found.items())


def _repaired(notes: Notes) -> tuple[Rule, ...]:
    return tuple(rule for rule in notes.found if rule.effect is Effect.REPAIR)


def _licence_problem(origin: Origin) -> str | None:
    if origin.licence is None:
        return None
    licence = Licence(spdx=origin.licence)
    return licence.spdx if licence.non_commercial or licence.no_derivatives else None


def _shown(found: str | None) -> str | None:
    """What was found, short enough for a list of questions; None where there is nothing to show."""
    if not found:
        return None
    return found if len(found) <= _LONGEST_DETAIL else found[: _LONGEST_DETAIL - 1] + "…"
