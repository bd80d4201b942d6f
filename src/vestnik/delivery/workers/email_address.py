"""Mail addresses as they are written in the configuration, and as they go over the wire: in ASCII only.

A local part beyond ASCII would need SMTPUTF8 (RFC 6531) at every server on the way, so it is refused. A domain beyond
ASCII is encoded (IDNA 2008). Quoted local parts and address literals are refused, too: nobody has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import idna

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*")
_LONGEST_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
_LONGEST_ADDRESS = 254  # the path of 4.5.3.1.3 without its brackets
_LONGEST_NAME = 200

_WANTED = "an address such as name@example.org"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """`address` is ASCII; `name` is as written, one line, maybe empty."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def parse_address(text: str) -> str:
    """The address in ASCII, its domain in lower case. Raises ValueError."""
    local_part, at, domain = text.strip().rpartition("@")
    if not at:
        raise ValueError(_WANTED)
    if not local_part.isascii():
        raise ValueError(f"{_WANTED}: before the @ only ASCII, as not every mail server takes more (SMTPUTF8)")
    if not _LOCAL_PART.fullmatch(local_part) or len(local_part) > _LONGEST_LOCAL_PART:
        raise ValueError(f"{_WANTED}, without quotes, spaces or brackets before the @")
    address = f"{local_part}@{_ascii_domain(domain)}"
    if len(address) > _LONGEST_ADDRESS:
        raise ValueError(f"an address of at most {_LONGEST_ADDRESS} characters")
    return address


def _ascii_domain(domain: str) -> str:
    plain = domain.lower()
    if domain.isascii() and _PLAIN_DOMAIN.fullmatch(plain):
        return plain  # what idna makes of it in fifty times the time
    try:
        return idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"{_WANTED}, with a domain that can be one") from error


def parse_mailbox(text: str) -> Mailbox:
    """`name@example.org`, `Name <name@example.org>` or `"Name" <name@example.org>`. Raises ValueError."""
    match = re.fullmatch(r"\s*(?P<name>[^<>]*?)\s*<(?P<address>[^<>]*)>\s*", text)
    if not match:
        return Mailbox("", parse_address(text))
    name = match["name"]
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError(f"a name of one line and at most {_LONGEST_NAME} printable characters before the address")
    return Mailbox(name, parse_address(match["address"]))
