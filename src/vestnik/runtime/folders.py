"""Folders whose entries outlive a power cut: POSIX keeps a new name only once the folder that holds it is synced.

SQLite does so for its own files. Most Linux file systems keep the names of a file that is synced, but none promises it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

# Some file systems have nothing to sync in a folder, and one that may be written but not read cannot be opened.
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}


def make_folder(path: Path, mode: int = 0o777) -> None:
    """With its parents, where it is not there yet. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent, mode)
    path.mkdir(mode, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """What was made, renamed or removed in it is on disk afterwards. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
