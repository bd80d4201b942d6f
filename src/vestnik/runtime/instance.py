"""One daemon per state directory and per database: a lock that the kernel drops when the process dies, however it dies.

Not on the database file itself: closing any descriptor of it would drop SQLite's own locks (POSIX fcntl).
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from vestnik.errors import AlreadyRunning
from vestnik.runtime.folders import make_folder


class InstanceLock:
    def __init__(self, held: Path, path: Path | None = None) -> None:
        """`held` is what only one may use, `path` the file that is locked; by default one in the folder `held`."""
        self.held = held
        self.path = path or held / "vestnik.lock"
        self._file: IO[str] | None = None

    @classmethod
    def of_database(cls, database: Path) -> InstanceLock:
        """Two state directories can name the same database, by symbolic links too."""
        found = database.resolve()
        return cls(database, found.with_name(f"{found.name}.lock"))

    def acquire(self) -> None:
        """Raises AlreadyRunning, naming the process that holds it."""
        make_folder(self.path.parent)
        file = self.path.open("a+")
        if not _locked(file, fcntl.LOCK_EX):
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise AlreadyRunning(f"{self.held} is in use by {f'pid {holder}' if holder else 'another process'}")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def held_by_another(self) -> bool:
        """Whether a daemon is running. Changes nothing, and asks for no more than leave to read."""
        try:
            with self.path.open() as file:
                return not _locked(file, fcntl.LOCK_SH, tries=1)
        except FileNotFoundError:
            return False


def _locked(file: IO[str], kind: int, tries: int = 10) -> bool:
    """Whether the lock was got; tried for a moment, as a command that only looks holds it for microseconds."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02 if left else 0)
        else:
            return True
    return False
