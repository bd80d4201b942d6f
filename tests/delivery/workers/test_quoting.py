from __future__ import annotations

import pytest

from vestnik.delivery.workers.email_replies import spellings
from vestnik.delivery.workers.quoting import Quoter


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("no such chat", "no such chat"),
        ("two\r\nlines\x1b[2J  and\ttabs ", "two lines [2J and tabs"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "…"),
        ("wrong: hunter2hunter2 and hunter2", "wrong: *** and ***"),
    ],
)
def test_a_quotation_is_one_short_line_without_secrets(said: str, quoted: str) -> None:
    assert Quoter(["hunter2", "", "hunter2hunter2"])(said) == quoted


def test_a_secret_is_taken_out_before_the_rest_is_cut() -> None:
    assert Quoter(["secret"])("x" * 197 + "secret") == "x" * 197 + "***"


def test_without_a_password_nothing_is_taken_out() -> None:
    assert Quoter(spellings("user", ""))("user AHVzZXIA") == "user AHVzZXIA"
