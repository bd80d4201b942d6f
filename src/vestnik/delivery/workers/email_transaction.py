"""One connection to a mail server, and one mail at a time over it, with the one thing that a deliverer has to know:
whether the final dot may have gone out.

`aiosmtplib` sends the mail and waits for the answer in one call, and raises the same for a connection that was lost at
DATA, in the middle of the text and after the dot. So the commands are given here, and each reply is known by its phase.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiosmtplib import SMTPResponse

from vestnik.delivery.workers.email_conversation import Broken, Conversation
from vestnik.delivery.workers.email_replies import Lost, failure, is_negative
from vestnik.delivery.workers.quoting import Quoter
from vestnik.delivery.workers.worker import Refused, Unavailable

_POLL = 0.01  # seconds between two looks at a full send buffer
_DOT = b".\r\n"
#: Octets that the system takes at once (Linux gives a socket 16 KiB for what is to be sent). With these the dot goes
#: along: how far they came nobody can tell once they left us, so sending it apart would not tell more.
_AT_ONCE = 8 << 10


@dataclass(frozen=True, slots=True)
class Mail:
    """The envelope, in ASCII, and what goes into it: CRLF at every line's end, the last one's too."""

    sender: str
    recipient: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """Raises ValueError where something in the line would end it and begin another."""

    line: str
    wanted: int  # first digit of the reply; RFC 5321, 4.3.2, lets no more depend on the others

    def __post_init__(self) -> None:
        if not (self.line.isascii() and self.line.isprintable()):
            raise ValueError("a command with control characters or beyond ASCII")

    @property
    def verb(self) -> str:
        return self.line[:4]


_RSET, _DATA = Command("RSET", 2), Command("DATA", 3)


class Connection:
    """Made of a conversation that is greeted and logged in. Not for two mails at once."""

    def __init__(
        self,
        conversation: Conversation,
        *,
        pipelining: bool,
        size: bool,
        command_timeout: float,
        final_timeout: float,
        quoted: Quoter,
    ) -> None:
        """`pipelining`, `size`: whether the server has said that it knows these extensions (RFC 2920, RFC 1870)."""
        self._conversation = conversation
        self._pipelining = pipelining
        self._size = size
        self._command_timeout = command_timeout
        self._final_timeout = final_timeout
        self._quoted = quoted
        self._between_mails = True  # False: the server still holds a half-told envelope
        self._in_order = True  # False: nobody knows which reply comes next

    @property
    def usable(self) -> bool:
        """Whether it can carry another mail, as far as one can know without asking."""
        return self._in_order and self._conversation.is_quiet()

    def abort(self) -> None:
        """Close at once. Waits for nothing, not even for a TLS goodbye."""
        self._conversation.abort()

    def quit(self) -> None:
        """Say QUIT and close, without waiting for the answer: nothing hangs on it."""
        self._conversation.close(b"QUIT\r\n" if self._in_order else b"")

    async def send(self, mail: Mail) -> str:
        """Return what the server called the mail (the text of its last reply).

        Raises Refused and Unavailable; Lost where only the connection is to blame and the mail certainly did not go
        out. Look at `usable` afterwards, however it ended.
        """
        commands = self._commands(mail)
        self._in_order = self._between_mails = False
        for group in [commands] if self._pipelining else [[command] for command in commands]:
            await self._tell(group)
        await self._write(mail.content)
        reply = await self._last_reply()
        if is_negative(reply.code):
            error = failure(reply, "the mail", self._quoted)
            self._in_order = self._between_mails = not isinstance(error, Lost)
            raise error
        self._in_order = self._between_mails = True
        return self._quoted(reply.message)

    def _commands(self, mail: Mail) -> list[Command]:
        # RFC 1870: a server that will not take so much says so before it has got it.
        size = f" SIZE={len(mail.content)}" if self._size else ""
        envelope = [Command(f"MAIL FROM:<{mail.sender}>{size}", 2), Command(f"RCPT TO:<{mail.recipient}>", 2), _DATA]
        return envelope if self._between_mails else [_RSET, *envelope]

    async def _tell(self, commands: Sequence[Command]) -> None:
        """Give them all at once, and raise what the first negative reply among the answers means.

        The others are awaited as well, or nobody would know which is which. Where that fails, or where DATA is
        answered with 354 although the envelope was refused (RFC 2920, 3.1), the connection is not used any more.
        """
        lines = "".join([f"{command.line}\r\n" for command in commands])
        self._say(lines.encode("ascii"), replies=len(commands), at=commands[0].verb)
        objection: Refused | Unavailable | None = None
        for command in commands:
            try:
                reply = await self._reply(command.verb)
            except Lost as lost:
                raise objection or lost from None
            if objection is None:
                objection = self._objection(reply, command)
                if isinstance(objection, Lost):
                    raise objection
            elif command is _DATA and not is_negative(reply.code):
                raise objection
        if objection is not None:
            self._in_order = True
            raise objection

    async def _reply(self, verb: str) -> SMTPResponse:
        try:
            return await self._conversation.reply(self._command_timeout)
        except TimeoutError:
            raise Lost(f"no answer to {verb} within {self._command_timeout:g} s") from None
        except Broken as error:
            raise Lost(f"{self._quoted(str(error))} (at {verb})") from error

    def _objection(self, reply: SMTPResponse, command: Command) -> Refused | Unavailable | None:
        if reply.code // 100 == command.wanted:
            return None
        if command is not _RSET and is_negative(reply.code):
            return failure(reply, command.verb, self._quoted)
        return Lost(f"{reply.code} {self._quoted(reply.message)} is no answer to {command.verb}")

    async def _write(self, content: bytes) -> None:
        """The text and the final dot. Once the dot is on its way, what cannot be seen may have happened.

        A long text is seen out first: a connection lost meanwhile took no mail with it. Under TLS some of it may still
        wait below the encryption; then an end too early is taken for an unseen one.
        """
        stuffed = _stuffed(content)
        if not self._conversation.is_heard():
            raise Lost("connection lost in the middle of the mail")
        if len(stuffed) <= _AT_ONCE:
            self._say(stuffed + _DOT, replies=1, at="the text")
            return
        self._say(stuffed, replies=0, at="the text")
        try:
            async with asyncio.timeout(self._command_timeout):
                await asyncio.sleep(0)  # lets the loop see a connection that is gone already
                while self._conversation.unsent:  # noqa: ASYNC110 - the transport tells its protocol only
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise Lost(f"the text was not taken within {self._command_timeout:g} s") from None
        if not self._conversation.is_heard():
            raise Lost("connection lost in the middle of the mail")
        self._say(_DOT, replies=1, at="the text")

    async def _last_reply(self) -> SMTPResponse:
        try:
            reply = await self._conversation.reply(self._final_timeout)
        except TimeoutError:
            reason = f"no answer to the mail within {self._final_timeout:g} s"
            raise Unavailable(reason, maybe_sent=True) from None
        except Broken as error:
            raise Unavailable(f"{self._quoted(str(error))} (at the answer to the mail)", maybe_sent=True) from error
        if reply.code // 100 != 2 and not is_negative(reply.code):
            raise Unavailable(f"{reply.code} {self._quoted(reply.message)} is no answer to a mail", maybe_sent=True)
        return reply

    def _say(self, octets: bytes, *, replies: int, at: str) -> None:
        """Nothing of it went out where this raises Lost."""
        try:
            self._conversation.say(octets, replies=replies)
        except Broken as error:
            raise Lost(f"{self._quoted(str(error))} (at {at})") from error


def _stuffed(content: bytes) -> bytes:
    """RFC 5321, 4.5.2: a line that begins with a dot gets another one."""
    stuffed = content.replace(b"\n.", b"\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
