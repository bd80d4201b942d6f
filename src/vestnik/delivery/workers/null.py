"""The worker that goes nowhere: it logs its call, and is slow or fails when told to. For trials, and for tests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vestnik.delivery.model import Task
from vestnik.delivery.workers.worker import Refused, Unavailable, Worker, WorkerSettings
from vestnik.runtime.log import get_logger
from vestnik.settings.values import Duration, OneOrMoreOnce, Switch, parse_duration

log = get_logger(__name__)


class NullSettings(WorkerSettings):
    delay: Duration = parse_duration(0)  # how long a call takes
    fail: Literal["none", "unavailable", "refuse", "crash"] = "none"
    fail_first: Annotated[int, Field(ge=0)] = 0  # so many tries of each task fail; 0: all
    recipients: OneOrMoreOnce[str] = ("",)
    log_text: Switch = False  # texts may be private


class NullWorker(Worker):
    Settings: ClassVar[type[WorkerSettings]] = NullSettings

    takes_subject = True
    reaches_phones = True

    def __init__(self, settings: NullSettings, channel: str) -> None:
        self._settings = settings
        self._channel = channel

    def recipients(self) -> Sequence[str]:
        return self._settings.recipients

    async def deliver(self, task: Task) -> str | None:
        if log.isEnabledFor(logging.INFO):
            self._log(task)
        if delay := self._settings.delay.total_seconds():
            await asyncio.sleep(delay)
        if self._fails(task):
            self._fail()
        return None

    def _log(self, task: Task) -> None:
        text = {"text": task.text} if self._settings.log_text else {}
        log.info(
            "called, and goes nowhere",
            channel=self._channel,
            message=task.message_id,
            task=task.id,
            recipient=task.recipient,
            length=len(task.text),
            **text,
        )

    def _fails(self, task: Task) -> bool:
        return self._settings.fail_first == 0 or task.attempts <= self._settings.fail_first

    def _fail(self) -> None:
        match self._settings.fail:
            case "unavailable":
                raise Unavailable("told to be unavailable")
            case "refuse":
                raise Refused("told to refuse")
            case "crash":
                raise RuntimeError("told to crash")
