"""What may be wrong with answers and options. Each check gives what it found ("" for nothing to show), or None."""

from __future__ import annotations

import re
from collections import Counter

from vestnik.quiz.model import Content, QuestionType
from vestnik.quiz.screening.content import FALSE, TRUE, loose

USUAL_OPTIONS = 3  # wrong ones

_LONGEST = 100  # characters of an answer or option


def symbols_only(content: Content) -> str | None:
    """Answers such as `-` and `?:` exist, so they are kept for a moderator to see."""
    return next((answer for answer in content.correct if not any(c.isalnum() for c in answer)), None)


def repeated_option(content: Content) -> str | None:
    counted = Counter(map(loose, content.incorrect))
    return next((option for option, times in counted.items() if times > 1), None)


def correct_among_incorrect(content: Content) -> str | None:
    correct = set(map(loose, content.correct))
    return next((option for option in content.incorrect if loose(option) in correct), None)


def few_options(content: Content) -> str | None:
    few = content.type is QuestionType.MULTIPLE and len(content.incorrect) < USUAL_OPTIONS
    return _count(content) if few else None


def many_options(content: Content) -> str | None:
    return _count(content) if len(content.incorrect) > USUAL_OPTIONS else None


def _count(content: Content) -> str:
    return str(len(content.incorrect))


def not_true_or_false(content: Content) -> str | None:
    wrong = content.type is QuestionType.BOOLEAN and sorted(content.correct + content.incorrect) != [FALSE, TRUE]
    return "" if wrong else None


_OF_THE_OTHERS = re.compile(
    r"(?:all|none|both|neither|either|any)\W*|neither one|"
    r"(?:all|none|both|neither|either|any|two|some) (?:of )?(?:the )?(?:above|below|these|those|them|this|others?|"
    r"options|answers|choices|following|mentioned|listed)\b.*|"
    r"(?:a|b|c|d),? (?:and|or|&) (?:a|b|c|d)|"
    r"aucune?\W*|(?:aucune? des|toutes les|tous les|les) (?:deux|trois|quatre|autres|réponses|propositions)\W*|"
    r"(?:aucune?|toutes|tous) (?:de |d['’])?(?:ces|celles|ceux|entre|ci-dessus|les réponses|les propositions)\b.*|"
    r"вс[её] (?:из )?(?:выше|перечисленн|указанн|эти|ответы|варианты).*|(?:ни один|ничего|никто) из .*|"
    r"(?:оба|обе|все) (?:варианта|ответа|верны|выше|перечисленн).*",
    re.IGNORECASE,
)


def all_of_the_above(content: Content) -> str | None:
    options = (*content.correct, *content.incorrect) if content.incorrect else ()
    return next((option for option in options if _OF_THE_OTHERS.fullmatch(option)), None)


def several_correct(content: Content) -> str | None:
    return str(len(content.correct)) if content.incorrect and len(content.correct) > 1 else None


def long_answer(content: Content) -> str | None:
    return _length(content.correct)


def long_option(content: Content) -> str | None:
    return _length(content.incorrect)


def _length(answers: tuple[str, ...]) -> str | None:
    longest = max(map(len, answers), default=0)
    return f"{longest} characters" if longest > _LONGEST else None
