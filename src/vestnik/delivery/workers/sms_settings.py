"""Settings of the SMS worker: which gateway, how to reach it, to which numbers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import phonenumbers
from pydantic import AfterValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from vestnik.delivery.workers.http_url import HttpUrl
from vestnik.delivery.workers.sms_request import Accepted, RequestTemplate
from vestnik.delivery.workers.worker import WorkerSettings
from vestnik.settings.values import Duration, OneOrMoreOnce, parse_duration

_REQUIRED = {
    "kannel": ("url", "username", "password", "from"),
    "probe": ("url", "token"),
    "http": ("request",),
}
_OPTIONAL = {"kannel": ("extra",), "probe": (), "http": ("accepted",)}
# Kannel's own names of what the worker sends, with their old spellings: `extra` must not say them a second time.
_KANNEL_VARIABLES = frozenset(
    ("username", "user", "password", "pass", "from", "to", "text", "coding", "charset", "udh", "account")
)


def _phone(value: str) -> str:
    """International digits, with or without the plus, to E.164 without it."""
    wanted = "an international phone number such as 79990000001 or +79990000001"
    digits = value.strip().removeprefix("+")
    if not re.fullmatch(r"[0-9]{4,15}", digits):
        raise ValueError(wanted)
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException as error:
        raise ValueError(wanted) from error
    if not phonenumbers.is_valid_number(number):
        raise ValueError(f"{wanted} that exists in its country's numbering plan")
    return digits


Phone = Annotated[str, AfterValidator(_phone)]


class SmsSettings(WorkerSettings):
    """`params` of an SMS channel. Which keys there are besides the common ones depends on `gateway`."""

    model_config = ConfigDict(validate_default=True)

    gateway: Literal["kannel", "probe", "http"]
    to: OneOrMoreOnce[Phone]
    max_segments: Annotated[int, Field(ge=1, le=255)] = 10  # TS 23.040 counts parts in one octet
    timeout: Annotated[Duration, Field(gt=parse_duration(0))] = parse_duration(30)

    # Which of these belong here is the gateway's affair (_belongs_to_gateway); empty means not given.
    url: HttpUrl | None = None
    username: str = ""
    password: SecretStr = SecretStr("")
    from_: str = Field(default="", alias="from")
    extra: dict[str, str] = Field(default_factory=dict)  # further CGI variables, such as smsc or dlr-mask
    token: SecretStr = SecretStr("")
    request: RequestTemplate | None = None
    accepted: Accepted | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_an_absent_sender(cls, data: Any) -> Any:
        # An error of a default is told by the field's name, `from_`, instead of its key.
        return {"from": "", **data} if isinstance(data, dict) else data

    @field_validator("url", "username", "password", "from_", "extra", "token", "request", "accepted", mode="before")
    @classmethod
    def _belongs_to_gateway(cls, value: Any, info: ValidationInfo) -> Any:
        gateway, key = info.data.get("gateway"), str(info.field_name).rstrip("_")
        if gateway is None:  # its own error is told already
            return value
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        if given in (None, "") and key in _REQUIRED[gateway]:
            raise PydanticKnownError("missing")
        keys = (*_REQUIRED[gateway], *_OPTIONAL[gateway])
        if given and key not in keys:
            raise ValueError(f"no such key: gateway {gateway} has {', '.join(keys)}")
        return value

    @field_validator("token", "username", "password", "from_")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not text.isprintable():
            raise ValueError("one line of printable characters")
        return value

    @field_validator("extra")
    @classmethod
    def _other_variables(cls, extra: dict[str, str]) -> dict[str, str]:
        taken = sorted(_KANNEL_VARIABLES & extra.keys())
        if taken:
            raise ValueError(f"none of what the worker sends itself ({', '.join(taken)})")
        return extra
