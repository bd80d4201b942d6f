"""The section `quiz`: where questions come from, and where they go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from vestnik.quiz.export.settings import ExportSettings
from vestnik.quiz.sources.configured import ConfiguredSource, configured_sources
from vestnik.settings.document import Document, Key
from vestnik.settings.validation import secrets_in, validate
from vestnik.settings.values import Section


class QuizSettings(Section):
    sources: dict[str, Any] | None = Field(default_factory=dict[str, Any])  # each is checked by its own kind
    export: ExportSettings | None = None  # without it questions are collected, and none is sent


@dataclass(frozen=True, slots=True)
class ConfiguredQuiz:
    """Everything checked."""

    sources: tuple[ConfiguredSource, ...]
    export: ExportSettings | None

    def secrets(self) -> Iterator[str]:
        """All that must not show in logs and errors."""
        for source in self.sources:
            yield from secrets_in(source.settings)
        yield from secrets_in(self.export)


def configured_quiz(document: Document, at: Key, value: Any) -> ConfiguredQuiz | None:
    """None when something is wrong; it is added to the document's problems."""
    settings = validate(QuizSettings, document, value, at)
    # The sources are checked even when the exporter is wrong: all problems at once.
    written = value.get("sources") if isinstance(value, dict) else None
    sources = tuple(configured_sources(document, (*at, "sources"), written))
    return ConfiguredQuiz(sources, settings.export) if settings else None
