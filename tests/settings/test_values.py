from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vestnik.settings.values import (
    Address,
    OneOrMore,
    OneOrMoreOnce,
    Rate,
    Section,
    Switch,
    is_loopback_host,
    parse_address,
    parse_duration,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("45", 45), ("1.5s", 1.5), ("0", 0)],
)
def test_a_duration_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "-1s", "12:30", "1 day", "1w", "s", "1e3", "inf", "nan", "9" * 400, "3651d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a duration"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "size"), [("20MB", 20 << 20), ("512KB", 512 << 10), ("1GB", 1 << 30), ("7", 7)])
def test_a_size_counts_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5MB", "20 mb", "20M", "MB"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "rate"), [("30/s", Rate(30, 1)), ("20/min", Rate(20, 60)), ("1000 / h", Rate(1000, 3600))]
)
def test_a_rate_is_a_count_in_a_period(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "30", "0/s", "-1/s", "1/d", "1.5/s", "/s"])
def test_anything_else_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a rate"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:0", Address("::1", 0)),
        ("localhost:65535", Address("localhost", 65535)),
    ],
)
def test_an_address_prints_as_it_is_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "8080", ":8080", "host:", "host:65536", "::1:80", "a b:80", "[::1]", "h:-1"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"^an address"):
        parse_address(text)


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_no_value_raises_anything_but_value_error(value: Any) -> None:
    for parse in (parse_duration, parse_size, parse_rate, parse_address):
        with contextlib.suppress(ValueError):
            parse(value)


class _Example(Section):
    switch: Switch = False
    names: OneOrMore[str] = ()
    recipients: OneOrMoreOnce[str] = ()


def test_only_true_and_false_are_switches() -> None:
    assert _Example.model_validate({"switch": "true"}).switch is True
    for word in ("no", "yes", "on", "0", "1", None):
        with pytest.raises(ValidationError, match="true or false"):
            _Example.model_validate({"switch": word})


def test_one_value_is_a_list_of_one() -> None:
    assert _Example.model_validate({"names": "a"}).names == ("a",)
    assert _Example.model_validate({"names": ["a", "b"]}).names == ("a", "b")
    with pytest.raises(ValidationError):
        _Example.model_validate({"names": []})


def test_what_is_wanted_once_is_kept_once_in_the_order_given() -> None:
    assert _Example.model_validate({"recipients": "a"}).recipients == ("a",)
    assert _Example.model_validate({"recipients": ["b", "a", "b", "c", "a"]}).recipients == ("b", "a", "c")
    with pytest.raises(ValidationError):
        _Example.model_validate({"recipients": []})


def test_sections_are_frozen() -> None:
    with pytest.raises(ValidationError):
        _Example().switch = True  # type: ignore[misc]  # which is what is tested


@pytest.mark.parametrize(
    ("host", "wanted"),
    [(host, True) for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1")]
    + [(host, False) for host in ("", "::", "128.0.0.1", "192.168.0.1", "localhost.evil.test", "127.0.0.1.evil.test")],
)
def test_a_loopback_host_is_this_machine_whoever_is_asked(host: str, wanted: bool) -> None:
    assert is_loopback_host(host) is wanted


@pytest.mark.parametrize(
    ("one", "another", "wanted"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("localhost:80", "127.0.0.1:80", True),
        ("localhost:80", "[::1]:80", True),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("0.0.0.0:80", "localhost:80", True),
        ("0.0.0.0:80", "[::1]:80", False),
        ("[::]:80", "[::1]:80", True),
        ("[::]:80", "127.0.0.1:80", False),
    ],
)
def test_two_addresses_overlap_where_one_program_would_keep_out_the_other(one: str, another: str, wanted: bool) -> None:
    assert parse_address(one).overlaps(parse_address(another)) is wanted
    assert parse_address(another).overlaps(parse_address(one)) is wanted
