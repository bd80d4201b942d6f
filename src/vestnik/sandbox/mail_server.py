"""A mail server that takes every mail into the inbox. `smtp_session` holds the conversation with one client."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Mapping, Sequence

from aiosmtpd.smtp import Envelope, LoginPassword, TLSSetupException
from aiosmtpd.smtp import Session as SmtpState

from vestnik.sandbox.far_side import Arrival, FarSide, Fault, Inbox
from vestnik.sandbox.received_mail import read_mail
from vestnik.sandbox.smtp_session import Phase, Script, Session
from vestnik.settings.values import Address

log = logging.getLogger(__name__)

GARBAGE = b"\xff\xfe <!doctype html> {not SMTP"
_KEPT = 100


class MailServer(FarSide):
    """Speaks SMTP on a socket of its own.

    Every login is welcome and none is needed, unless `accounts` (names and passwords) are given: then one is.
    `script` and what is counted and kept beside the inbox are for tests.
    """

    name = "mail"

    def __init__(
        self,
        inbox: Inbox,
        *,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        accounts: Mapping[str, str] | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        """`receive_buffer`: octets that the system takes from a client before we read them."""
        super().__init__(inbox)
        self.accounts = accounts
        self.script = Script()
        self.connections = 0  # accepted so far
        self.taken = 0  # mails
        self.verbs: list[str] = []  # of all commands that came, in order
        self.idle = asyncio.Event()  # nobody is connected
        self.contents: deque[bytes] = deque(maxlen=_KEPT)  # what was taken, as it came, doubled dots undone
        self._tls = tls
        self._implicit_tls = implicit_tls
        self._receive_buffer = receive_buffer
        self._sessions: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._address: Address | None = None

    @property
    def port(self) -> int:
        """Raises RuntimeError unless started."""
        if self._address is None:
            raise RuntimeError("the mail server is not running")
        return self._address.port

    async def start(self, address: Address) -> None:
        """Raises OSError when the address cannot be had."""
        # aiosmtpd has a line for every command and every closed connection; what failed, `_Intake` logs.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        await self._open(address)
        if self.fault is Fault.DOWN:
            self._close()

    async def stop(self) -> None:
        """Cuts what is connected."""
        self._address = None
        conversations = [session.conversation for session in self._sessions if session.conversation]
        self._close()
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    async def set_fault(self, fault: Fault) -> None:
        """DOWN closes the socket and cuts what is connected; its end opens the same port again, or raises OSError."""
        await super().set_fault(fault)
        if fault is Fault.DOWN:
            self._close()
        elif self._address is not None and self._server is None:
            await self._open(self._address)

    def cut(self) -> None:
        """Cut all connections, as the server's restart would."""
        for session in list(self._sessions):
            session.cut()

    async def take(self, sender: str, recipients: Sequence[str], content: bytes) -> None:
        """One arrival for each recipient of the envelope."""
        self.taken += 1
        self.contents.append(content)
        mail = read_mail(content)
        details = {"from": mail.sender, "envelope-from": sender, "date": mail.date}
        await self._take(
            Arrival(self.name, recipient, mail.text, mail.subject, mail.message_id, details) for recipient in recipients
        )

    async def _open(self, address: Address) -> None:
        tls = self._tls if self._implicit_tls else None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._session, address.host, address.port, ssl=tls, reuse_address=True, start_serving=False
        )
        listening = self._server.sockets[0]
        if self._receive_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        await self._server.start_serving()
        self._address = Address(address.host, listening.getsockname()[1])

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def _session(self) -> Session:
        self.connections += 1
        session = Session(
            _Intake(self),
            self.script,
            connection=self.connections,
            verbs=self.verbs,
            ended=self._ended,
            tls=None if self._implicit_tls else self._tls,
            authenticate=self._knows,
        )
        self._sessions.add(session)
        self.idle.clear()
        return session

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self.idle.set()

    def _knows(self, login: LoginPassword) -> bool:
        if self.accounts is None:
            return True
        name, password = (octets.decode(errors="replace") for octets in login)
        return self.accounts.get(name) == password


class _Intake:
    """What aiosmtpd asks about a mail, answered as the present fault says."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_MAIL(  # noqa: N802 - aiosmtpd finds hooks by name
        self, _session: Session, state: SmtpState, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._server.accounts is not None and not state.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802 - as above
        self, _session: Session, _state: SmtpState, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        match self._server.fault:
            case Fault.REFUSE:
                return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
            case Fault.RATE_LIMIT:
                return f"450 4.7.1 <{address}>: too many mails, try again in {self._server.retry_after} seconds"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802 - as above
        self, session: Session, _state: SmtpState, envelope: Envelope
    ) -> str | bytes:
        if self._server.fault is Fault.SLOW:
            await asyncio.sleep(self._server.slow_seconds)
        scripted = session.broken_at(Phase.DOT)
        if not (scripted and session.negative_at(Phase.DOT)):
            content = envelope.content
            await self._server.take(
                envelope.mail_from or "", envelope.rcpt_tos, content if isinstance(content, bytes) else b""
            )
        if scripted:
            return await session.act(Phase.DOT)
        match self._server.fault:
            case Fault.GARBAGE:
                return GARBAGE
            case Fault.DROP:
                await session.drop()
        return f"250 2.0.0 Ok: queued as {self._server.taken:06d}"

    async def handle_exception(self, error: Exception) -> str:
        if not isinstance(error, TLSSetupException):  # that is the client's refusal of our certificate
            log.error("the mail server failed", exc_info=error)
        return "451 4.3.0 the sandbox failed; its log says why"
