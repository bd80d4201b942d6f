"""What a client's fields may be (M2), wherever they come from. Nothing here does I/O but looking zones up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vestnik.runtime.time_zones import is_zone

LONGEST_TAG = 64

PHONE_PATTERN = r"7[0-9]{10}"
CODE_PATTERN = r"[0-9]{1,6}"
_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
#: What is printed, with no space round it.
TAG_PATTERN = rf"([^\s{_CONTROL}]([^{_CONTROL}]{{0,{LONGEST_TAG - 2}}}[^\s{_CONTROL}])?)?"

PHONE_RULE = "must be a phone number such as 79991234567"
CODE_RULE = "must be one to six digits"
TAG_RULE = f"must be at most {LONGEST_TAG} characters, without line breaks or spaces round it"
ZONE_RULE = "must be a time zone of the IANA database, such as Europe/Moscow"

_PHONE, _CODE, _TAG = (re.compile(pattern) for pattern in (PHONE_PATTERN, CODE_PATTERN, TAG_PATTERN))
_HALVES = re.compile("[\ud800-\udfff]")  # JSON can write half a surrogate pair; no database can


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody says of a client. None says nothing: it stays as it is, or becomes the default."""

    phone: str
    operator_code: str | None = None
    tag: str | None = None
    timezone: str | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        """Fields, and what is wrong with them."""
        if not _PHONE.fullmatch(self.phone):
            yield "phone", PHONE_RULE
        if self.operator_code is not None and not _CODE.fullmatch(self.operator_code):
            yield "operator_code", CODE_RULE
        if self.tag is not None and not is_tag(self.tag):
            yield "tag", TAG_RULE
        if self.timezone is not None and not is_zone(self.timezone):
            yield "timezone", ZONE_RULE


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None and _HALVES.search(text) is None


def is_code(text: str) -> bool:
    return _CODE.fullmatch(text) is not None


def default_code(phone: str) -> str:
    """The three digits after the 7: right until somebody takes the number to another operator."""
    return phone[1:4]
