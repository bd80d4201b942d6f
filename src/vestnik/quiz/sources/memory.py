"""What a source may keep from run to run, and over restarts: a token, a place it had come to."""

from __future__ import annotations


class Memory:
    """Short texts by key; a source's keys begin with its kind. This one lasts as long as it is held, as for a test.

    Only for what costs a request or two when it is gone: a memory may forget, and raises nothing.
    """

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    async def recall(self, key: str) -> str | None:
        return self._kept.get(key)

    async def remember(self, key: str, value: str | None) -> None:
        """None forgets it."""
        if value is None:
            self._kept.pop(key, None)
        else:
            self._kept[key] = value
