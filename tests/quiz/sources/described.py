"""Sources as an operator describes them, one for each interface that is tested; docs/quiz-sources.md shows the same."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from vestnik.quiz.sources.configured import ConfiguredSource, configured_sources
from vestnik.settings.document import read_document
from vestnik.settings.validation import raise_problems


def described(folder: Path, text: str) -> ConfiguredSource:
    """The one source of a YAML section. Raises ConfigurationError."""
    (source,) = all_described(folder, f"it:\n{indented(text)}")
    return source


def all_described(folder: Path, text: str) -> list[ConfiguredSource]:
    path = folder / "quiz.yaml"
    path.write_text(dedent(text))
    document = read_document(path)
    found = list(configured_sources(document, (), document.value))
    raise_problems(document)
    return found


def indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in dedent(text).strip("\n").split("\n"))
