"""The section `quiz.sources`: each source checked by its own kind, every problem at its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vestnik.quiz.model import Origin
from vestnik.quiz.sources.catalogue import find_kind
from vestnik.quiz.sources.settings import SourceSettings
from vestnik.quiz.sources.source import Shared, Source
from vestnik.settings.catalogue import BrokenEntry, UnknownEntry
from vestnik.settings.document import Document, Hidden, Key
from vestnik.settings.problems import Problem, did_you_mean, quoted
from vestnik.settings.validation import validate

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TAKEN = ("export",)  # by jobs that are no sources


@dataclass(frozen=True, slots=True)
class ConfiguredSource:
    name: str  # of the job as well
    kind: type[Source]
    settings: SourceSettings

    @property
    def origin(self) -> Origin:
        return self.settings.origin(self.name)

    def build(self, shared: Shared) -> Source:
        return self.kind(self.settings, shared)


def configured_sources(document: Document, at: Key, value: Any) -> Iterator[ConfiguredSource]:
    """Of the mapping from names to sections; what is wrong is added to the document's problems."""
    if not isinstance(value, dict):
        if value is not None:
            _problem(document, at, "found no sources, wanted names with keys")
        return
    for name, section in value.items():
        key = (*at, name)
        if wrong := name_problem(name):
            _problem(document, key, wrong)
        elif found := _source(document, key, section):
            yield found


def name_problem(name: str) -> str | None:
    """What keeps it from being a source's name."""
    if _NAME.fullmatch(name) and name not in _TAKEN:
        return None
    wanted = "a name of letters, digits, dots, dashes and underscores, which is not `export`"
    return f"found {quoted(name)}, wanted {wanted}"


def _source(document: Document, key: Key, section: Any) -> ConfiguredSource | None:
    if not isinstance(section, dict):
        _problem(document, key, "found no keys, wanted the keys of a source")
        return None
    kind = _kind(document, key, section.get("kind"))
    if kind is None:
        return None
    settings = validate(kind.settings_for(section), document, section, key)
    return ConfiguredSource(str(key[-1]), kind, settings) if settings is not None else None


def _kind(document: Document, key: Key, name: Any) -> type[Source] | None:
    if name is None:
        _problem(document, (*key, "kind"), "is missing")
    elif isinstance(name, str):
        try:
            return find_kind(name)
        except UnknownEntry as error:
            found = "what !file or !env gave (not shown)" if isinstance(name, Hidden) else quoted(name)
            wanted = f"one of {', '.join(error.known)}{did_you_mean(name, error.known)}"
            _problem(document, (*key, "kind"), f"found {found}, wanted {wanted}")
        except BrokenEntry as error:
            _problem(document, (*key, "kind"), str(error))
    else:
        _problem(document, (*key, "kind"), "wanted the name of a kind")
    return None


def _problem(document: Document, key: Key, what: str) -> None:
    document.problems.append(Problem(document.place_of(key), ".".join(map(str, key)), what))
