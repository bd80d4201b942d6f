"""Looks for damage in SQLite's write-ahead log, which SQLite takes for its end.

After a crash SQLite reads the log up to the first frame whose checksum is wrong, and drops the rest: rightly for a
commit that was being written, whose frames may be there in part. But a changed byte in an older frame drops every
commit behind it without a word, answered ones too. With synchronous=FULL a commit begins to be written only when the
one before it is whole on disk: a broken frame before the last commit is damage, and has to be told.

The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LONGEST = 64 << 20  # bytes; 0.02 s a megabyte. SQLite keeps it near 4 MB
_HEADER, _FRAME = struct.Struct(">IIIIIIII"), struct.Struct(">IIIIII")
_LITTLE, _BIG = 0x377F0682, 0x377F0683  # the magic says in which order checksums are computed
_MASK = 0xFFFFFFFF
_PAGE_SIZES = {512 << shift for shift in range(8)}

Sums = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    number: int  # the first is 1
    ours: bool  # of the log's present round, by its salts; frames of older rounds lie behind
    commits: bool
    follows: bool  # from the checksum that is stored with the frame before
    stored: Sums


def damaged_frame(log: Path) -> int | None:
    """The number of a frame that was whole on disk once and is not any more; 0 means the log's header.

    None when all is well, or when what is broken can be the commit that a crash interrupted. Nobody may be writing.
    """
    if not log.exists() or log.stat().st_size > LONGEST:
        return None
    with log.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return None
        whole = _is_whole(header)
        # A header is synced before any frame is written. When it is broken, nothing says what the salts were.
        salts = header[16:24] if whole else None
        return _first_damaged(_frames(file, header, salts), header_whole=whole)


def _first_damaged(frames: Iterator[Frame], *, header_whole: bool) -> int | None:
    broken: int | None = None if header_whole else 0
    commits = 0 if header_whole else 1
    for frame in frames:
        sound = frame.ours and frame.follows
        if broken is None and not sound:
            broken = frame.number
            commits += frame.ours and frame.commits
        elif broken is not None and sound and frame.commits:
            # One can be the end of the commit that was interrupted; another began only when that was whole.
            commits += 1
        if commits > 1:
            return broken
    return None


def _frames(file: BinaryIO, header: bytes, salts: bytes | None) -> Iterator[Frame]:
    magic, _, page_size, *_ = _HEADER.unpack(header)
    if magic not in (_LITTLE, _BIG):
        magic = _LITTLE
    if page_size not in _PAGE_SIZES:
        page_size = 4096
    words = struct.Struct(f"{'<' if magic == _LITTLE else '>'}{2 + page_size // 4}I")
    sums: Sums = _HEADER.unpack(header)[6:]
    number = 0
    while len(frame := file.read(_FRAME.size + page_size)) == _FRAME.size + page_size:
        number += 1
        _, size, *_, first, second = _FRAME.unpack(frame[: _FRAME.size])
        if salts is None:
            salts = frame[8:16]
        follows = checksum(words.unpack(frame[:8] + frame[_FRAME.size :]), sums) == (first, second)
        sums = first, second
        yield Frame(number, frame[8:16] == salts, size > 0, follows, sums)


def _is_whole(header: bytes) -> bool:
    magic, *_, first, second = _HEADER.unpack(header)
    order = {_LITTLE: "<", _BIG: ">"}.get(magic)
    return order is not None and checksum(struct.unpack(f"{order}6I", header[:24]), (0, 0)) == (first, second)


def checksum(words: tuple[int, ...], start: Sums) -> Sums:
    """SQLite's, over an even number of 32-bit words."""
    first, second = start
    for number in range(0, len(words), 2):
        first = (first + words[number] + second) & _MASK
        second = (second + words[number + 1] + first) & _MASK
    return first, second
