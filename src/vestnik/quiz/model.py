"""What a question is: as a source gave it (Candidate), and as it is kept until it is sent (Question). No I/O here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NewType

QuestionId = NewType("QuestionId", str)  # a UUID of version 7, so ids are in the order in which questions came

#: Seconds since the epoch, UTC, of the wall clock.
Timestamp = float


class QuestionType(StrEnum):
    MULTIPLE = "multiple"
    BOOLEAN = "boolean"  # the correct answer is "True" or "False", the other one is the incorrect
    OPEN = "open"  # no options: the answer is to be typed or said


class Difficulty(StrEnum):
    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


class Status(StrEnum):
    """Of questions that are kept. What was sent or rejected is a hash only, and has no status any more."""

    RAW = "raw"  # waits for a moderator
    READY = "ready"  # waits for the exporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """`role`: question, answer, explanation or handout; `kind`: image, audio or video."""

    role: str
    kind: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A question as a source gave it: bytes decoded to text, structure mapped; entities and dirt are still in.

    Screening derives a `type` that is None, and takes the origin's language where `language` is None. Unknown is None
    or (), never "".
    """

    text: str
    correct: tuple[str, ...] = ()
    incorrect: tuple[str, ...] = ()
    type: str | None = None  # multiple | boolean | open
    language: str | None = None  # ISO 639-1
    category: str | None = None
    difficulty: str | None = None  # easy | medium | hard; anything else is taken for unknown
    accepted: tuple[str, ...] = ()  # further wordings that count as right
    explanation: str | None = None
    tags: tuple[str, ...] = ()
    media: tuple[Media, ...] = ()
    external_id: str | None = None
    author: str | None = None
    references: tuple[str, ...] = ()
    withdrawn: bool = False  # by the source itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The source that candidates come from.

    `screening` switches rules off (False) by name ("R08-all-of-the-above") or code ("R08"); see `screening.rules`.
    Without a language here, candidates that carry none become raw.
    """

    name: str  # the job's name as well
    url: str | None = None
    licence: str | None = None  # SPDX id
    attribution: str | None = None
    language: str | None = None
    screening: Mapping[str, bool] = field(default_factory=dict[str, bool])


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a question is raw. `detail` is what was found, where that helps."""

    code: str  # of the rule: "R08"
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a question came from, as it was when it was fetched."""

    name: str
    url: str | None = None
    external_id: str | None = None
    author: str | None = None
    references: tuple[str, ...] = ()
    fetched_at: Timestamp = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    spdx: str
    attribution: str | None = None

    @property
    def non_commercial(self) -> bool:
        return "-NC" in self.spdx.upper()

    @property
    def no_derivatives(self) -> bool:
        """Not even a typing error may be put right."""
        return "-ND" in self.spdx.upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is asked and answered: all of a question that screening cleans and a moderator may edit."""

    text: str
    type: QuestionType
    correct: tuple[str, ...]
    incorrect: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    language: str | None = None
    category: str | None = None
    difficulty: Difficulty | None = None
    explanation: str | None = None
    tags: tuple[str, ...] = ()
    media: tuple[Media, ...] = ()

    def as_candidate(self) -> Candidate:
        """To be screened again, as after a moderator's change."""
        return Candidate(**{each.name: getattr(self, each.name) for each in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question that is kept. `batch_id` says that it is on its way out, and must stay as it is."""

    id: QuestionId
    hash: str  # 64 hex digits; see text_hash
    hash_version: int
    status: Status
    reasons: tuple[Reason, ...]
    content: Content
    source: Source
    licence: Licence | None
    batch_id: str | None = None


def canonical(question: Question) -> dict[str, Any]:
    """The question as the main server gets it (architecture: the exporter's contract); no id, no status.

    There is no field for further accepted wordings: they follow the correct answers.
    """
    content, source, licence = question.content, question.source, question.licence
    return {
        "hash": question.hash,
        "hash_version": question.hash_version,
        "text": content.text,
        "type": content.type.value,
        "language": content.language,
        "category": content.category,
        "difficulty": content.difficulty and content.difficulty.value,
        "correct_answers": [*content.correct, *content.accepted],
        "incorrect_answers": list(content.incorrect),
        "explanation": content.explanation,
        "tags": list(content.tags),
        "media": [{"role": m.role, "kind": m.kind, "url": m.url} for m in content.media],
        "source": {"name": source.name, "url": source.url, "external_id": source.external_id},
        "licence": licence and {"spdx": licence.spdx, "attribution": licence.attribution},
    }
