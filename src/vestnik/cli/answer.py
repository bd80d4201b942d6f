"""JSON that was answered where the daemon should be: another program may listen there, or another version of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, Self, TypeVar

from vestnik.errors import VestnikError
from vestnik.settings.values import Address

T = TypeVar("T")


class NotVestnik(VestnikError):
    code = "not_vestnik"

    def __init__(self, listen: Address) -> None:
        super().__init__(f"what answers at {listen} is not Vestnik, or is another version of it")


class Answer(dict[str, Any]):
    """An object, the whole or inside of it. What is not there, or of another type, raises NotVestnik."""

    def __init__(self, listen: Address, members: Mapping[str, Any]) -> None:
        super().__init__(members)
        self._listen = listen

    def __missing__(self, key: str) -> NoReturn:
        raise NotVestnik(self._listen)

    def having(self, *keys: str) -> Self:
        for key in keys:
            self[key]
        return self

    def one(self, key: str, wanted: type[T]) -> T:
        found = self[key]
        if not isinstance(found, wanted):
            raise NotVestnik(self._listen)
        return found

    def many(self, key: str, wanted: type[T]) -> list[T]:
        found = self.one(key, list)
        if not all(isinstance(item, wanted) for item in found):
            raise NotVestnik(self._listen)
        return found
