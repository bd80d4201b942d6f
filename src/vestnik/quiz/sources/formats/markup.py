"""Tells a web page that came in place of data: an error of a proxy, a login, a captcha."""

from __future__ import annotations

import re
from html import unescape

_PAGE = re.compile(r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html[\s>])", re.I | re.S)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,500})", re.IGNORECASE)
_LOOKED_AT = 20_000  # characters
LONGEST_QUOTE = 120


def is_page(text: str) -> bool:
    return _PAGE.match(text[:_LOOKED_AT]) is not None


def described_page(text: str) -> str:
    """`an HTML page ("502 Bad Gateway")`."""
    title = _TITLE.search(text[:_LOOKED_AT])
    words = quoted(unescape(title[1])) if title else ""
    return f'an HTML page ("{words}")' if words else "an HTML page"


def quoted(text: str) -> str:
    """Something a far side said: one line, printable, short."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * LONGEST_QUOTE]).split())
    return words if len(words) <= LONGEST_QUOTE else f"{words[: LONGEST_QUOTE - 1]}…"
