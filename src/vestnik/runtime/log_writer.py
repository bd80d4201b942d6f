"""Lines to where they are read.

Lines below a warning are written some milliseconds later, many at once: each by itself costs a system call for every
sink. A warning takes all before it along at once, unless it had to wait for that: who logs never waits for a terminal
that is paused, or a pipe that nobody reads. `kill -9` loses the last lines of 50 ms at most.
"""

from __future__ import annotations

import contextlib
import io
import logging
import logging.handlers
import os
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from vestnik.runtime.log_lines import Event, Render

Foreign = Callable[[logging.LogRecord], Event]  # makes an event of a record that is none of ours

GATHER = 0.05  # seconds
MOST_WAITING = 100_000  # lines
LAST_WAIT = 2.0  # seconds; whoever flushes may be a process that has to end


class LineWriter(logging.Handler):
    """Renders each record where it is logged, and writes from a thread of its own, or at once what is urgent.

    At most `most` lines wait; newer ones are dropped then, and how many is said when the others are written.
    """

    def __init__(self, stream: TextIO | None, render: Render, foreign: Foreign, *, most: int = MOST_WAITING) -> None:
        super().__init__()
        self._stream = stream
        self._render = render
        self._foreign = foreign
        self._most = most
        self._lines: deque[bytes] = deque()
        # Each is counted by one side only: by who logs, and by who writes.
        self._refused, self._lost, self._told = 0, 0, 0
        self._known = (-1, 0)  # a descriptor, and what it leads to
        self._torn = False  # the last write broke off within a line
        self._writing = threading.Lock()  # not the handler's own: nobody who logs waits for a disk
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._awaited: deque[threading.Event] = deque()
        self._stuck = False  # it was waited for in vain
        self._closed = False
        self._thread = threading.Thread(target=self._write_later, name="log writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.msg if isinstance(record.msg, dict) else self._foreign(record)
            self._append(self._line(event))
            if record.levelno < logging.WARNING:
                if not self._wake.is_set():  # a look costs a tenth of setting it
                    self._wake.set()
            elif not self._write_now():
                self._hand_over()
        except Exception:  # as every handler: what cannot be logged must not stop what it is about
            self.handleError(record)

    def flush(self) -> None:
        """Waits until what was logged is written, but not for long."""
        if self._write_now() or not self._thread.is_alive():
            return
        done = threading.Event()
        self._awaited.append(done)
        self._hand_over()
        self._stuck = not done.wait(0 if self._stuck else LAST_WAIT)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._closed = True
            self._hand_over()
            super().close()

    def write(self, lines: list[bytes]) -> None:
        """All of them, in one piece, however long that takes. Raises OSError, ValueError."""
        self._put(b"".join(lines))

    def descriptor(self) -> int | None:
        """None: what is written to stays within this process. Raises OSError, ValueError."""
        if self._stream is None:
            raise ValueError("there is nothing to write to")
        try:
            return self._stream.fileno()
        except io.UnsupportedOperation:
            return None

    def _line(self, event: Event) -> bytes:
        return (self._render(event) + "\n").encode(errors="backslashreplace")

    def _append(self, line: bytes) -> None:
        if len(self._lines) < self._most:
            self._lines.append(line)
        else:
            self._refused += 1

    def _hand_over(self) -> None:
        self._hurry.set()
        self._wake.set()

    def _write_now(self) -> bool:
        """Whether all is written. Never waits, except for a disk."""
        if not self._writing.acquire(blocking=False):
            return False
        try:
            self._write_lines(list(self._taken(self._room())))
            return not self._lines and not self._untold()
        except (OSError, ValueError):
            return False
        finally:
            self._writing.release()

    def _write_later(self) -> None:
        while not self._closed:
            self._wake.wait()
            self._hurry.wait(GATHER)
            self._wake.clear()
            self._hurry.clear()
            awaited = [self._awaited.popleft() for _ in range(len(self._awaited))]
            with contextlib.suppress(OSError, ValueError), self._writing:  # a full disk: later lines are tried again
                self._write_all()
            self._stuck = False
            for done in awaited:
                done.set()

    def _write_all(self) -> None:
        lines = list(self._taken(sys.maxsize))
        untold = self._untold()
        self._write_lines(lines)
        if untold:
            self.write([self._notice(untold)])
            self._told += untold

    def _write_lines(self, lines: list[bytes]) -> None:
        try:
            if lines:
                self.write(lines)
        except BaseException:
            self._lost += len(lines)
            raise

    def _untold(self) -> int:
        return self._refused + self._lost - self._told

    def _notice(self, dropped: int) -> bytes:
        record = logging.makeLogRecord({"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"})
        record.msg = "lines of this log were dropped: they could not be written"
        record.dropped = dropped
        return self._line(self._foreign(record))

    def _taken(self, room: int) -> Iterator[bytes]:
        """The oldest lines, as many as have room: bytes."""
        for _ in range(len(self._lines)):
            room -= len(self._lines[0])
            if room < 0:
                return
            yield self._lines.popleft()

    def _room(self) -> int:
        """Bytes that are taken without a wait, except for a disk. Raises OSError, ValueError."""
        descriptor = self.descriptor()
        if descriptor is None:
            return sys.maxsize
        if descriptor != self._known[0]:
            self._known = descriptor, os.fstat(descriptor).st_mode
        mode = self._known[1]
        if stat.S_ISREG(mode):
            return sys.maxsize
        # A terminal takes one byte and waits with the next, so that one is the thread's.
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) or not _is_ready(descriptor, 0):
            return 0
        return select.PIPE_BUF - self._torn

    def _put(self, data: bytes) -> None:
        descriptor = self.descriptor()
        if descriptor is None:
            assert self._stream is not None  # noqa: S101 - it said that it has no descriptor
            self._stream.write(data.decode())
            self._stream.flush()
            return
        # Not by the stream: who waits there holds a lock that the interpreter wants when it ends.
        left = memoryview(b"\n" + data if self._torn else data)
        while left:
            try:
                written = os.write(descriptor, left)
            except BlockingIOError:  # another process made it so for all who share it
                _is_ready(descriptor, None)
                continue
            self._torn = left[written - 1] != _END
            left = left[written:]


_END = ord("\n")


def _is_ready(descriptor: int, milliseconds: int | None) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(milliseconds))


class RotatedFile(LineWriter):
    """At most `most` bytes, and `keep` older files beside it. More only while they cannot be rotated."""

    def __init__(self, path: Path, render: Render, foreign: Foreign, *, most: int, keep: int) -> None:
        """Raises OSError."""
        self._path, self._rotate_at, self._keep = path, most, keep
        self._file = self._opened()
        super().__init__(self._file.stream, render, foreign)

    def write(self, lines: list[bytes]) -> None:
        if self._stream is None:
            self._reopen()
        fitting: list[bytes] = []
        for line in lines:
            if self._size + len(line) >= self._rotate_at:
                self._put(b"".join(fitting))
                fitting = []
                self._rotate()
            fitting.append(line)
            self._size += len(line)
        self._put(b"".join(fitting))

    def close(self) -> None:
        super().close()
        self._file.close()

    def _rotate(self) -> None:
        self._stream = None  # it is closed, whatever comes of it
        try:
            self._file.doRollover()
        except OSError:
            self._reopen()
        self._stream, self._torn = self._file.stream, False
        self._size = 0  # also after a failure: each try costs an older file, so the next comes after as many bytes

    def _reopen(self) -> None:
        self._file.close()
        self._file = self._opened()
        self._stream = self._file.stream

    def _opened(self) -> logging.handlers.RotatingFileHandler:
        file = logging.handlers.RotatingFileHandler(
            self._path, maxBytes=self._rotate_at, backupCount=self._keep, encoding="utf-8"
        )
        self._size = self._path.stat().st_size
        return file
