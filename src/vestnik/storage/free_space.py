"""Keeps some of the disk free: what is accepted already must be delivered, and each delivery writes how it went."""

from __future__ import annotations

import os
from pathlib import Path

RESERVE = 64 << 20  # bytes; the ends of some hundred thousand deliveries
SHARE = 20  # of a small disk at most one part in so many is kept free


def is_nearly_full(path: Path) -> bool:
    """Whether the file system of `path` has less left than what is kept free. Raises OSError."""
    found = os.statvfs(path)
    kept_free = min(RESERVE, found.f_blocks * found.f_frsize // SHARE)
    return found.f_bavail * found.f_frsize < kept_free
