"""One bot through aiogram, which words the requests and reads the answers.

The requests go out over our own exchange: aiogram's session reports a connection that was never made and one that broke
after the message went out alike, and the second makes a second copy of the message possible.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramUnauthorizedError,
)
from aiogram.methods import SendMessage, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import MessageId

from vestnik.delivery.workers.http_exchange import Answer, Exchange, Request
from vestnik.delivery.workers.worker import Refused, Unavailable
from vestnik.runtime.log import get_logger
from vestnik.runtime.retry_after import believed

log = get_logger(__name__)

_MOST_MOVES = 2  # that one delivery follows; a chat that moves on and on is a fault of the server


class SendText(SendMessage):
    """`sendMessage` that reads only the id in the answer.

    To read all of the message, as aiogram does, would take a delivered one for lost when Telegram changes some field.
    """

    __returning__: ClassVar[Any] = MessageId


class TelegramBot:
    def __init__(
        self,
        token: str,
        *,
        channel: str,
        api_server: str,
        timeout: float,
        parse_mode: str | None,
        disable_notification: bool,
    ) -> None:
        """In the running loop; `close` at the end. `timeout`: seconds for connection and answer together."""
        self._channel = channel
        self._parse_mode = parse_mode
        self._disable_notification = disable_notification or None  # None is left out of the request
        self._moved: dict[str, str] = {}
        self._bot = Bot(token, session=BotSession(Exchange(timeout, _secrets(token)), api_server))

    async def close(self) -> None:
        await self._bot.session.close()

    async def send(self, recipient: str, text: str) -> str:
        """The message's id in its chat. Raises Refused, Unavailable."""
        for _ in range(_MOST_MOVES + 1):
            try:
                return await self._send(self._moved.get(recipient, recipient), text)
            except TelegramMigrateToChat as error:
                self._move(recipient, str(error.migrate_to_chat_id))
        raise Unavailable(f"the chat {recipient} moves on and on")

    async def _send(self, chat: str, text: str) -> str:
        method = SendText(
            chat_id=chat, text=text, parse_mode=self._parse_mode, disable_notification=self._disable_notification
        )
        sent = cast(MessageId, await self._bot(method))
        return str(sent.message_id)

    def _move(self, recipient: str, chat: str) -> None:
        self._moved[recipient] = chat
        log.warning(
            "the group became a supergroup: put its new number into the configuration",
            channel=self._channel,
            recipient=recipient,
            chat_id=chat,
        )


class BotSession(BaseSession):
    """Raises Unavailable and Refused, and of aiogram's own errors only TelegramMigrateToChat."""

    def __init__(self, exchange: Exchange, api_server: str) -> None:
        super().__init__(api=TelegramAPIServer.from_base(api_server))
        self._exchange = exchange

    async def close(self) -> None:
        await self._exchange.close()

    async def make_request(
        self,
        bot: Bot,
        method: TelegramMethod[TelegramType],
        timeout: int | None = None,  # noqa: ARG002, ASYNC109 - aiogram's signature; the exchange has its own
    ) -> TelegramType:
        answer = await self._exchange.ask(self._request(bot, method))
        if not (200 <= answer.status < 300 or 400 <= answer.status < 500):
            # Not for aiogram, which stumbles over a 500 without a description.
            raise Unavailable(self._said(answer), maybe_sent=answer.status == 504, retry_after=answer.retry_after)
        try:
            response = self.check_response(bot, method, answer.status, answer.text)
        except TelegramMigrateToChat:
            raise
        except AiogramError as error:
            raise self._outcome(error, answer) from None
        if response.result is None:
            raise Unavailable(f"not an answer of the Bot API: {self._said(answer)}", maybe_sent=True)
        return response.result

    def stream_content(self, *args: Any, **kwargs: Any) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError("no files are fetched")

    def _request(self, bot: Bot, method: TelegramMethod[Any]) -> Request:
        fields = method.model_dump(warnings=False)
        values = {name: self.prepare_value(value, bot=bot, files={}) for name, value in fields.items()}
        body = urlencode({name: value for name, value in values.items() if value is not None}).encode()
        url = self.api.api_url(bot.token, method.__api_method__)
        return Request("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body)

    def _outcome(self, error: AiogramError, answer: Answer) -> Refused | Unavailable:
        reason = self._said(answer, error)
        match error:
            case TelegramRetryAfter():
                return Unavailable(reason, retry_after=believed(error.retry_after))
            case TelegramUnauthorizedError() | TelegramBadRequest(message="Logged out"):
                return Unavailable(reason, unauthorised=True)
            case TelegramNotFound() if "chat" not in reason.lower():
                # What is answered where the token or the path of api_server is none.
                return Unavailable(reason, unauthorised=True)
            case TelegramBadRequest() | TelegramForbiddenError() | TelegramNotFound() | TelegramEntityTooLarge():
                return Refused(reason)
            case ClientDecodeError():
                what = f"not an answer of the Bot API: {reason}"
                return Unavailable(what, maybe_sent=answer.status < 300, retry_after=answer.retry_after)
            case _:
                return Unavailable(reason, retry_after=answer.retry_after)

    def _said(self, answer: Answer, error: AiogramError | None = None) -> str:
        words = error.message if isinstance(error, TelegramAPIError) else None
        if isinstance(error, TelegramRetryAfter):  # aiogram puts much of its own before the server's words
            words = words.rpartition("Original description: ")[2] if words else None
        return f"{answer.status} {self._exchange.quoted(words or answer.text)}".strip()


def _secrets(token: str) -> tuple[str, ...]:
    """The token and its secret half; a half as short as that of a made-up token would blot out ordinary words."""
    half = token.partition(":")[2]
    return (token, half) if len(half) >= 8 else (token,)
