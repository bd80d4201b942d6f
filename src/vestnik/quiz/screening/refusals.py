"""What is not taken at all. Each check gives what it found ("" where there is nothing to show), or None."""

from __future__ import annotations

import re

from vestnik.quiz.model import Candidate, Content
from vestnik.quiz.text_hash import canonical_text

LONGEST_TEXT = 1000  # characters of a question
MOST_CHARACTERS = 20_000  # of all that a candidate says, entities and all
MOST_PARTS = 50  # options, accepted wordings, tags, references or media

_WITHDRAWN = re.compile(
    r"вопрос(?: был)? снят|снят (?:АЖ|апелляц|жюри)|\bquestion (?:was |has been )?(?:withdrawn|annulled)\b",
    re.IGNORECASE,
)
_MEDIA_FILE = (
    r"https?://\S+\.(?:png|jpe?g|gif|webp|svg|bmp|mp3|ogg|wav|m4a|mp4|webm|avi|mov)\b|https?://(?:i\.)?imgur\.com/\S+"
)
_MEDIA = re.compile(
    r"\((?:pic|aud|vid|img|image|audio|video)\s*:[^)]*\)|<раздатка>|[\[(]раздат|раздаточн\w+ материал|"
    r"перед вами (?:\w+ )?(?:фото|изображени|картин|портрет|схема|карта|рисунок)|"
    r"(?:прослушайте|послушайте|внимание на экран|посмотрите на (?:экран|фото|картин|рисун))|"
    r"\b(?:in|on|from|of) (?:this|the following) (?:picture|image|photo|photograph|diagram|clip|video|sound)\b"
    r"(?! game)|"
    r"\b(?:pictured|shown|depicted|seen) (?:here|above|below)\b|"
    r"\bthe (?:picture|image|photo|photograph|diagram|map|figure) (?:above|below|here)\b|"
    r"\b(?:sur|dans) cette (?:image|photo)\b|\b(?:image|photo|dessin) (?:ci-)?(?:contre|dessus|dessous)\b|"
    + _MEDIA_FILE,
    re.IGNORECASE,
)


def beyond_measure(candidate: Candidate) -> str | None:
    """Looked at before anything is done with the texts, so that no text is long enough to keep the daemon busy."""
    lists = (candidate.correct, candidate.incorrect, candidate.accepted, candidate.tags, candidate.references)
    texts = (candidate.text, candidate.category, candidate.explanation, candidate.author, candidate.external_id)
    length = sum(len(text) for text in texts if text) + sum(len(text) for found in lists for text in found)
    if length > MOST_CHARACTERS:
        return f"{length} characters"
    most = max(map(len, (*lists, candidate.media)))
    return f"{most} parts" if most > MOST_PARTS else None


def too_long(content: Content) -> str | None:
    return f"{len(content.text)} characters" if len(content.text) > LONGEST_TEXT else None


def withdrawn(content: Content) -> str | None:
    return next((m[0] for text in _said(content) if (m := _WITHDRAWN.search(text))), None)


def _said(content: Content) -> tuple[str, ...]:
    return (content.text, *content.correct, content.explanation or "")


def empty(content: Content) -> str | None:
    return None if canonical_text(content.text) else ""


def no_answer(content: Content) -> str | None:
    return None if content.correct else ""


def needs_media(content: Content) -> str | None:
    """A picture beside the answer or the explanation is no need."""
    needed = next((media.url for media in content.media if media.role in ("question", "handout")), None)
    match = _MEDIA.search(content.text)
    return needed if match is None else match[0]
