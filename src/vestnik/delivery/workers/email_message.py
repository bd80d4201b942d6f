"""Builds the bytes of a mail: RFC 5322 headers in ASCII and one text. Nothing here does I/O.

The standard library's `email` is not used for it on purpose. Its header objects decode what they are given, and up to
Python 3.12.4 an encoded line break in a subject (`=?UTF-8?Q?=0A?=Bcc: …`) becomes a header of its own (CVE-2024-6923,
seen with 3.11.7). Here nothing is decoded: what is not plain is encoded, so a header cannot hold a line break.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from vestnik.delivery.model import Task
from vestnik.delivery.workers.email_address import Mailbox

_LINE = 78  # RFC 5322, 2.1.1: should be at most; must be at most 998
_WORD_BYTES = 39  # base64 makes 52 of them, `=?utf-8?b?…?=` 64: with `Subject: ` below the 76 of RFC 2047, 2
_SPACES = {"Cc", "Zl", "Zp"}  # control characters, line and paragraph separator
_BREAK = re.compile(r"\r\n|\r|\n")


def compose(
    *,
    sender: Mailbox,
    recipient: str,
    subject: str,
    text: str,
    html: str | None = None,
    message_id: str,
    date: datetime,
) -> bytes:
    """The whole mail, seven bits, lines ending in CRLF and at most 998 octets long; dots are not doubled yet.

    `recipient` and `message_id` must be ASCII already, and `date` aware. `html` says the same as the text.
    """
    before, subject_line, after = _shared(sender, subject, text, html)
    varying = f"To: <{recipient}>\r\n{subject_line}Date: {_date(date)}\r\nMessage-ID: {message_id}\r\n"
    return b"".join((before, varying.encode("ascii"), after))


@lru_cache(maxsize=4)
def _shared(sender: Mailbox, subject: str, text: str, html: str | None) -> tuple[bytes, str, bytes]:
    """What the mails to all recipients of a message have in common: before, amid and after what they have not.

    Recipients of one message come one after another, so few are kept: they may be long.
    """
    subject = _cleaned(subject)
    subject_line = f"Subject: {_words(subject, _LINE - len('Subject: '))}\r\n" if subject else ""
    # RFC 3834: no automatic answers, please
    after = b"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n" + _content(text, html)
    return f"From: {_mailbox(sender)}\r\n".encode("ascii"), subject_line, after


def _content(text: str, html: str | None) -> bytes:
    if html is None:
        return _part("text/plain", text)
    parts = (_part("text/plain", text), _part("text/html", html))  # RFC 2046, 5.1.4: the best one last
    boundary = _boundary(parts)
    head = f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    between = f"--{boundary}\r\n"
    return (head + between + between.join(part.decode("ascii") for part in parts) + f"--{boundary}--\r\n").encode()


def _part(kind: str, text: str) -> bytes:
    encoding, body = _body(text)
    head = f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + body


def _boundary(parts: tuple[bytes, ...]) -> str:
    """The same at every try, and nothing that stands in the parts: their digest."""
    return f"=_{hashlib.sha256(b''.join(parts)).hexdigest()[:32]}"


@lru_cache(maxsize=1)
def _date(date: datetime) -> str:
    return format_datetime(date)


def message_id(task: Task, domain: str) -> str:
    """The same at every try, so that a mailbox that got two copies can tell; different for every task.

    The digest keeps two installations with one domain apart: ids count milliseconds, and both may hit the same one.
    """
    parts = (task.channel, task.recipient, repr(task.created_at), task.text)
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"<{task.id}.{digest[:16]}@{domain}>"


def _mailbox(mailbox: Mailbox) -> str:
    name, address = _cleaned(mailbox.name), f"<{mailbox.address}>"
    if not name:
        return address
    if _is_plain(name):
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        return f'"{escaped}"\r\n {address}' if len(escaped) + len(address) > 66 else f'"{escaped}" {address}'
    return f"{_encoded(name)}\r\n {address}"


def _words(text: str, room: int) -> str:
    """As it is where it is plain and fits into the line, else as encoded words (RFC 2047)."""
    return text if _is_plain(text) and len(text) <= room else _encoded(text)


def _is_plain(text: str) -> bool:
    # What looks like an encoded word must be encoded itself, or the reader decodes what nobody encoded.
    return text.isascii() and text.isprintable() and "=?" not in text


def _encoded(text: str) -> str:
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(part).decode()}?=" for part in _parts(text))


def _parts(text: str) -> Iterator[bytes]:
    """Pieces short enough for one encoded word each; no character is split (RFC 2047, 5)."""
    part = b""
    for character in text:
        octets = character.encode()
        if len(part) + len(octets) > _WORD_BYTES:
            yield part
            part = b""
        part += octets
    yield part


def _cleaned(text: str) -> str:
    """One line: what breaks or controls one becomes a space, halves of surrogate pairs become U+FFFD."""
    return "".join(_harmless(c) for c in text).strip()


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    return " " if category in _SPACES else "\N{REPLACEMENT CHARACTER}" if category == "Cs" else character


def _body(text: str) -> tuple[str, bytes]:
    """The encoding's name and the octets: as they are where that is safe on every way, else base64.

    8BITMIME would spare a quarter of the size, but depends on every server on the way; base64 depends on none.
    """
    lines = _BREAK.split(text)
    whole = "".join(f"{line}\r\n" for line in lines)
    if all(re.fullmatch(r"(?!From )[\t\x20-\x7e]{0,998}", line) for line in lines):  # `From ` would get a > in an mbox
        return "7bit", whole.encode("ascii")
    octets = base64.encodebytes(whole.encode("utf-8", "replace"))
    return "base64", octets.replace(b"\n", b"\r\n")
