"""One client's conversation with the mail server, and the script that lets a test break it at any phase."""

# ruff: noqa: N815 - aiosmtpd finds commands by these names
from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn, cast

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Phase(StrEnum):
    BANNER = "banner"
    EHLO = "EHLO"  # and HELO
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    RSET = "RSET"
    QUIT = "QUIT"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"  # after the first line of the mail
    DOT = "dot"  # the whole mail is there, and taken unless the scripted reply is negative


@dataclass
class Script:
    """For tests. Looked at when a phase is reached, so it can be changed at any time."""

    replies: dict[Phase, str | bytes] = field(default_factory=dict)  # said instead of the usual answer
    drop_at: Phase | None = None  # the connection is cut instead of an answer
    hang_at: Phase | None = None  # no answer at all
    only_connection: int | None = None  # all of it is for this connection only, counted from 1

    def breaks(self, phase: Phase, connection: int) -> bool:
        if self.only_connection not in (None, connection):
            return False
        return phase in (self.drop_at, self.hang_at) or phase in self.replies


Command = Callable[[Any, Any], Awaitable[None]]


def _scripted(phase: Phase, usual: Command) -> Command:
    @functools.wraps(usual)
    async def command(session: Session, argument: str) -> None:
        session.verbs.append(usual.__name__.removeprefix("smtp_"))
        if session.broken_at(phase):
            await session.push(await session.act(phase))
        else:
            await usual(session, argument)

    return command


class Session(SMTP):
    """`handler` has aiosmtpd's hooks `handle_MAIL`, `handle_RCPT`, `handle_DATA`."""

    def __init__(
        self,
        handler: Any,
        script: Script,
        *,
        connection: int,
        verbs: list[str],
        ended: Callable[[Session], None],
        tls: ssl.SSLContext | None,
        authenticate: Callable[[LoginPassword], bool],
    ) -> None:
        """`verbs` gets every command's name; `ended` is called when the connection is gone."""
        super().__init__(
            handler,
            hostname="localhost",
            ident="Vestnik sandbox",
            tls_context=tls,
            auth_require_tls=False,
            authenticator=lambda _server, _state, _envelope, _mechanism, login: AuthResult(
                success=authenticate(login), handled=False, auth_data=login
            ),
            loop=asyncio.get_running_loop(),
        )
        self.verbs = verbs
        self._script = script
        self._connection = connection
        self._ended = ended

    @property
    def conversation(self) -> asyncio.Task[None] | None:
        return self._handler_coroutine

    def broken_at(self, phase: Phase) -> bool:
        return self._script.breaks(phase, self._connection)

    def negative_at(self, phase: Phase) -> bool:
        reply = self._script.replies.get(phase, "")
        return reply[:1] in ("4", "5", b"4", b"5")

    async def act(self, phase: Phase) -> bytes:
        """The scripted reply; does not come back where the script cuts the connection or lets it hang."""
        if phase is self._script.drop_at:
            await self.drop()
        if phase is self._script.hang_at:
            await _until_cut()
        reply = self._script.replies[phase]
        return reply if isinstance(reply, bytes) else reply.encode()

    async def drop(self) -> NoReturn:
        self.cut()
        await _until_cut()

    def cut(self) -> None:
        # Cast, not checked: uvloop's transports are none of asyncio's classes.
        transport = cast(asyncio.WriteTransport | None, self._original_transport or self.transport)
        if transport is not None:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._ended(self)

    async def _handle_client(self) -> None:
        try:
            if self.broken_at(Phase.BANNER):
                await self.push(await self.act(Phase.BANNER))
            else:
                await super()._handle_client()
        except ConnectionError:
            pass  # the client has gone, which is its right
        finally:
            if self.transport is not None:
                self.transport.close()

    async def _data(self, argument: str) -> None:
        if not self.broken_at(Phase.CONTENT):
            await super().smtp_DATA(argument)
            return
        await self.push("354 go on")
        await self._reader.readuntil(b"\r\n")
        await self.push(await self.act(Phase.CONTENT))
        await self.drop()

    async def _starttls(self, argument: str) -> None:
        await super().smtp_STARTTLS(argument)
        if self._original_transport is not None and self._original_transport.is_closing():
            # The client left in the middle of the handshake: asyncio tells nobody, and aiosmtpd would wait for ever.
            self.connection_lost(None)

    # `_scripted` goes by the names of the library's methods.
    _data.__name__ = "smtp_DATA"
    _starttls.__name__ = "smtp_STARTTLS"

    smtp_EHLO = _scripted(Phase.EHLO, SMTP.smtp_EHLO)
    smtp_HELO = _scripted(Phase.EHLO, SMTP.smtp_HELO)
    smtp_STARTTLS = _scripted(Phase.STARTTLS, _starttls)
    smtp_AUTH = _scripted(Phase.AUTH, SMTP.smtp_AUTH)
    smtp_RSET = _scripted(Phase.RSET, SMTP.smtp_RSET)
    smtp_MAIL = _scripted(Phase.MAIL, SMTP.smtp_MAIL)
    smtp_RCPT = _scripted(Phase.RCPT, SMTP.smtp_RCPT)
    smtp_QUIT = _scripted(Phase.QUIT, SMTP.smtp_QUIT)
    smtp_DATA = _scripted(Phase.DATA, _data)


async def _until_cut() -> NoReturn:
    """The end of the connection cancels the conversation, and with it this wait."""
    while True:
        await asyncio.Event().wait()
