"""Opens connections to the mail server, and keeps those that are between two mails for a while.

There are as many as executors deliver at once: one is opened whenever none is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from typing import cast

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPHeloError,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from vestnik.delivery.workers.email_conversation import Conversation
from vestnik.delivery.workers.email_replies import is_permanent, spellings
from vestnik.delivery.workers.email_settings import EmailSettings
from vestnik.delivery.workers.email_transaction import Connection
from vestnik.delivery.workers.quoting import Quoter
from vestnik.delivery.workers.worker import Unavailable
from vestnik.runtime.deadlines import Deadlines


class Connections:
    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._quoted = Quoter(spellings(settings.username, settings.password.get_secret_value()))
        self._kept: dict[Connection, float] = {}  # until when; the one used last at the end
        self._sweeping: asyncio.TimerHandle | None = None
        self._context: ssl.SSLContext | None = None
        self._helo = settings.helo
        self._deadlines: Deadlines | None = None  # made in the running loop

    def take_kept(self) -> Connection | None:
        """The one used last: it is the least likely to have been given up by the server."""
        while self._kept:
            connection, _ = self._kept.popitem()
            if connection.usable:
                return connection
            connection.abort()
        return None

    def give_back(self, connection: Connection) -> None:
        """After a mail, however it ended."""
        if not connection.usable:
            connection.abort()
            return
        self._kept[connection] = asyncio.get_running_loop().time() + self._settings.idle_timeout.total_seconds()
        if self._sweeping is None:
            self._sweep_later()

    async def close(self) -> None:
        """Close those that are kept."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        while self._kept:
            connection, _ = self._kept.popitem()
            connection.quit()
        await asyncio.sleep(0)

    def _sweep_later(self) -> None:
        """One timer for all: one for each mail would cost as much as a command."""
        soonest = next(iter(self._kept.values()))
        self._sweeping = asyncio.get_running_loop().call_at(soonest, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = asyncio.get_running_loop().time()
        for connection in [connection for connection, until in self._kept.items() if until <= now]:
            del self._kept[connection]
            connection.quit()
        if self._kept:
            self._sweep_later()

    async def open(self) -> Connection:
        """A new connection, greeted and logged in. Raises Unavailable."""
        settings, limit = self._settings, self._settings.connect_timeout.total_seconds()
        client: SMTP | None = None
        try:
            async with asyncio.timeout(limit):
                client = await self._client(limit)
                await client.connect()
                await _introduce(client)
            conversation = self._taken_over(client)
        except BaseException as error:
            if client is not None:
                client.close()
            if isinstance(error, TimeoutError | SMTPException | OSError):
                raise self._reason(error) from error
            raise
        return Connection(
            conversation,
            pipelining=client.supports_extension("pipelining"),
            size=client.supports_extension("size"),
            command_timeout=settings.command_timeout.total_seconds(),
            final_timeout=settings.final_timeout.total_seconds(),
            quoted=self._quoted,
        )

    def _taken_over(self, client: SMTP) -> Conversation:
        """The client is not used any more. Raises SMTPServerDisconnected."""
        # Cast, not checked: uvloop's transports are none of asyncio's classes.
        transport = cast(asyncio.Transport | None, client.transport)
        if transport is None or transport.is_closing():
            raise SMTPServerDisconnected("connection lost")
        self._deadlines = self._deadlines or Deadlines()
        return Conversation(transport, self._deadlines)

    async def _client(self, limit: float) -> SMTP:
        settings = self._settings
        host, port = settings.address
        if settings.tls != "none" and self._context is None:
            self._context = await asyncio.to_thread(_trust, settings)
        self._helo = self._helo or await asyncio.to_thread(_own_name)
        return SMTP(
            hostname=host,
            port=port,
            local_hostname=self._helo,
            use_tls=settings.tls == "implicit",
            start_tls=settings.tls == "starttls",
            tls_context=self._context,
            username=settings.username or None,
            password=settings.password.get_secret_value() or None,
            timeout=limit,
        )

    def _reason(self, error: BaseException) -> Unavailable:
        """Nothing was handed over yet. A 5yz here is about us or the server: the mail was not looked at."""
        host, port = self._settings.address
        where = f"{host}:{port}"
        match error:
            case SMTPAuthenticationError(code=code, message=message):
                said = f"{where} answered {code} {self._quoted(message)} to the login"
                return Unavailable(said, unauthorised=is_permanent(code))
            case SMTPResponseException(code=code, message=message):
                return Unavailable(f"{where} answered {code} {self._quoted(message)} before any mail")
            case ssl.SSLCertVerificationError() | SMTPException(__cause__=ssl.SSLCertVerificationError()):
                return Unavailable(f"the certificate of {where} is not trusted: {_tls_problem(error)}")
            case ssl.SSLError() | SMTPException(__cause__=ssl.SSLError()):
                return Unavailable(f"no TLS with {where}: {_tls_problem(error)}")
            case TimeoutError():
                return Unavailable(f"{where} was not ready within {self._settings.connect_timeout.total_seconds():g} s")
            case _:
                return Unavailable(f"no connection to {where}: {self._quoted(str(error)) or type(error).__name__}")


async def _introduce(client: SMTP) -> None:
    if not client.is_ehlo_or_helo_needed:
        return
    try:
        await client.ehlo()
    except SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


def _trust(settings: EmailSettings) -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca_file)


def _own_name() -> str:
    """Asks the resolver, which may take a while. A machine without a decent name is called localhost."""
    with contextlib.suppress(OSError, UnicodeError):
        name = socket.getfqdn()
        if re.fullmatch(r"[A-Za-z0-9.-]{1,253}", name):
            return name
    return "localhost"


def _tls_problem(error: BaseException) -> str:
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or cause)
