"""Bytes to text, whatever they claim to be. Never raises: what fits nothing becomes a character that screening sees."""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

#: Encodings that a far side may name. Python knows more, such as "zip" and "punycode", whose decoding is an attack.
_NAMES = re.compile(
    r"utf-?8|utf-?16(-?[lb]e)?|utf-?32(-?[lb]e)?|us-ascii|ascii|latin-?1|iso-?8859-?\d{1,2}|(windows-|cp)125\d"
    r"|koi8-[rut]|(cp|ibm)?866|mac-?cyrillic|gbk?|gb2312|gb18030|big5|euc-?(jp|kr)|shift[_-]?jis",
    re.IGNORECASE,
)
_WIDE = ("utf-16", "utf-32")
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_LOOKED_AT = 2048  # bytes: where HTML's meta and XML's declaration stand

#: Of cp1252's 256 octets five are none; WHATWG's windows-1252 makes control characters of them, and so do we.
_CP1252 = {octet: bytes([octet]).decode("cp1252", "ignore") or chr(octet) for octet in range(0x80, 0x100)}


def known_encoding(name: str | None) -> str | None:
    """Python's name for an encoding that text on the web comes in; None for everything else."""
    if name is None or not _NAMES.fullmatch(name.strip()):
        return None
    try:
        return codecs.lookup(name.strip()).name
    except LookupError:
        return None


def decode(data: bytes, encoding: str | None = None, claimed: str | None = None) -> str:
    """`encoding` is the operator's word; `claimed` is the far side's, which is often wrong.

    Text that is valid UTF-8 and not ASCII is hardly ever something else, so it goes before every claim. What is neither
    UTF-8 nor as claimed is taken line by line for UTF-8 or Windows-1252: files grow together from both.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, "replace")
    if encoding is not None:
        return data.decode(encoding, "replace")
    name = known_encoding(claimed) or known_encoding(_declared(data)) or "utf-8"
    if name.startswith(_WIDE):
        return data.decode(name, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _by_line(data) if name in ("utf-8", "ascii", "iso8859-1", "cp1252") else data.decode(name, "replace")


def decode_line(line: bytes, encoding: str | None = None) -> str:
    """One line, without an end: UTF-8 or else Windows-1252, unless the operator names the encoding."""
    if encoding is not None:
        return line.decode(encoding, "replace")
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1").translate(_CP1252)


def _by_line(data: bytes) -> str:
    return "\n".join(map(decode_line, data.split(b"\n")))


def _declared(data: bytes) -> str | None:
    found = _DECLARED.search(data, 0, _LOOKED_AT)
    return found[1].decode("ascii") if found else None
