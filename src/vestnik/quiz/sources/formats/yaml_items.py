"""YAML: the same as JSON once it is read, but every scalar is text: `no`, `1.50` and `12:30` are answers."""

from __future__ import annotations

from typing import Any

import yaml

from vestnik.quiz.sources.formats import salvage
from vestnik.quiz.sources.formats.json_items import Doubled
from vestnik.quiz.sources.formats.markup import described_page, is_page
from vestnik.quiz.sources.formats.record import FormatError, Unreadable
from vestnik.quiz.sources.formats.shielding import shield, unshield
from vestnik.settings.parsing import Unparsable, compose

MOST_NODES = 2_000_000  # aliases counted


def read_file(text: str) -> tuple[Any, list[Unreadable]]:
    """Broken items of lists are left out. Raises FormatError."""
    if is_page(text):
        raise FormatError(f"it is {described_page(text)}, wanted YAML")
    return salvage.read(shield(text), parse, salvage.cut_yaml)


def parse(text: str) -> Any:
    """Raises Broken or FormatError."""
    try:
        root = compose(text)
    except Unparsable as error:
        raise salvage.Broken(unshield(str(error)).replace("is not YAML", "it is not YAML", 1), error.line) from None
    return None if root is None else _Values().of(root)


class _Values:
    def __init__(self) -> None:
        self._nodes = 0

    def of(self, node: yaml.Node) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise FormatError(f"it holds more than {MOST_NODES:,} values (aliases counted)")
        match node:
            case yaml.ScalarNode():
                empty = not node.style and node.value in ("", "~", "null", "Null", "NULL")
                return None if empty else unshield(node.value)
            case yaml.SequenceNode():
                return [self.of(child) for child in node.value]
            case _:
                return self._mapping(node)

    def _mapping(self, node: yaml.Node) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, child in node.value:
            name = unshield(key.value) if isinstance(key, yaml.ScalarNode) else ""
            result[name] = Doubled() if name in result else self.of(child)
        return result
