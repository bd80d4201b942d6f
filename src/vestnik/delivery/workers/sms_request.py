"""An SMS gateway's HTTP API as the configuration describes it: the request, with placeholders, and the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from vestnik.delivery.workers.http_url import HttpUrl
from vestnik.delivery.workers.worker import WorkerSettings
from vestnik.settings.document import plain_value
from vestnik.settings.values import OneOrMore

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_NOT_YOURS = ("content-length", "transfer-encoding", "host")
_PLACEHOLDER = re.compile(r"\{(phone|text|id)\}")


def filled(template: str, values: Mapping[str, str], encode: Callable[[str], str] = str) -> str:
    """`{phone}`, `{text}` and `{id}` replaced in one pass: what is put in is not looked at again."""
    return _PLACEHOLDER.sub(lambda found: encode(values[found[1]]), template)


def filled_json(template: Any, values: Mapping[str, str]) -> Any:
    """The same in every text of a JSON value; names of members stay as they are."""
    match template:
        case str():
            return filled(template, values)
        case dict():
            return {name: filled_json(child, values) for name, child in template.items()}
        case list():
            return [filled_json(child, values) for child in template]
        case _:
            return template


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from error
    return value


Status = Annotated[int, Field(ge=100, le=599)]


class RequestTemplate(WorkerSettings):
    """An HTTP request; `{phone}`, `{text}` and `{id}` in it are replaced for each message."""

    method: Literal["GET", "POST", "PUT", "PATCH"] = "POST"
    url: HttpUrl
    headers: dict[str, SecretStr] = Field(default_factory=dict)  # secret, as most carry a key of the API
    query: dict[str, str] = Field(default_factory=dict)
    form: dict[str, str] | None = None
    json_: Any = Field(default=None, alias="json")

    @field_validator("json_", mode="before")
    @classmethod
    def _unquoted_scalars(cls, value: Any) -> Any:
        return plain_value(value)

    @field_validator("headers")
    @classmethod
    def _sound_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _NOT_YOURS:
                raise ValueError(f"names of HTTP headers ({name!r} is none, or is not yours to set)")
            if not re.fullmatch(r"[\t -~]*", value.get_secret_value()):
                raise ValueError(f"header values of ASCII characters in one line (see {name})")
            if "{text}" in value.get_secret_value():
                raise ValueError(f"{{text}} in the URL, query, form or json: header {name} cannot carry every text")
        return headers

    @model_validator(mode="after")
    def _carries_the_message(self) -> RequestTemplate:
        if self.form is not None and self.json_ is not None:
            raise ValueError("form or json, not both")
        if self.method == "GET" and (self.form is not None or self.json_ is not None):
            raise ValueError("no form and no json with GET: it has no body")
        whole = "\n".join(self.texts())
        missing = [name for name in ("{phone}", "{text}") if name not in whole]
        if missing:
            raise ValueError(f"a request with {' and '.join(missing)} in it")
        return self

    def texts(self) -> Iterator[str]:
        """Every text in which placeholders are replaced."""
        yield self.url
        yield from (value.get_secret_value() for value in self.headers.values())
        yield from self.query.values()
        yield from (self.form or {}).values()
        yield from _texts(self.json_)


class Accepted(WorkerSettings):
    """Which answers say yes: one of these statuses and, where given, a body in which the expression is found."""

    status: Annotated[OneOrMore[Status], Field(validate_default=True)] = (200, 202)
    body: Annotated[str, AfterValidator(_regex)] | None = None


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for child in value.values():
                yield from _texts(child)
        case list():
            for child in value:
                yield from _texts(child)
