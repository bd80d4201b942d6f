"""The maintenance flag: a small file in the state directory, so that it works while the daemon is down or its
database is not to be touched, and survives restarts.

The daemon looks at the file ten times a second and at every ping, and tells in a second file what it has acted on; the
command waits for that. So a send may rely on a look that is a moment old: one `stat` for each was a fifth of its cost.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from vestnik.runtime.folders import make_folder, sync_folder


@dataclass(frozen=True, slots=True)
class Flag:
    on: bool = False
    reason: str = ""
    since: float = 0.0  # seconds since the epoch
    revision: str = ""  # new at every change; what the daemon acknowledges

    @property
    def unreadable(self) -> bool:
        """There is a flag, and not as we write it."""
        return self.on and not self.revision


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the daemon has acted on, and how many deliveries were under way then; they may end in maintenance."""

    revision: str = ""
    under_way: int = 0


FRESH = 0.05  # seconds that `on` relies on what was read last


class MaintenanceFlag:
    """`read` says how it is now; `on` is cheap enough for every request, and knows at once what `read` has seen."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "maintenance.json"
        self._seen_path = state_dir / "maintenance.seen"
        self._stamp: tuple[int, int] | None = None
        self._flag = Flag()
        self._read_at = -FRESH

    @property
    def on(self) -> bool:
        if time.monotonic() - self._read_at >= FRESH:
            self.read()
        return self._flag.on

    def read(self) -> Flag:
        """A file that cannot be read as ours means maintenance: the safe side is to take nothing in."""
        self._read_at = time.monotonic()
        try:
            status = os.stat(self._path)  # noqa: PTH116  - Path.stat costs three times as much, at every look
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._flag, self._stamp = self._parse(), stamp
        except FileNotFoundError:
            self._stamp, self._flag = None, Flag()
        except OSError:  # asked again at the next look: permissions change without a new stamp
            self._stamp, self._flag = None, self._unreadable()
        return self._flag

    def set(self, *, on: bool, reason: str = "") -> Flag:
        """Said again, it keeps since when it is so and, without a new one, the reason. Raises OSError."""
        flag = _changed(self.read(), on=on, reason=reason)
        _replace(self._path, json.dumps(asdict(flag)))
        self._read_at = -FRESH
        return flag

    def acknowledge(self, flag: Flag, under_way: int = 0) -> None:
        """Tell that the daemon has acted on the flag. Not synced: after a power cut it is told anew. Raises OSError."""
        _replace(self._seen_path, f"{flag.revision} {under_way}", synced=False)

    def acknowledged(self) -> Acknowledgement:
        """What the daemon told last."""
        try:
            revision, _, under_way = self._seen_path.read_text().partition(" ")
            return Acknowledgement(revision, int(under_way or 0))
        except (FileNotFoundError, ValueError):
            return Acknowledgement()

    def _parse(self) -> Flag:
        try:
            return Flag(**json.loads(self._path.read_text()))
        except (ValueError, TypeError):
            return self._unreadable()

    def _unreadable(self) -> Flag:
        return Flag(on=True, reason=f"{self._path} cannot be read; `vestnik maintenance off` writes it anew")


def _changed(before: Flag, *, on: bool, reason: str) -> Flag:
    revision = secrets.token_hex(8)
    if before.on == on and not before.unreadable:
        return Flag(on, reason or before.reason, before.since, revision)
    return Flag(on, reason, time.time(), revision)


def _replace(path: Path, text: str, *, synced: bool = True) -> None:
    """Write so that a reader and, if it is synced, a power cut sees the old or the new, never half."""
    make_folder(path.parent)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        _write(new, text, synced=synced)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        # An error of writing knows no path, and the temporary file's says nothing to anybody.
        raise OSError(error.errno, error.strerror, str(path)) from error
    if synced:
        sync_folder(path.parent)


def _write(path: Path, text: str, *, synced: bool) -> None:
    with path.open("w") as file:
        file.write(text)
        if synced:
            file.flush()
            os.fsync(file.fileno())
