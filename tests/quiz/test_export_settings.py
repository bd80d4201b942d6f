"""What an operator may write about the exporter."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from vestnik.quiz.export.settings import ExportSettings
from vestnik.scheduler.triggers import Cron, Timer

GOOD = {"url": "https://quiz.example.org/api/questions", "key": "k-1", "mode": "CRON", "schedule": "0 */6 * * *"}


def settings(**changes: Any) -> ExportSettings:
    return ExportSettings.model_validate({**GOOD, **changes})


def test_what_is_left_out_is_as_the_documentation_says() -> None:
    found = settings()
    assert (found.key_header, found.threshold, found.batch) == ("Authorization", 200, 5)
    assert (found.timeout.total_seconds(), found.max_retry_delay.total_seconds()) == (30, 3600)


def test_the_key_does_not_show() -> None:
    assert "k-1" not in repr(settings())


@pytest.mark.parametrize("url", ["http://127.0.0.1:8090/main/questions", "https://[::1]/x?y=z", "http://h"])
def test_these_are_urls(url: str) -> None:
    assert settings(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://h/x", "https://", "https:///x", "h/x", "https://h/a b", "https://h/ж", "https://h/x#y",
        "https://u:p@h/", "https://h:99999/", "https://h\n/", "file:///etc/passwd", "//h/x",
    ],
)  # fmt: skip
def test_these_are_none(url: str) -> None:
    with pytest.raises(ValidationError, match="a URL"):
        settings(url=url)


@pytest.mark.parametrize("key", ["", "a b", "ключ", "a\nb", "a\x00"])
def test_a_key_that_no_header_carries_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="a key of ASCII characters"):
        settings(key=key)


@pytest.mark.parametrize("name", ["", "X Key", "Ключ", "Idempotency-Key", "content-type", "Host", "X-Key:"])
def test_a_header_that_is_not_for_keys_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="the name of a header"):
        settings(key_header=name)


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch", "0"), ("batch", "101"), ("threshold", "0"), ("timeout", "0"), ("timeout", "1h"), ("retry_delay", "0")],
)
def test_amounts_are_bounded(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        settings(**{name: value})


def test_it_says_when_to_run() -> None:
    assert settings(timezone="Europe/Moscow").trigger == Cron("0 */6 * * *", "Europe/Moscow")
    assert settings(mode="TIMER", schedule=None, interval="60000").trigger == Timer(60_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "HOURLY"},
        {"schedule": None},
        {"schedule": "0 0 31 4 *"},
        {"interval": "60000"},
        {"timezone": "Mars/Olympus"},
        {"mode": "TIMER", "schedule": None},
        {"mode": "TIMER", "schedule": None, "interval": "0"},
    ],
)
def test_a_time_that_never_comes_or_is_of_the_other_mode_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)
