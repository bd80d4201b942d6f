"""Questions that say almost the same: the same answer, and almost the same words.

Alikeness alone says little ("capital of Peru", "capital of Palau"), so the answers must be equal, and even then a
moderator decides. Only questions with the same key and about the same length are compared; that bounds the cost
however many there are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from rapidfuzz import fuzz, utils

from vestnik.quiz.model import Content, QuestionType
from vestnik.quiz.screening.content import loose
from vestnik.quiz.text_hash import canonical_text

_ALIKE = 90.0  # of 100: above it, the sorted words are almost the same
_SAME_ANSWER = 60.0  # of 100: `Femur` and `The Femur, Thighbone` are one answer in other words


@dataclass(frozen=True, slots=True)
class NearKey:
    """`key` is equal for questions that may be near duplicates; it is signed, as databases have it."""

    key: int
    length: int

    @property
    def lengths(self) -> tuple[int, int]:
        """Of the texts that can be alike: with 2 x common / (a + b) above 0.9, a is between 0.818 and 1.223 of b."""
        return int(self.length * 0.8), int(self.length * 1.25) + 1


def near_key(content: Content) -> NearKey:
    text = canonical_words(content.text)
    parts = [content.language or "", *sorted(map(loose, content.correct))]  # a translation is another question
    if content.type is QuestionType.BOOLEAN:
        # Half of all share each answer; its longest word is what a reworded question is most likely to keep.
        parts.append(max(text.split(), key=len, default=""))
    digest = hashlib.sha256("\x1f".join(parts).encode(errors="surrogatepass")).digest()
    return NearKey(int.from_bytes(digest[:8], signed=True), len(text))


def canonical_words(text: str) -> str:
    """As they are compared, but for their order: in small letters, without punctuation."""
    return " ".join(utils.default_process(text).split())


def alike(one: str, other: str) -> bool:
    """Whether two texts are worded almost the same, the order of the words aside."""
    return fuzz.token_sort_ratio(one, other, processor=utils.default_process, score_cutoff=_ALIKE) > _ALIKE


def answers_conflict(one: Content, other: Content) -> bool:
    """Whether two questions with the same text have answers that cannot both be right."""
    right, other_right = set(map(loose, one.correct)), set(map(loose, other.correct))
    if right == other_right:
        return False
    if right & set(map(loose, other.incorrect)) or other_right & set(map(loose, one.incorrect)):
        return True
    return not any(_same_answer(a, b) for a in _answers(one) for b in _answers(other))


def _answers(content: Content) -> tuple[str, ...]:
    return (*content.correct, *content.accepted)


def _same_answer(one: str, other: str) -> bool:
    if canonical_text(one) == canonical_text(other):
        return True
    return fuzz.token_set_ratio(one, other, processor=utils.default_process) >= _SAME_ANSWER
