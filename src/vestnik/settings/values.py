"""Kinds of value that settings are made of: durations, sizes, rates, addresses, one-or-many.

Every scalar comes from the YAML document as text (`settings.document`): the type decides what `30s` or `no` means.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_PERIODS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_LONGEST = timedelta(days=3650)

T = TypeVar("T")


class Section(BaseModel):
    """Base of every section of the configuration: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_duration(value: Any) -> timedelta:
    """`500ms`, `30s`, `5m`, `2h`, `1d` or a number of seconds; up to ten years. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)?", str(value).strip())
    if not match:
        raise ValueError("a duration such as 500ms, 30s, 5m, 2h, 1d or a number of seconds")
    seconds = float(match[1]) * _UNITS[match[2] or "s"]
    if seconds > _LONGEST.total_seconds():
        raise ValueError("a duration of at most 3650d")
    return timedelta(seconds=seconds)


def parse_size(value: Any) -> int:
    """`20MB`, `512KB`, `1GB` or a number of bytes (powers of 1024). Raises ValueError."""
    match = re.fullmatch(r"(\d{1,12})\s*(B|KB|MB|GB)?", str(value).strip())
    if not match:
        raise ValueError("a size such as 20MB, 512KB or a number of bytes")
    return int(match[1]) * _SIZES[match[2] or ""]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any window of `period` seconds."""

    count: int
    period: float


def parse_rate(value: Any) -> Rate:
    """`N/s`, `N/min`, `N/h`. Raises ValueError."""
    if isinstance(value, Rate):
        return value
    match = re.fullmatch(r"(\d{1,7})\s*/\s*(s|min|h)", str(value).strip())
    if not match or int(match[1]) == 0:
        raise ValueError("a rate such as 30/s, 20/min or 1000/h")
    return Rate(int(match[1]), _PERIODS[match[2]])


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or connect."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def overlaps(self, other: Address) -> bool:
        """Whether only one of two programs could listen; with port 0 each gets its own."""
        if self.port != other.port or self.port == 0:
            return False
        return any(_same_host(one, another) for one in _hosts(self.host) for another in _hosts(other.host))


def is_loopback_host(host: str) -> bool:
    """Whether a host, as it is written, can only be this machine: no name server has a say in it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hosts(host: str) -> tuple[str, ...]:
    return ("127.0.0.1", "::1") if host.lower() == "localhost" else (host.lower(),)


def _same_host(one: str, another: str) -> bool:
    """`0.0.0.0` is every address of IPv4, `::` every one of IPv6."""
    everywhere = "::" if ":" in one else "0.0.0.0"  # noqa: S104 - compared, not bound
    return one == another or (everywhere in (one, another) and (":" in one) == (":" in another))


def parse_address(value: Any) -> Address:
    """`host:port` or `[ipv6]:port`; port 0 lets the system choose. Raises ValueError."""
    if isinstance(value, Address):
        return value
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):(\d{1,5})", str(value).strip())
    if not match or int(match[3]) > 65535:
        raise ValueError("an address such as 127.0.0.1:8080 or [::1]:8080")
    return Address(match[1] or match[2], int(match[3]))


def _parse_bool(value: Any) -> bool:
    """YAML 1.1 reads `no`, `on` and `y` as truth values; here only `true` and `false` are."""
    if isinstance(value, bool):
        return value
    if value in ("true", "True", "TRUE"):
        return True
    if value in ("false", "False", "FALSE"):
        return False
    raise ValueError("true or false")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _each_once(values: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
RateValue = Annotated[Rate, BeforeValidator(parse_rate)]
AddressValue = Annotated[Address, BeforeValidator(parse_address)]
Switch = Annotated[bool, BeforeValidator(_parse_bool)]
#: One value or a list of them; always a tuple, never empty.
OneOrMore = Annotated[tuple[T, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
#: The same, where saying one twice means no more than saying it once.
OneOrMoreOnce = Annotated[OneOrMore[T], AfterValidator(_each_once)]
