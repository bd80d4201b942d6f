"""One HTTP request and its answer, with the one thing a deliverer has to know: whether the request may have arrived."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from vestnik.delivery.workers.http_connections import Connection, Connections
from vestnik.delivery.workers.quoting import Quoter
from vestnik.delivery.workers.worker import Unavailable
from vestnik.runtime.clock import wall
from vestnik.runtime.deadlines import Deadlines
from vestnik.runtime.retry_after import retry_after

MAX_BODY = 64 << 10  # bytes; no gateway's answer is longer, and what is longer is not read
_MARKUP = re.compile(r"\s*<(!doctype|html|\?xml)", re.IGNORECASE)
_URL = re.compile(r"((?i:https?)://[^/?#]+)([!-\"$-~]*)")  # origin and the rest, without a fragment
_OUR_HEADERS = {
    "accept": "Accept: */*",
    "accept-encoding": "Accept-Encoding: identity",
    "user-agent": "User-Agent: vestnik",
}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str  # percent-encoded already, sent as it is
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str = ""
    whole: bool = True  # False: the body was too long, compressed, not UTF-8, or broke off
    retry_after: float | None = None  # seconds


class Exchange:
    """With a gateway. `secrets` are blotted out of everything that is quoted from its answers.

    Redirects are not followed, cookies not kept, and no request is sent a second time.
    """

    def __init__(self, timeout: float, secrets: Iterable[str], *, max_body: int = MAX_BODY) -> None:
        """In the running loop. `timeout` in seconds, of a request with its answer; `max_body` in bytes."""
        self._timeout = timeout
        self._max_body = max_body
        self._quoter = Quoter(form for secret in secrets for form in _spellings(secret))
        self._loop = asyncio.get_running_loop()
        self._connector = aiohttp.TCPConnector(force_close=True, limit=0)  # `Connections` keeps them
        self._deadlines = Deadlines()
        self._servers: dict[str, Connections] = {}  # by origin, of which the configuration names one or few

    async def close(self) -> None:
        for connections in self._servers.values():
            connections.close()
        self._deadlines.close()
        await self._connector.close()

    async def ask(self, request: Request) -> Answer:
        """Raises Unavailable when no status came back; with `maybe_sent` once there was a connection to send over."""
        connections, target = self._server(request.url)
        octets = _octets(request, target, connections.host)
        deadline = self._loop.time() + self._timeout
        connection = connections.take_kept() or await self._open(connections, deadline)
        self._deadlines.set(connection, deadline)
        try:
            connection.send(octets)
            return await self._answer(connection)
        except TimeoutError:
            raise Unavailable(f"no answer within {self._timeout:g} s", maybe_sent=True) from None
        except (aiohttp.ClientError, HttpProcessingError, OSError):
            # `from None`: they hold what the server said, and that may be a password of ours.
            raise Unavailable("the connection broke before the answer was whole", maybe_sent=True) from None
        finally:
            self._deadlines.clear(connection)
            connections.give_back(connection, keep=not _asks_to_close(request.headers))

    def _server(self, url: str) -> tuple[Connections, str]:
        """Its connections, and the target of the request line (RFC 9112, 3.2.1)."""
        found = _URL.fullmatch(url)
        if found is None:
            raise ValueError("an absolute URL of HTTP, percent-encoded, is wanted")
        origin, target = found.groups()
        if origin not in self._servers:
            self._servers[origin] = Connections(self._connector, URL(origin).origin())
        return self._servers[origin], target if target[:1] == "/" else f"/{target}"

    async def _open(self, connections: Connections, deadline: float) -> Connection:
        try:
            async with asyncio.timeout_at(deadline):
                return await connections.open()
        except TimeoutError:
            raise Unavailable(f"no connection within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(self.quoted(str(error) or type(error).__name__)) from None

    async def _answer(self, connection: Connection) -> Answer:
        """The status decides much on its own, so a body that breaks off or takes too long is no error here."""
        head, content = await connection.receive()
        body, whole = bytearray(), "Content-Encoding" not in head.headers
        try:
            while len(body) <= self._max_body and (chunk := await content.read(self._max_body)):
                body += chunk
        except (aiohttp.ClientError, OSError):
            whole = False
        try:
            text = body[: self._max_body].decode()
        except UnicodeDecodeError:
            text, whole = body[: self._max_body].decode(errors="replace"), False
        whole = whole and len(body) <= self._max_body
        return Answer(head.code, text, whole, retry_after(head.headers.get("Retry-After"), wall()))

    def quoted(self, text: str) -> str:
        """Something a gateway said, fit for one line of a log: short, printable, without secrets."""
        return "(a page of markup)" if _MARKUP.match(text) else self._quoter(text)


def _octets(request: Request, target: str, host: str) -> bytes:
    """What goes over the wire. Raises ValueError where something would break a line and begin another."""
    given = {name.lower() for name in request.headers}
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [line for name, line in _OUR_HEADERS.items() if name not in given]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body is not None or request.method != "GET":
        lines.append(f"Content-Length: {len(request.body or b'')}")
    head = "\n".join(lines)
    if head.count("\n") >= len(lines) or "\r" in head or "\0" in head:
        raise ValueError("a header or URL with a line break or NUL in it")
    return (head.replace("\n", "\r\n") + "\r\n\r\n").encode() + (request.body or b"")


def _asks_to_close(headers: Mapping[str, str]) -> bool:
    return any(name.lower() == "connection" and "close" in value.lower() for name, value in headers.items())


def _spellings(secret: str) -> set[str]:
    """A secret may come back as it was written in a URL or in JSON."""
    in_json = json.dumps(secret, ensure_ascii=False)[1:-1]
    return {secret, in_json, quote(secret, safe=""), quote(secret), quote_plus(secret)}
