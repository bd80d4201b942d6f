"""What an operator writes about the exporter."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from vestnik.quiz.sources.http_settings import HttpUrl
from vestnik.scheduler.settings import ScheduleSettings
from vestnik.settings.values import Duration

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_NOT_FOR_KEYS = ("content-length", "content-type", "connection", "host", "idempotency-key", "transfer-encoding")


def _key(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("a key of ASCII characters without spaces")
    return value


def _key_header(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value.lower() in _NOT_FOR_KEYS:
        raise ValueError("the name of a header that carries the key, such as Authorization or X-Api-Key")
    return value


class ExportSettings(ScheduleSettings):
    """Q10, Q11, and when it runs."""

    url: HttpUrl
    key: Annotated[SecretStr, AfterValidator(_key)]
    key_header: Annotated[str, AfterValidator(_key_header)] = (
        "Authorization"  # as "Bearer KEY"; any other: the bare key
    )
    threshold: Annotated[int, Field(ge=1, le=10_000_000)] = 200  # more ready ones than this are sent before the time
    batch: Annotated[int, Field(ge=1, le=100)] = 5
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=10))] = timedelta(seconds=30)
    retry_delay: Annotated[Duration, Field(ge=timedelta(milliseconds=100))] = timedelta(seconds=30)  # doubled
    max_retry_delay: Annotated[Duration, Field(ge=timedelta(milliseconds=100))] = timedelta(hours=1)
