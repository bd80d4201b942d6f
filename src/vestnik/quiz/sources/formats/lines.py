"""A text file line by line, however large it is."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from vestnik.quiz.sources.formats.decoding import decode_line

LONGEST_LINE = 1 << 20  # bytes; what is longer is cut off there

_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def lines(file: BinaryIO, encoding: str | None = None) -> Iterator[str]:
    """Without their ends. Each line is decoded by itself: files grow together from several encodings."""
    start = file.read(3)
    if start[:2] in _WIDE or (encoding or "").startswith(("utf-16", "utf-32")):
        yield from _wide(file, _WIDE.get(start[:2], encoding or ""), start)
        return
    file.seek(3 if start == codecs.BOM_UTF8 else 0)
    while line := file.readline(LONGEST_LINE):
        if not line.endswith(b"\n"):
            _skip_line(file)
        yield decode_line(line.rstrip(b"\r\n"), encoding)


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass


def _wide(file: BinaryIO, encoding: str, start: bytes) -> Iterator[str]:
    """UTF-16 and UTF-32, whose line ends are more than one byte."""
    file.seek(2 if start[:2] in _WIDE else 0)
    for line in codecs.getreader(encoding)(file, "replace"):
        yield line.rstrip("\r\n")
