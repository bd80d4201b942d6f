"""A candidate's parts, cleaned, as the content of a question."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from vestnik.quiz.model import Candidate, Content, Difficulty, QuestionType
from vestnik.quiz.screening import rules
from vestnik.quiz.screening.cleaning import Notes, cleaned, without_final_period, without_title_case

TRUE, FALSE = "True", "False"  # how a boolean question's answers are kept, whatever the language
_PAIRS = (
    ("true", "false"),
    ("yes", "no"),
    ("vrai", "faux"),
    ("oui", "non"),
    ("да", "нет"),
    ("верно", "неверно"),
    ("правда", "ложь"),
    ("истина", "ложь"),
)
_DIFFICULTIES = {difficulty.value: difficulty for difficulty in Difficulty}
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]+)*")

Answers = tuple[str, ...]


def content_of(candidate: Candidate, language: str | None, notes: Notes) -> Content:
    """Everything decoded and repaired. What is empty then is left out, and noted where it was an option.

    `language` is for candidates that name none.
    """
    correct, incorrect = _cleaned(candidate.correct, notes), _cleaned(candidate.incorrect, notes)
    if len(incorrect) < len(candidate.incorrect) and notes.applies(rules.EMPTY_OPTION):
        notes.note(rules.EMPTY_OPTION)
    kind, correct, incorrect = _typed(candidate.type, correct, incorrect)
    accepted = _cleaned(candidate.accepted, notes)
    if kind is QuestionType.OPEN:
        correct, accepted = (tuple(without_final_period(a, notes) for a in found) for found in (correct, accepted))
    return Content(
        text=without_title_case(cleaned(candidate.text, notes), notes),
        type=kind,
        correct=tuple(dict.fromkeys(correct)),
        incorrect=incorrect,
        accepted=tuple(dict.fromkeys(accepted)),
        language=language_code(candidate.language) or language_code(language),
        category=_cleaned_or_none(candidate.category, notes),
        difficulty=_difficulty(candidate.difficulty),
        explanation=_cleaned_or_none(candidate.explanation, notes),
        tags=tuple(dict.fromkeys(_cleaned(candidate.tags, notes))),
        media=tuple(media for media in candidate.media if media.url),
    )


def loose(text: str) -> str:
    """For telling options apart. Punctuation counts: `cos(x)` is not `-cos(x)`, nor `?` `??`."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def language_code(language: str | None) -> str | None:
    """ISO 639 in small letters without region; None for what is none."""
    match = _LANGUAGE.fullmatch((language or "").strip().lower())
    return match[1] if match else None


def _cleaned(texts: Iterable[str], notes: Notes) -> Answers:
    return tuple(text for text in (cleaned(text, notes) for text in texts) if text)


def _cleaned_or_none(text: str | None, notes: Notes) -> str | None:
    return (cleaned(text, notes) or None) if text else None


def _difficulty(found: str | None) -> Difficulty | None:
    return _DIFFICULTIES.get((found or "").strip().lower())


def _typed(given: str | None, correct: Answers, incorrect: Answers) -> tuple[QuestionType, Answers, Answers]:
    """What the answers are, says the type; what the source calls it, only where they leave that open."""
    truth = _truth(correct, incorrect, alone=given == QuestionType.BOOLEAN)
    if truth is not None:
        return QuestionType.BOOLEAN, (TRUE if truth else FALSE,), (FALSE if truth else TRUE,)
    if given == QuestionType.BOOLEAN:
        return QuestionType.BOOLEAN, correct, incorrect
    kind = QuestionType.MULTIPLE if incorrect or given == QuestionType.MULTIPLE else QuestionType.OPEN
    return kind, correct, incorrect


def _truth(correct: Answers, incorrect: Answers, *, alone: bool) -> bool | None:
    """Whether the correct one of a pair like yes and no is the yes. `alone`: the wrong one may be missing."""
    if len(correct) != 1 or len(incorrect) > 1 or (not incorrect and not alone):
        return None
    right, wrong = correct[0].casefold(), [option.casefold() for option in incorrect]
    for yes, no in _PAIRS:
        if right == yes and wrong in ([no], []):
            return True
        if right == no and wrong in ([yes], []):
            return False
    return None
