"""Messages of a Telegram bot to a set of chats.

aiogram is not imported here but when a channel starts: that takes seconds, and more than 100 MB.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr

from vestnik.delivery.model import Task
from vestnik.delivery.workers.http_url import HttpUrl
from vestnik.delivery.workers.worker import Refused, Worker, WorkerSettings
from vestnik.settings.values import Duration, OneOrMoreOnce, Switch, parse_duration

if TYPE_CHECKING:
    from vestnik.delivery.workers.telegram_bot import TelegramBot

LONGEST_TEXT = 4096  # UTF-16 code units (https://core.telegram.org/bots/api#sendmessage)
_CHAT = re.compile(r"-?[1-9][0-9]{0,18}|@[A-Za-z][A-Za-z0-9_]{3,31}")


def _token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", value.get_secret_value()):
        raise ValueError("a bot's token as @BotFather gives it, such as 123456:ABC-DEF")
    return value


def _chat(value: str) -> str:
    if not _CHAT.fullmatch(value):
        raise ValueError("a chat's number such as -1001234567890, or the @name of a public one")
    return value


def _api_server(value: str) -> str:
    if re.search(r"[?{}]", value):
        raise ValueError("the URL of a Bot API server, without a query, such as https://api.telegram.org")
    return value.rstrip("/")


class TelegramSettings(WorkerSettings):
    token: Annotated[SecretStr, AfterValidator(_token)]
    chat_id: OneOrMoreOnce[Annotated[str, AfterValidator(_chat)]]
    api_server: Annotated[HttpUrl, AfterValidator(_api_server)] = "https://api.telegram.org"
    timeout: Annotated[Duration, Field(gt=parse_duration(0))] = parse_duration(30)  # connection and answer together
    parse_mode: Literal["HTML", "MarkdownV2", "Markdown"] | None = None  # None: the text as it is
    disable_notification: Switch = False


class TelegramWorker(Worker):
    Settings: ClassVar[type[WorkerSettings]] = TelegramSettings

    text_pattern: ClassVar[re.Pattern[str]] = re.compile(r"(?=\s*\S)[^\x00\ud800-\udfff]+")
    text_rule: ClassVar[str] = (
        f"a text that is not blank, without NUL and halves of surrogate pairs, of at most {LONGEST_TEXT} UTF-16 units"
    )

    def __init__(self, settings: TelegramSettings, channel: str) -> None:
        self._settings = settings
        self._channel = channel
        self._bot: TelegramBot | None = None

    def recipients(self) -> Sequence[str]:
        return self._settings.chat_id

    def text_problem(self, text: str) -> str | None:
        problem = super().text_problem(text)
        if problem:
            return problem
        units = len(text.encode("utf-16-le")) // 2
        wanted = f"at most {LONGEST_TEXT} UTF-16 units long"
        return None if units <= LONGEST_TEXT else f"{wanted} (this text has {units}; most emoji count twice)"

    async def start(self) -> None:
        # In a thread: other channels need not wait for the import.
        await asyncio.to_thread(import_module, "vestnik.delivery.workers.telegram_bot")
        from vestnik.delivery.workers.telegram_bot import TelegramBot  # noqa: PLC0415 - see the module's docstring

        settings = self._settings
        self._bot = TelegramBot(
            settings.token.get_secret_value(),
            channel=self._channel,
            api_server=settings.api_server,
            timeout=settings.timeout.total_seconds(),
            parse_mode=settings.parse_mode,
            disable_notification=settings.disable_notification,
        )

    async def stop(self) -> None:
        bot, self._bot = self._bot, None
        if bot is not None:
            await bot.close()

    async def deliver(self, task: Task) -> str | None:
        if self._bot is None:
            raise RuntimeError("deliver before start")
        if not _CHAT.fullmatch(task.recipient):
            raise Refused(f"{task.recipient!r} is neither a chat's number nor its @name")
        return await self._bot.send(task.recipient, task.text)
