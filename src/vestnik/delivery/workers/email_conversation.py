"""The octets between us and a mail server: lines out, replies in (RFC 5321, 4.2), strictly in turn.

`aiosmtplib` connects, upgrades to TLS and logs in; then this takes its connection over. Its own protocol reads one
reply at a time and throws away what comes unasked, so it can neither send several commands at once (RFC 2920) nor tell
that a reply too many has come, which would be taken for the answer to something else.
"""

from __future__ import annotations

import asyncio
import re
import select
from collections import deque

from aiosmtplib import SMTPResponse

from vestnik.runtime.deadlines import Deadlines

_LONGEST_REPLY = 32 << 10  # octets; RFC 5321, 4.5.3.1.5, allows 512 a line
_LINE = re.compile(rb"([0-9]{3})([ -]?)(.*)", re.DOTALL)
_HUNG_UP = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Broken(Exception):
    """No reply will come, or none that can be made out: the connection is gone, or nobody knows which is which."""


class Conversation(asyncio.Protocol):
    def __init__(self, transport: asyncio.Transport, deadlines: Deadlines) -> None:
        """In the running loop; nothing must be under way."""
        self._transport = transport
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._unread = bytearray()  # what is not yet a whole line
        self._lines: list[bytes] = []  # of a reply whose last line has not come
        self._replies: deque[SMTPResponse] = deque()
        self._awaited = 0  # replies to what was said
        self._waiter: asyncio.Future[None] | None = None
        self._broken: str | None = None
        self._events = select.poll()
        self._events.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        transport.set_protocol(self)

    @property
    def open(self) -> bool:
        return self._broken is None and not self._transport.is_closing()

    @property
    def unsent(self) -> int:
        """Octets that wait here, and not in the system."""
        return self._transport.get_write_buffer_size()

    def is_quiet(self) -> bool:
        """Whether it is open and the server has said nothing unasked, nor hung up.

        The system is asked, as the event loop may not have got round to reading it.
        """
        return self.open and not self._events.poll(0)

    def is_heard(self) -> bool:
        """Whether the server still listens, as far as the system knows just now."""
        return self.open and not any(events & _HUNG_UP for _, events in self._events.poll(0))

    def say(self, octets: bytes, *, replies: int) -> None:
        """Send something that so many replies are due to. Raises Broken."""
        if not self.open:
            raise Broken(self._broken or "connection lost")
        self._awaited += replies
        self._transport.write(octets)

    async def reply(self, limit: float) -> SMTPResponse:
        """The next one. Raises Broken, and TimeoutError after `limit` seconds."""
        if not self._replies:
            if not self.open:
                raise Broken(self._broken or "connection lost")
            self._waiter = self._loop.create_future()
            self._deadlines.set(self, self._loop.time() + limit)
            try:
                await self._waiter
            finally:
                self._waiter = None
                self._deadlines.clear(self)
        return self._replies.popleft()

    def close(self, last_words: bytes = b"") -> None:
        """Close when all is sent."""
        if last_words and self.open:
            self._transport.write(last_words)
        self._transport.close()

    def abort(self) -> None:
        """Close at once. Waits for nothing, not even for a TLS goodbye."""
        self._transport.abort()

    # What the deadlines and the event loop call

    def expire(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def data_received(self, data: bytes) -> None:
        if self._broken is not None:
            return
        self._unread += data
        while self._broken is None and (end := self._unread.find(b"\n") + 1):
            line = bytes(self._unread[:end])
            del self._unread[:end]
            self._take(line)
        if len(self._unread) + sum(map(len, self._lines)) > _LONGEST_REPLY:
            self._break("a reply without end")

    def eof_received(self) -> None:
        self._break("connection closed by the server")

    def connection_lost(self, error: Exception | None) -> None:
        self._break(f"connection lost: {error}" if error else "connection lost")

    def _take(self, line: bytes) -> None:
        found = _LINE.fullmatch(line)
        if found is None:
            self._break(f"not a reply of a mail server: {line.decode(errors='replace')}")
            return
        self._lines.append(found[3].strip(b" \t\r\n"))
        if found[2] == b"-":
            return
        text, self._lines = b"\n".join(self._lines), []
        if not self._awaited:
            self._break(f"{found[1].decode()} {text.decode(errors='replace')} (unasked)")
            return
        self._awaited -= 1
        self._replies.append(SMTPResponse(int(found[1]), text.decode(errors="surrogateescape")))
        self._wake(None)

    def _break(self, why: str) -> None:
        """Replies that came before still count; nothing else that comes is read."""
        if self._broken is None:
            self._broken = why
            self._transport.abort()
            self._wake(Broken(why))

    def _wake(self, error: Broken | None) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
