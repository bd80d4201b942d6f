"""SMS to a set of numbers, through Kannel, the probe service or any HTTP API that the configuration describes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from vestnik.delivery.model import Task
from vestnik.delivery.workers.http_exchange import Exchange
from vestnik.delivery.workers.sms_gateways import Gateway, HttpApi, Kannel, Probe
from vestnik.delivery.workers.sms_request import Accepted
from vestnik.delivery.workers.sms_segments import segments
from vestnik.delivery.workers.sms_settings import SmsSettings
from vestnik.delivery.workers.worker import Refused, Worker, WorkerSettings


class SmsWorker(Worker):
    Settings: ClassVar[type[WorkerSettings]] = SmsSettings

    text_pattern = re.compile(r"(?=\s*\S)[^\x00]+")
    text_rule = "a text that is not blank and without NUL characters"
    reaches_phones = True

    def __init__(self, settings: SmsSettings, channel: str) -> None:  # noqa: ARG002 - the daemon logs it
        self._settings = settings
        self._exchange: Exchange | None = None
        self._gateway: Gateway | None = None

    def recipients(self) -> Sequence[str]:
        return self._settings.to

    def text_problem(self, text: str) -> str | None:
        problem = super().text_problem(text)
        if problem:
            return problem
        if re.search(r"[\ud800-\udfff]", text):
            return "a text of whole characters (this one has halves of surrogate pairs)"
        taken, most = segments(text), self._settings.max_segments
        return None if taken <= most else f"at most {most} SMS segments (this text takes {taken})"

    async def start(self) -> None:
        self._exchange = Exchange(self._settings.timeout.total_seconds(), _secrets(self._settings))
        self._gateway = _gateway(self._settings, self._exchange)

    async def stop(self) -> None:
        if self._exchange is not None:
            await self._exchange.close()
        self._exchange = self._gateway = None

    async def deliver(self, task: Task) -> str | None:
        if self._exchange is None or self._gateway is None:
            raise RuntimeError("deliver before start")
        if not re.fullmatch(r"[0-9]{1,15}", task.recipient):
            raise Refused(f"{task.recipient!r} is no phone number in international digits")
        answer = await self._exchange.ask(self._gateway.request(task))
        return self._gateway.judge(answer)


def _gateway(settings: SmsSettings, exchange: Exchange) -> Gateway:
    match settings.gateway:
        case "kannel":
            return Kannel(
                exchange.quoted,
                url=settings.url or "",
                username=settings.username,
                password=settings.password.get_secret_value(),
                sender=settings.from_,
                extra=settings.extra,
            )
        case "probe":
            return Probe(exchange.quoted, settings.url or "", settings.token.get_secret_value())
        case "http":
            assert settings.request is not None  # noqa: S101 - the settings see to it
            return HttpApi(exchange.quoted, settings.request, settings.accepted or Accepted())


def _secrets(settings: SmsSettings) -> Iterator[str]:
    yield settings.password.get_secret_value()
    yield settings.token.get_secret_value()
    if settings.request is not None:
        # Nobody marks which values of a described request are keys: every longer literal in it may be one.
        for text in settings.request.texts():
            parts = (text, *re.split(r"\{\w+\}|[\s&=?/]+", text))
            yield from (part for part in parts if len(part) >= 8 and "{" not in part)
