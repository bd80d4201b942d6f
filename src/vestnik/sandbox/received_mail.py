"""Reads a mail that arrived. Anybody may have sent it, so nothing in it is an error."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    sender: str
    subject: str | None
    text: str
    message_id: str | None
    date: str


def read_mail(content: bytes) -> ReceivedMail:
    """Headers and text decoded; line ends are `\\n`, and the one that ends every mail is taken off."""
    try:
        message = message_from_bytes(content, policy=policy.default)
        return ReceivedMail(
            sender=_header(message, "From") or "",
            subject=_header(message, "Subject"),
            text=_text(message),
            message_id=_header(message, "Message-ID"),
            date=_header(message, "Date") or "",
        )
    except Exception:  # the standard library's parser raises many kinds for mails that are none
        return ReceivedMail("", None, _one_kind_of_line(content.decode(errors="replace")), None, "")


def _header(message: EmailMessage, name: str) -> str | None:
    value = message[name]
    return None if value is None else str(value)


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    return _one_kind_of_line(str(part.get_content()))


def _one_kind_of_line(text: str) -> str:
    return text.replace("\r\n", "\n").removesuffix("\n")
