"""The section `mailings`. It may be left out: everything in it has a default."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from vestnik.runtime.time_zones import is_zone
from vestnik.settings.values import Duration, Section, Size


def _zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError("a time zone of the IANA database, such as Europe/Moscow")
    return name


Zone = Annotated[str, AfterValidator(_zone)]


def _time(value: str) -> str:
    if not re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError('a time of day such as "09:00", in quotes')
    return value


class ReportSettings(Section):
    """The figures of all mailings, once a day (M7)."""

    channel: str  # one whose worker knows subjects: email
    at: Annotated[str, AfterValidator(_time)] = "09:00"
    timezone: Zone = "Europe/Moscow"


class MailingsSettings(Section):
    timezone: Zone = "Europe/Moscow"  # of clients that come without one
    import_limit: Annotated[Size, Field(ge=1)] = 512 << 20  # bytes of one CSV sent over HTTP
    #: How long before its start a mailing's tasks are made.
    ahead: Annotated[Duration, Field(le=timedelta(days=1))] = timedelta(minutes=10)
    report: ReportSettings | None = None
