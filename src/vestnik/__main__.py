"""`python -m vestnik` and the command `vestnik`."""

from __future__ import annotations

from vestnik.cli.command import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
