"""The lines of `log.file` that are about one message, mailing or client: also of rotated files, one line at a time."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

from vestnik.delivery.store.trace import Event, Kind, Subject

LONGEST_LINE = 1 << 20  # bytes; a longer one is none of ours
_MESSAGE = re.compile(rb'"(?:message|parent)": (\d+)')  # a quote inside of a value has a backslash
_NOT_SHOWN = frozenset({"timestamp", "event", "level", "logger", "exception", "stack", "exc_info"})
_REQUESTS = "vestnik.access"
_ATTEMPTS = "vestnik.delivery.execution"
_ENDS = frozenset({"delivered", "refused", "deferred", "failed", "canceled"})


def events(path: Path, subject: Subject, *, belongs: Callable[[int], bool], ends_too: bool) -> Iterator[Event]:
    """Oldest first. `belongs` tells of a message's id whether it is the subject's.

    `ends_too`: also the lines that say how attempts ended, which the database has too, as long as it has any.
    Raises OSError for a file that cannot be read; one that is not there has no lines.
    """
    for line in _lines(path):
        if _may_be_about(line, subject) and (found := _parsed(line)) is not None:
            ends = found.get("logger") == _ATTEMPTS and found.get("event") in _ENDS
            if _is_about(found, subject, belongs) and (ends_too or not ends):
                event = _event(found)
                if event:
                    yield event


def _may_be_about(line: bytes, subject: Subject) -> bool:
    """Quickly: most lines are not, and parsing costs."""
    return b"%d" % subject.id in line or (subject.kind is not Kind.MESSAGE and _MESSAGE.search(line) is not None)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # the half line of a crash
        return None
    return found if isinstance(found, dict) else None


def _is_about(line: dict[str, Any], subject: Subject, belongs: Callable[[int], bool]) -> bool:
    if line.get(subject.kind) == subject.id or (line.get("logger") == _REQUESTS and _names(line.get("path"), subject)):
        return True
    return any(isinstance(line.get(name), int) and belongs(line[name]) for name in ("message", "parent"))


def _names(path: object, subject: Subject) -> bool:
    """Whether a request was for the subject: /api/messages/7, /mailings/7/stats."""
    return isinstance(path, str) and re.match(rf"(/api)?/{subject.kind}s/{subject.id}(/|$)", path) is not None


def _event(line: dict[str, Any]) -> Event | None:
    try:
        at = datetime.fromisoformat(line["timestamp"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    fields = {name: value for name, value in line.items() if name not in _NOT_SHOWN and value is not None}
    return Event(at, str(line.get("event")), fields)


def _lines(path: Path) -> Iterator[bytes]:
    for number, inode in reversed(list(_files(path))):
        file = _opened(path, number, inode)
        if file:
            with file:
                yield from _short_lines(file)


def _short_lines(file: IO[bytes]) -> Iterator[bytes]:
    whole = True
    while line := file.readline(LONGEST_LINE):
        ends = line.endswith(b"\n")
        if whole and ends:
            yield line
        whole = ends


def _files(path: Path) -> Iterator[tuple[int, int]]:
    """Number and inode of each, the newest first."""
    for number in count():
        try:
            yield number, _numbered(path, number).stat().st_ino
        except FileNotFoundError:
            return


def _opened(path: Path, number: int, inode: int) -> IO[bytes] | None:
    """The file that had the number; when the daemon rotated meanwhile, it has a higher one. None: it is gone."""
    for now in count(number):
        try:
            file = _numbered(path, now).open("rb")
        except FileNotFoundError:
            return None
        if os.fstat(file.fileno()).st_ino == inode:
            return file
        file.close()
    raise AssertionError  # count() has no end


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path
