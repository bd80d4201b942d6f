"""What may be wrong with how a question is worded. Each check gives what it found ("" for nothing to show), or None."""

from __future__ import annotations

import re

from vestnik.quiz.model import Content, QuestionType
from vestnik.quiz.screening import letters
from vestnik.quiz.screening.words import INDECENT, TIME_DEPENDENT

_SHORT, _LONG = 12, 300  # characters

_LOST_LETTER = re.compile(r"[^\W\d_]\?[^\W\d_]|(?<!\S)\?[^\W\d_]\w*")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_HOST_NOTES = re.compile(
    r"[\[(<](?:ведущ|чтец|чита[йт]|прочита|зачита|произн|пауза|указани|примечани|комментарий ведущ)[^\])>]*[\])>]|"
    r"\bведущему\s*:|\bчтецу\s*:|"
    r"\bnotes? (?:to|for) (?:the )?(?:host|reader|quizmaster|moderator|question master)\b",
    re.IGNORECASE,
)
_CHOOSE_FROM = re.compile(
    r"\b(?:which|what|who|one) (?:one )?of (?:the following|these|those|the below|the options)\b|\bof the following\b|"
    r"\b(?:le)?quel(?:le)?s? (?:de|parmi) (?:ces|les suivant\w*)\b|\bparmi (?:ces|les suivant\w*)\b|"
    r"\b(?:как\w+|кто|что) из (?:этих|перечисленн\w+|следующих|нижеперечисленн\w+|предложенных)\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"^\W*(?:блиц|дуплет|дупль|триплет|своя игра|мультиблиц)|\b(?:блиц|дуплет)[.:!]|"
    r"\bвопрос-(?:блиц|дуплет)|(?:^|\s)1[.)]\s.*?\s2[.)]\s",
    re.IGNORECASE,
)


def lost_letter(content: Content) -> str | None:
    texts = (content.text, *content.correct, *content.incorrect)
    return next((found for text in texts if "?" in text and (found := _first_lost(text)) is not None), None)


def _first_lost(text: str) -> str | None:
    return _found(_LOST_LETTER, _URL.sub("", text))


def url_in_question(content: Content) -> str | None:
    return _found(_URL, content.text)


def host_notes(content: Content) -> str | None:
    return _found(_HOST_NOTES, content.text)


def options_missing(content: Content) -> str | None:
    return _found(_CHOOSE_FROM, content.text) if content.type is QuestionType.OPEN else None


def long(content: Content) -> str | None:
    return f"{len(content.text)} characters" if len(content.text) > _LONG else None


def short(content: Content) -> str | None:
    return "" if len(content.text) < _SHORT else None


def time_dependent(content: Content) -> str | None:
    return TIME_DEPENDENT.find(content.text, content.language)


def indecent(content: Content) -> str | None:
    return INDECENT.find("\n".join((content.text, *content.correct, *content.incorrect)), content.language)


def wrong_script(content: Content) -> str | None:
    return "" if letters.in_wrong_script(content.text, content.language) else None


def unknown_language(content: Content) -> str | None:
    return "" if content.language is None else None


def shouting(content: Content) -> str | None:
    return "" if letters.is_shouting(content.text) else None


def several_questions(content: Content) -> str | None:
    return _found(_SEVERAL, content.text) if content.type is QuestionType.OPEN else None


_WORD = re.compile(r"\w+")
_ARTICLE = re.compile(r"^ (?:the|an?|le|la|les|l|un|une|des|du|au|aux|de|el|los|las|der|die|das) (?=\w)")
_TELLING = 3  # letters of an answer that is a whole word of the question; shorter ones occur by chance
_TELLING_STEM = 4  # letters of an answer that begins a word of the question, as inflected ones do


def answer_in_question(content: Content) -> str | None:
    """The answer without its article. `Which is older, A or B?` tells nothing: all options occur in it."""
    if content.type is QuestionType.BOOLEAN:
        return None
    text = _words(content.text)
    found = next((answer for answer in content.correct if _occurs(answer, text)), None)
    if found and content.incorrect and all(_occurs(option, text) for option in content.incorrect):
        return None
    return found


def _occurs(answer: str, text: str) -> bool:
    words = _ARTICLE.sub(" ", _words(answer))
    length = len(words) - 2
    return (length >= _TELLING and words in text) or (length >= _TELLING_STEM and words[:-1] in text)


def _words(text: str) -> str:
    """In small letters between single spaces, with one at each end, so that whole words can be found in it."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match and match[0]
