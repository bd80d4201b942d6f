"""How long a server asks to be left alone."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vestnik.runtime.retry_after import LONGEST, retry_after

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"), [("60", 60), (" 7 ", 7), ("0", 1), ("999999999999", LONGEST), (None, None)]
)
def test_a_number_of_seconds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_a_date() -> None:
    assert retry_after(formatdate(NOW + 90, usegmt=True), NOW) == 90
    assert retry_after(formatdate(NOW - 90, usegmt=True), NOW) == 1


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "0x10", "Fri, 99 Foo 2026", "٣"])
def test_nonsense_is_nothing(value: str) -> None:
    assert retry_after(value, NOW) is None


@given(st.text())
@example("0\x1f")
def test_whatever_a_server_says_it_is_understood_or_nothing(value: str) -> None:
    seconds = retry_after(value, NOW)
    assert seconds is None or 1 <= seconds <= LONGEST
