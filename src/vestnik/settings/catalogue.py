"""What can be named in a configuration: a table of ours, and what installed packages offer as entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

Offered = TypeVar("Offered")


class UnknownEntry(LookupError):
    """`known` are those there are."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.known = known


class BrokenEntry(Exception):
    """An installed package offers it, and importing it failed."""


class Catalogue(Generic[Offered]):
    """Subclasses of `base` by name. Of `ours`, the values are `module:attribute`, imported on first use."""

    def __init__(self, group: str, ours: Mapping[str, str], base: type[Any]) -> None:
        """`group`: of the entry points of installed packages. `base` is Offered, which may be abstract."""
        self._group = group
        self._ours = ours
        self._base = base

    def names(self) -> list[str]:
        return sorted({*self._ours, *(entry.name for entry in entry_points(group=self._group))})

    def find(self, name: str) -> type[Offered]:
        """Raises UnknownEntry or BrokenEntry. Our own names cannot be taken over by a package."""
        found = self._own(self._ours[name]) if name in self._ours else self._installed(name)
        if not (isinstance(found, type) and issubclass(found, self._base)):
            raise BrokenEntry(f"{found!r} is not a {self._base.__name__}")
        return found

    def _own(self, value: str) -> object:
        module, _, attribute = value.partition(":")
        return getattr(import_module(module), attribute)

    def _installed(self, name: str) -> object:
        for entry in entry_points(group=self._group, name=name):
            try:
                return entry.load()
            except Exception as error:
                raise BrokenEntry(f"importing {entry.value} failed: {error}") from error
        raise UnknownEntry(name, self.names())
