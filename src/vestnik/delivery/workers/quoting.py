"""How a far side's words get into our own."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 200
_MASKED = "***"


class Quoter:
    """Makes what a server said fit for one line of a log: short, printable, without our credentials."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets`: in every spelling in which they may come back."""
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _MASKED)
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " for c in text)
        words = " ".join(text.split())
        return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
