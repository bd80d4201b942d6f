"""Gets characters past parsers that refuse them: XML and YAML know no control characters, and real texts have them.

They are moved to a plane that nobody uses, and back when the parser is done: what they mean is screening's to judge.
"""

from __future__ import annotations

_PLANE = 0xF0000
_REFUSED = (
    *range(0x09),
    0x0B,
    0x0C,
    *range(0x0E, 0x20),
    *range(0x7F, 0x85),
    *range(0x86, 0xA0),
    0xFFFE,
    0xFFFF,
)
_SHIELD = {code: chr(_PLANE + code % 0xF000) for code in _REFUSED}
_UNSHIELD = {ord(there): chr(code) for code, there in _SHIELD.items()}


def shield(text: str) -> str:
    return text.translate(_SHIELD)


def unshield(text: str) -> str:
    return text if text.isascii() else text.translate(_UNSHIELD)
