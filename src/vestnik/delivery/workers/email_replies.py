"""What an SMTP reply means for a task, and in which forms our password may stand in it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

from aiosmtplib import SMTPResponse

from vestnik.delivery.workers.quoting import Quoter
from vestnik.delivery.workers.worker import Refused, Unavailable

#: Authentication required, mechanism too weak, credentials invalid, encryption required (RFC 4954, 6).
_OUR_CREDENTIALS = frozenset({530, 534, 535, 538})
#: Closing the channel; bad sequence of commands: it is the connection that is of no use, not the mail.
_OF_THE_CONNECTION = frozenset({421, 503})


class Lost(Unavailable):
    """The connection is of no use any more, and nothing was handed over: another one may be tried at once."""


def failure(reply: SMTPResponse, after: str, quoted: Quoter) -> Refused | Unavailable:
    """What to raise for a reply of 4yz or 5yz to a command about the mail, or to its final dot."""
    said = f"{reply.code} {quoted(reply.message)} (answer to {after})"
    if reply.code in _OUR_CREDENTIALS:
        return Unavailable(said, unauthorised=True)
    if reply.code in _OF_THE_CONNECTION:
        return Lost(said)
    return Refused(said) if is_permanent(reply.code) else Unavailable(said)


def is_negative(code: int) -> bool:
    return 400 <= code <= 599


def is_permanent(code: int) -> bool:
    return 500 <= code <= 599


def spellings(username: str, password: str) -> Iterator[str]:
    """Of a password: a server may repeat the line that it did not like, AUTH PLAIN and AUTH LOGIN in base64."""
    if not password:
        return
    yield password
    yield from _encoded([password, f"\0{username}\0{password}"])


def _encoded(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        whole = base64.b64encode(text.encode()).decode()
        yield whole
        yield whole.rstrip("=")
