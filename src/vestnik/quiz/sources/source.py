"""What a source is. This module is all that a source, ours or from another package, needs to import.

A source knows one place where questions are: what it asks there, how it goes on from page to page, what an answer
means. When it runs, what becomes of the questions, and what is told about it are the daemon's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from vestnik.errors import VestnikError
from vestnik.quiz.model import Candidate, Media
from vestnik.quiz.sources.formats.record import Unreadable
from vestnik.quiz.sources.memory import Memory
from vestnik.quiz.sources.pace import Paces
from vestnik.quiz.sources.reader import Reader
from vestnik.quiz.sources.settings import SourceSettings

__all__ = ["Candidate", "Media", "Memory", "Page", "Shared", "Source", "SourceFailed", "SourceSettings", "Unreadable"]


class SourceFailed(VestnikError):
    """The run ends here; what came before it is kept. The text says why, without secrets.

    `retry_after`: seconds for which the far side asked to be left alone.
    """

    code = "source_failed"

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Page:
    """What was found at one place; a large one comes in several parts."""

    where: str  # a URL or a file, for people; no secrets
    candidates: tuple[Candidate, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    continued: bool = False  # another part of the page before


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sources have together."""

    reader: Reader
    paces: Paces
    memory: Memory = field(default_factory=Memory)


class Source(ABC):
    """One place where questions are. Built once; `pages` is never called while it still runs."""

    #: Type of the source's section. Subclasses narrow it, and annotate `settings` in `__init__` alike.
    Settings: ClassVar[type[SourceSettings]]

    @classmethod
    def settings_for(cls, section: Mapping[str, Any]) -> type[SourceSettings]:
        """The type of a section as it is written; for kinds whose keys depend on one of them."""
        del section
        return cls.Settings

    @abstractmethod
    def __init__(self, settings: SourceSettings, shared: Shared) -> None: ...

    @abstractmethod
    def pages(self) -> AsyncGenerator[Page]:
        """One run: page after page until there is no more, or as many as the settings allow.

        Raises SourceFailed; anything else is taken for a bug. It is closed when the run has to end early.
        """

    async def close(self) -> None:
        """Close what is kept open between runs."""
