"""Reads YAML into plain values and remembers where each one stands.

Scalars stay text: the schema decides what `30s`, `no` or `12:30` means, so YAML 1.1's surprises (a country that turns
into False, a time that turns into 750) cannot happen. `Plain` marks those written without quotes, for the few places
where a value has no schema.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vestnik.settings.parsing import MAX_DEPTH, Unparsable, compose
from vestnik.settings.problems import ConfigurationError, Place, Problem, quoted

MAX_FILE = 1 << 20
MAX_NODES = 100_000  # an alias bomb of 306 bytes was seen to keep json.dumps busy for ever

Key = tuple[str | int, ...]


ABSENT = "there is no such file"


class Plain(str):
    """A scalar written without quotes."""

    __slots__ = ()


class Hidden(str):
    """A scalar from `!file` or `!env`: likely a secret, and wherever it stands, no error shows it."""

    __slots__ = ()


class Unread:
    """Stands where something could not be read; its problem is noted already."""


@dataclass(frozen=True, slots=True)
class MissingFile:
    """`!file PATH` where there is none; an error everywhere but where the daemon makes the secret itself."""

    path: Path
    cause: str


@dataclass
class Document:
    """The parsed configuration: `value` is dicts, lists, text, None, Unread and MissingFile."""

    value: Any
    places: dict[Key, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    missing: dict[Key, MissingFile] = field(default_factory=dict)  # all that stand in `value`

    def place_of(self, key: Key) -> Place:
        """Where a key stands, or the nearest thing around it."""
        while key not in self.places and key:
            key = key[:-1]
        return self.places[key]


def read_document(path: Path) -> Document:
    """Read a file and all it includes. Problems found on the way are kept in the document.

    Raises ConfigurationError when the file itself cannot be read or parsed.
    """
    document = Document(None)
    document.places[()] = Place(str(path), 1)
    reader = _Reader(document)
    document.value = reader.file(path, (), ())
    if isinstance(document.value, Unread):
        raise ConfigurationError(document.problems)
    return document


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def file(self, path: Path, key: Key, stack: tuple[Path, ...]) -> Any:
        """The value of a file; `stack` holds those that include it."""
        place = self._document.place_of(key)
        try:
            resolved = path.resolve()
            data = _read(path)
        except (OSError, ValueError, RuntimeError) as error:
            return self._problem(place, key, f"cannot read {quoted(path)}: {_cause(error)}")
        if resolved in stack:
            chain = " -> ".join(p.name for p in (*stack[stack.index(resolved) :], resolved))
            return self._problem(place, key, f"includes itself: {chain}")
        node = self._parse(data, path, key)
        if node is None:
            return {}
        return node if isinstance(node, Unread) else self._value(node, key, path, (*stack, resolved))

    def _parse(self, data: bytes, path: Path, key: Key) -> yaml.Node | Unread | None:
        if len(data) > MAX_FILE:
            return self._problem(Place(str(path), 1), key, "is larger than 1 MiB")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            return self._problem(Place(str(path), line), key, "is not UTF-8 text")
        try:
            return compose(text)
        except Unparsable as error:
            return self._problem(Place(str(path), error.line), key, str(error))

    def _value(self, node: yaml.Node, key: Key, path: Path, stack: tuple[Path, ...]) -> Any:
        place = Place(str(path), node.start_mark.line + 1)
        self._document.places.setdefault(key, place)
        self._count(place)
        if len(key) > MAX_DEPTH:
            raise ConfigurationError([Problem(place, "", f"is nested deeper than {MAX_DEPTH} levels")])
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key, path, stack, place)
        if node.tag.startswith("!"):
            return self._problem(place, key, f"{node.tag} wants a name, found keys or a list")
        if isinstance(node, yaml.MappingNode):
            result: dict[str, Any] = {}
            self._fill(result, node, key, path, stack)
            return result
        return [self._value(child, (*key, i), path, stack) for i, child in enumerate(node.value)]

    def _count(self, place: Place) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ConfigurationError([Problem(place, "", f"holds more than {MAX_NODES:,} values (aliases counted)")])

    def _fill(
        self,
        result: dict[str, Any],
        node: yaml.MappingNode,
        key: Key,
        path: Path,
        stack: tuple[Path, ...],
        merging: tuple[yaml.Node, ...] = (),
    ) -> None:
        """Put a mapping into `result`, then what it merges in; what is there already wins."""
        taken = set(result)
        first_line: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for name_node, child in node.value:
            place = Place(str(path), name_node.start_mark.line + 1)
            name = name_node.value
            if not isinstance(name_node, yaml.ScalarNode):
                self._problem(place, key, "a key must be text")
            elif name_node.tag == _MERGE:
                merged += child.value if isinstance(child, yaml.SequenceNode) else [child]
            elif name in first_line:
                self._problem(place, (*key, name), f"stands twice, first in line {first_line[name]}")
            else:
                first_line[name] = place.line
                if name not in taken:
                    self._document.places[(*key, name)] = place
                    result[name] = self._value(child, (*key, name), path, stack)
        for source in merged:
            self._merge(result, source, key, path, stack, (*merging, node))

    def _merge(
        self,
        result: dict[str, Any],
        source: yaml.Node,
        key: Key,
        path: Path,
        stack: tuple[Path, ...],
        merging: tuple[yaml.Node, ...],
    ) -> None:
        place = Place(str(path), source.start_mark.line + 1)
        self._count(place)
        if not isinstance(source, yaml.MappingNode) or source.tag.startswith("!"):
            self._problem(place, key, "<< wants keys with values of this file, or a list of such")
        elif source in merging:
            self._problem(place, key, "<< merges keys into themselves")
        else:
            self._fill(result, source, key, path, stack, merging)

    def _scalar(self, node: yaml.ScalarNode, key: Key, path: Path, stack: tuple[Path, ...], place: Place) -> Any:
        text = node.value
        match node.tag:
            case "!include":
                return self.file(path.parent / text, key, stack)
            case "!file":
                return self._secret(Path(text), key, place)
            case "!env":
                found = os.environ.get(text)
                if found is None:
                    return self._problem(place, key, f"the environment has no variable {quoted(text)}")
                return Hidden(found)
            case tag if tag.startswith("!"):
                return self._problem(place, key, f"unknown tag {tag}, wanted !include, !file or !env")
        if node.style:  # quoted or a block; the C loader says "" for a plain one, not None
            return text
        return None if text in ("", "~", "null", "Null", "NULL") else Plain(text)

    def _secret(self, path: Path, key: Key, place: Place) -> Any:
        try:
            data = _read(path)
            text = data.decode().rstrip("\r\n")
        except (OSError, ValueError) as error:
            self._document.missing[key] = MissingFile(path, _cause(error))
            return self._document.missing[key]
        if len(data) > MAX_FILE:
            return self._problem(place, key, f"the file {quoted(path)} is larger than 1 MiB")
        return Hidden(text) if text else self._problem(place, key, f"the file {quoted(path)} is empty")

    def _problem(self, place: Place, key: Key, what: str) -> Unread:
        self._document.problems.append(Problem(place, ".".join(map(str, key)), what))
        return Unread()


_MERGE = "tag:yaml.org,2002:merge"  # an unquoted <<


def _read(path: Path) -> bytes:
    """At most a byte more than is allowed: a device has no end."""
    with path.open("rb") as file:
        return file.read(MAX_FILE + 1)


def _cause(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return ABSENT
        case UnicodeDecodeError():
            return "it is not UTF-8 text"
        case OSError() if error.strerror:
            return error.strerror
        case _:  # a path with a NUL, or links that lead round in a circle
            return str(error)


def plain_value(value: Any) -> Any:
    """What a value without a schema means: unquoted true, false and numbers become such (YAML 1.2's core schema)."""
    match value:
        case dict():
            return {name: plain_value(child) for name, child in value.items()}
        case list():
            return [plain_value(child) for child in value]
        case Plain():
            return _resolve(value)
        case _:
            return value


def _resolve(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    # "1_000", "nan" and "infinity" are numbers to Python, and words to a person.
    if not all(c in "0123456789+-.eE" for c in text):
        return str(text)
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            number = kind(text)
            return number if math.isfinite(number) else str(text)
    return str(text)
