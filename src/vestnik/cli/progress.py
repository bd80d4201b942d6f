"""How far something long is: one line on the standard error, which ends where the next begins."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click


class Progress:
    """Again and again on a terminal, every few seconds elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._on_terminal = sys.stderr.isatty()
        self._every = 0.2 if self._on_terminal else 5.0  # seconds
        self._shown_at = self._began

    def show(self, done: int, sentence: Callable[[], str]) -> None:
        """`done` counts what the rate is of."""
        now = time.monotonic()
        if now - self._shown_at < self._every:
            return
        self._shown_at = now
        line = f"{sentence()}; {done / (now - self._began):,.0f}/s"
        click.echo(f"\r{line}\x1b[K" if self._on_terminal else line, err=True, nl=not self._on_terminal)

    def aside(self, line: str) -> None:
        """Say something else meanwhile."""
        click.echo(f"\r\x1b[K{line}" if self._on_terminal else line, err=True)

    def end(self) -> float:
        """Make room for the report; returns the seconds that it took."""
        if self._on_terminal:
            click.echo("\r\x1b[K", err=True, nl=False)
        return time.monotonic() - self._began
