"""How many SMS a text takes (3GPP TS 23.038, alphabets; TS 23.040, 9.2.3.24.1, concatenation).

A text whose characters all stand in the GSM 7-bit default alphabet is sent in septets: 160 in a single message, 153 in
each part of a longer one, where a header takes the rest. Any other text is sent in UCS-2: 70 and 67 units of 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterable

# TS 23.038, 6.2.1, in the order of the table; its escape character (0x1B) is no character of a text.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# TS 23.038, 6.2.1.1: each is sent as the escape and one septet more.
_EXTENSION = frozenset("\f^{}\\[~]|€")
_ALL = _BASIC | _EXTENSION

_SEPTETS = (160, 153)
_UCS2_UNITS = (70, 67)


def fits_gsm7(text: str) -> bool:
    """Whether the GSM 7-bit default alphabet with its extension table has every character."""
    return _ALL.issuperset(text)


def segments(text: str) -> int:
    """How many SMS the text takes; at least 1."""
    if fits_gsm7(text):
        return _count((2 if character in _EXTENSION else 1 for character in text), *_SEPTETS)
    # Outside the Basic Multilingual Plane (emoji) a character is a surrogate pair.
    return _count((2 if ord(character) > 0xFFFF else 1 for character in text), *_UCS2_UNITS)


def _count(widths: Iterable[int], alone: int, part: int) -> int:
    """Fill parts in order: what takes two units is not cut in two, so a part may end one unit early.

    Gateways that do cut surrogate pairs in two (Kannel 1.4.5 does) may need one part less.
    """
    total, parts, used = 0, 1, 0
    for width in widths:
        total += width
        if used + width > part:
            parts, used = parts + 1, 0
        used += width
    return 1 if total <= alone else parts
