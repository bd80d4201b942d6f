"""Settings of the e-mail worker: which server, how to reach it, from whom and to whom."""

from __future__ import annotations

import ipaddress
import re
import ssl
import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from vestnik.delivery.workers.email_address import Mailbox, parse_address, parse_mailbox
from vestnik.delivery.workers.worker import WorkerSettings
from vestnik.settings.values import Duration, OneOrMoreOnce, is_loopback_host

_PORTS = {"none": 25, "starttls": 587, "implicit": 465}
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"


def _host(value: str) -> str:
    text = value.strip()
    if _is_address(text) or (re.fullmatch(rf"{_LABEL}(?:\.{_LABEL})*\.?", text) and len(text) <= 253):
        return text
    raise ValueError("a host name in ASCII or an IP address")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("one line of printable characters")
    return value


def _without_breaks(value: str) -> str:
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in value):
        raise ValueError("one line of text")
    return value


def _mailbox(value: Any) -> Mailbox:
    if isinstance(value, Mailbox):
        return value
    return parse_mailbox(value if isinstance(value, str) else "")  # pydantic would make one of keys, unchecked


def _readable_bundle(path: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"a file with PEM certificates (reading it failed: {error})") from error
    return path


Host = Annotated[str, AfterValidator(_host)]
EmailAddress = Annotated[str, AfterValidator(parse_address)]
Timeout = Annotated[Duration, Field(gt=timedelta(0))]


class EmailSettings(WorkerSettings):
    """`params` of an e-mail channel.

    `tls`: `starttls` demands the upgrade and never goes on without; `none` is for a server on the same machine.
    `connect_timeout` is for all that comes before the first mail: connection, TLS, greeting, login.
    `final_timeout` is for the answer to the final dot. RFC 5321, 4.5.3.2.6, wants ten minutes, which is what a
    channel gives a whole try; a server that answers later than ours has the mail, and it is marked `maybe_sent`.
    """

    model_config = ConfigDict(validate_default=True)

    host: Host
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None  # as usual for `tls`: 25, 587 or 465
    ca_file: Annotated[Path, AfterValidator(_readable_bundle)] | None = None  # trusted instead of the system's
    username: Annotated[str, AfterValidator(_one_line)] = ""
    password: SecretStr = SecretStr("")
    from_: Annotated[Mailbox, BeforeValidator(_mailbox)] = Field(alias="from")
    to: OneOrMoreOnce[EmailAddress]
    subject: Annotated[str, AfterValidator(_without_breaks)] = ""  # of messages that were sent without one
    helo: Host | None = None  # how we call ourselves; the machine's full name by default
    connect_timeout: Timeout = timedelta(minutes=1)
    command_timeout: Timeout = timedelta(minutes=1)
    final_timeout: Timeout = timedelta(minutes=5)
    idle_timeout: Duration = timedelta(seconds=30)  # how long an unused connection is kept

    @field_validator("password")
    @classmethod
    def _login(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        _one_line(password.get_secret_value())
        username, tls, host = (info.data.get(key) for key in ("username", "tls", "host"))
        if username is None or tls is None or host is None:  # that has an error of its own
            return password
        if username and not password.get_secret_value():
            raise PydanticKnownError("missing")  # any other error says that a secret was found
        if password.get_secret_value() and not username:
            raise ValueError("username and password, both or neither")
        if username and tls == "none" and not is_loopback_host(host):
            raise ValueError(f"tls: starttls or implicit, as without TLS it would cross the network to {host} in clear")
        return password

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        return self.host, self.port or _PORTS[self.tls]
