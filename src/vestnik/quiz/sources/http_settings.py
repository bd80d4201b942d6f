"""What an operator writes about a source that is asked over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, field_validator
from yarl import URL

from vestnik.quiz.sources.addresses import Origin, names_loopback, origin_of
from vestnik.quiz.sources.settings import SourceSettings
from vestnik.settings.values import Duration, OneOrMore, RateValue, Size, Switch

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_OURS = ("accept-encoding", "connection", "content-length", "content-type", "cookie", "host", "transfer-encoding")


def _url(value: str) -> str:
    wanted = "a URL such as https://quiz.example.org/api/questions, percent-encoded"
    try:
        url = URL(value)
        sound = url.scheme in ("http", "https") and bool(url.host) and not url.fragment
        (url.host or "").encode("idna")
    except ValueError:
        sound = False
    if not sound or not re.fullmatch(r"[!-~]+", value):
        raise ValueError(wanted)
    if "@" in value.split("/")[2]:
        raise ValueError(f"{wanted}, and no password in it: it would be shown wherever the URL is")
    return value


HttpUrl = Annotated[str, AfterValidator(_url)]


class HttpSettings(SourceSettings):
    url: HttpUrl
    #: What the source is asked for; a list is joined by commas.
    filters: dict[str, OneOrMore[str]] = Field(default_factory=dict)
    #: Both may carry a key, so neither is ever shown.
    params: dict[str, SecretStr] = Field(default_factory=dict)
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    rate: RateValue | None = None  # of requests to this host, those of other sources counted
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=10))] = timedelta(seconds=30)
    size: Annotated[Size, Field(ge=1024, le=1 << 30)] = 10 << 20  # of one answer, unpacked
    patience: Annotated[Duration, Field(le=timedelta(hours=1))] = timedelta(minutes=2)  # with "too many requests"
    #: The URL's own host and port may have an address that is not public. One that names loopback always may.
    allow_private: Switch = False

    @field_validator("headers")
    @classmethod
    def _sound_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"names of HTTP headers ({name!r} is none, or is not yours to set)")
            if not re.fullmatch(r"[\t -~]*", value.get_secret_value()):
                raise ValueError(f"header values of ASCII characters in one line (see {name})")
        return headers

    @property
    def first_url(self) -> URL:
        """With the filters, without what is secret."""
        return URL(self.url, encoded=True).update_query({name: ",".join(v) for name, v in self.filters.items()})

    @property
    def exempt(self) -> frozenset[Origin]:
        """The origins that may have an address which is not public."""
        url = URL(self.url)
        return frozenset({origin_of(url)}) if self.allow_private or names_loopback(url) else frozenset()

    def secrets(self) -> Iterator[str]:
        for section in (self.params, self.headers):
            for value in section.values():
                secret = value.get_secret_value()
                yield secret
                yield secret.rpartition(" ")[2]  # of "Bearer KEY" the key
