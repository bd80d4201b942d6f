from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from pydantic import ValidationError

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.null import NullSettings, NullWorker
from vestnik.delivery.workers.worker import Refused, Unavailable


def worker(**params: Any) -> NullWorker:
    return NullWorker(NullSettings.model_validate(params), "nowhere")


def task(attempts: int = 1) -> Task:
    return Task(
        id=TaskId(7), message_id=MessageId(5), channel="nowhere", recipient="", text="a secret plan", attempts=attempts
    )


async def logged(null: NullWorker, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    with caplog.at_level(logging.INFO, "vestnik.delivery.workers.null"):
        await null.deliver(task())
    [record] = caplog.records
    assert isinstance(record.msg, dict)
    return record.msg


async def test_it_logs_its_call_without_the_text(caplog: pytest.LogCaptureFixture) -> None:
    line = await logged(worker(), caplog)
    assert (line["channel"], line["message"], line["task"], line["length"]) == ("nowhere", 5, 7, 13)
    assert "secret" not in str(line)


async def test_it_logs_the_text_when_told_to(caplog: pytest.LogCaptureFixture) -> None:
    assert (await logged(worker(log_text="true"), caplog))["text"] == "a secret plan"


async def test_it_delivers_and_has_no_receipt() -> None:
    assert await worker().deliver(task()) is None


async def test_it_has_no_recipients_of_its_own() -> None:
    assert list(worker().recipients()) == [""]


async def test_recipients_can_be_given_and_count_once() -> None:
    assert list(worker(recipients=["a", "b", "a"]).recipients()) == ["a", "b"]


@pytest.mark.parametrize(
    ("fail", "error"), [("unavailable", Unavailable), ("refuse", Refused), ("crash", RuntimeError)]
)
async def test_it_fails_every_time_when_told_to(fail: str, error: type[Exception]) -> None:
    for attempts in (1, 2, 50):
        with pytest.raises(error):
            await worker(fail=fail).deliver(task(attempts))


async def test_it_fails_the_first_tries_of_each_task_only() -> None:
    null = worker(fail="unavailable", fail_first="2")
    for attempts in (1, 2):
        with pytest.raises(Unavailable):
            await null.deliver(task(attempts))
    assert await null.deliver(task(3)) is None


async def test_it_takes_its_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await worker(delay="1h").deliver(task())


@pytest.mark.parametrize(
    "params", [{"fail": "sometimes"}, {"delay": "soon"}, {"fail_first": "-1"}, {"recipients": []}, {"log": "true"}]
)
def test_other_settings_are_errors(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        worker(**params)


async def test_it_takes_any_text_but_an_empty_one() -> None:
    assert worker().text_problem("любой\nтекст") is None
    assert worker().text_problem("") is not None
