"""The one way out to a far side: a GET with limits to everything, and errors that say what came back.

Far sides are hostile until they have proved otherwise (OWASP API7, API10): an answer may never end, unpack to
gigabytes, lead to this machine's own services, be a web page, or be half of what it should be.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import DefaultResolver
from yarl import URL

from vestnik.quiz.sources.addresses import ForbiddenAddress, Guard, origin_of
from vestnik.quiz.sources.formats.decoding import decode
from vestnik.quiz.sources.formats.json_items import complaint
from vestnik.quiz.sources.formats.markup import described_page, is_page, quoted
from vestnik.quiz.sources.http_settings import HttpSettings
from vestnik.quiz.sources.pace import HeldOff, Paces
from vestnik.quiz.sources.source import SourceFailed
from vestnik.runtime.clock import wall
from vestnik.runtime.redaction import Redactor
from vestnik.runtime.retry_after import retry_after
from vestnik.settings.values import Rate

REDIRECTS = 5
TRIES = 3  # of a request that failed for a reason that passes
FIRST_PAUSE = 1.0  # seconds before the second try; doubled for the third
UNTOLD_PAUSE = 10.0  # seconds, after 429 without Retry-After where no rate is known
LONGEST_COMPLAINT = 64 << 10  # bytes of an error's body that are looked at
_CHUNK = 64 << 10
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([^\s;\"']{1,40})")


@dataclass(frozen=True, slots=True)
class Fetched:
    url: URL  # where it was found in the end
    body: bytes
    charset: str | None  # as the far side claims


class _Passing(Exception):
    """A failure that may be over at the next try. `wait`: seconds that were asked for, or are known to be needed."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Fetcher:
    """Of one source. Its session lives until `close`."""

    def __init__(
        self,
        settings: HttpSettings,
        paces: Paces,
        *,
        rate: Rate | None = None,
        resolver: Callable[[], AbstractResolver] = DefaultResolver,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._settings = settings
        self._paces = paces
        self._rate = rate or settings.rate
        self._resolver = resolver
        self._first_pause = first_pause
        self._secrets = list(settings.secrets())
        self.redact = Redactor(self._secrets)
        self._own = origin_of(URL(settings.url))
        self._session: aiohttp.ClientSession | None = None
        if self._rate:
            paces.know(self._own[0], self._rate)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def hide(self, secret: str) -> None:
        """One that the far side gave: it stands in no error from now on. Only the last one given is hidden."""
        self.redact = Redactor([*self._secrets, secret])

    def hold(self, seconds: float) -> None:
        """The far side said in its own words that it was asked too often."""
        self._paces.hold(self._own[0], seconds)

    async def get(self, url: URL) -> Fetched:
        """Raises SourceFailed. `url` may be of another origin than the settings': then no header goes with it."""
        pause = self._first_pause
        for tries_left in reversed(range(TRIES)):
            try:
                await self._turn(url)
                async with asyncio.timeout(self._settings.timeout.total_seconds()):
                    return await self._follow(url)
            except _Passing as error:
                await self._wait(error, pause, tries_left)
            except TimeoutError:
                limit = self._settings.timeout.total_seconds()
                await self._wait(_Passing(f"no whole answer within {limit:g} s"), pause, tries_left)
            pause *= 2
        raise AssertionError("the last try raises")

    async def _turn(self, url: URL) -> None:
        host = origin_of(url)[0]
        try:
            await self._paces.turn(host, self._rate, self._settings.patience.total_seconds())
        except HeldOff as error:
            raise SourceFailed(f"{host} was not asked: {error}", retry_after=error.seconds) from None

    async def _wait(self, error: _Passing, pause: float, tries_left: int) -> None:
        patience = self._settings.patience.total_seconds()
        if not tries_left or (error.wait or 0) > patience:
            raise SourceFailed(self.redact(str(error)), retry_after=error.wait) from None
        if error.wait is None:  # else `_turn` waits, as everybody who asks that host does
            await asyncio.sleep(pause)

    async def _follow(self, url: URL) -> Fetched:
        for _ in range(REDIRECTS + 1):
            answer = await self._ask(url)
            if isinstance(answer, Fetched):
                return answer
            if url.scheme == "https" and answer.scheme != "https":
                raise SourceFailed(self.redact(f"it redirects from https to {answer.scheme}, which is not followed"))
            url = answer
        raise SourceFailed(f"it redirects more than {REDIRECTS} times")

    async def _ask(self, url: URL) -> Fetched | URL:
        """The answer, or where it is."""
        own = origin_of(url) == self._own
        headers = {n: v.get_secret_value() for n, v in self._settings.headers.items()} if own else {}
        try:
            async with self._open().get(url, headers=headers, allow_redirects=False) as response:
                return await self._judge(response, url)
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise SourceFailed(f"no secure connection to {url.host}: {_first_words(error)}") from None
        except aiohttp.ClientConnectorError as error:
            raise _Passing(self._no_connection(url, error)) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError):
            raise _Passing(f"{url.host} broke the connection before the answer was whole") from None
        except (aiohttp.ClientError, ValueError) as error:
            # Not the URL, which an exception may hold: it may have a key in it.
            raise SourceFailed(self.redact(f"{url.host} gave no sound HTTP answer: {_first_words(error)}")) from None

    def _no_connection(self, url: URL, error: aiohttp.ClientConnectorError) -> str:
        cause = error.os_error
        if isinstance(cause, ForbiddenAddress):
            raise SourceFailed(f"{cause}; allow_private allows it for the configured URL's own host and port")
        return f"no connection to {url.host}: {quoted(cause.strerror or str(cause))}"

    async def _judge(self, response: aiohttp.ClientResponse, url: URL) -> Fetched | URL:
        status = response.status
        if status == 200:
            body = await _body(response, self._settings.size)
            return Fetched(url, body, _charset(response))
        if status in (301, 302, 303, 307, 308) and "Location" in response.headers:
            return _target(url, response.headers["Location"])
        said = f"{url.host} answered {_described(status)}{await _complaint(response)}"
        if status == 429 or (status == 503 and "Retry-After" in response.headers):
            wait = retry_after(response.headers.get("Retry-After"), wall()) or self._untold_pause()
            self._paces.hold(origin_of(url)[0], wait)
            raise _Passing(said, wait)
        if status >= 500 or status == 408:
            raise _Passing(said)
        raise SourceFailed(self.redact(said))

    def _untold_pause(self) -> float:
        return self._rate.period if self._rate else UNTOLD_PAUSE

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            guard = Guard(self._resolver(), self._settings.exempt)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=guard, socket_factory=guard.socket, limit=4),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # `get` holds the one that counts
                auto_decompress=False,  # what unpacks without an end is unpacked here, with one
                headers={"Accept-Encoding": "gzip", "User-Agent": "vestnik"},
            )
        return self._session


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Unpacked. Both what arrives and what it unpacks to have at most so many bytes."""
    unpacker = _Unpacker(response.headers.get("Content-Encoding", "identity").strip().lower())
    body, arrived = bytearray(), 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        arrived += len(chunk)
        if arrived <= most:
            body += unpacker.unpack(chunk, most + 1 - len(body))
        if arrived > most or len(body) > most:
            raise SourceFailed(f"{response.url.host} answered with more than {most:,} bytes")
    if arrived and not unpacker.is_whole:
        raise _Passing(f"{response.url.host} broke its answer off: the packed data do not end")
    return bytes(body)


class _Unpacker:
    def __init__(self, encoding: str) -> None:
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise SourceFailed(f"it answered packed as {quoted(encoding)}, which was not asked for")
        self._inflate = None if encoding in ("", "identity") else _inflater()

    @property
    def is_whole(self) -> bool:
        return self._inflate is None or self._inflate.eof

    def unpack(self, chunk: bytes, most: int) -> bytes:
        """At most so many bytes; when there are as many, the rest is lost."""
        if self._inflate is None:
            return chunk
        try:
            found = self._inflate.decompress(chunk, most)
            while self._inflate.eof and (rest := self._inflate.unused_data):  # packed in several pieces
                self._inflate = _inflater()
                found += self._inflate.decompress(rest, most)
        except zlib.error:
            raise SourceFailed("its packed answer cannot be unpacked") from None
        return found


def _inflater() -> zlib._Decompress:
    return zlib.decompressobj(wbits=47)  # gzip or zlib, as the data say


def _target(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location))
    except ValueError:
        raise SourceFailed(f"{url.host} redirects to what is no URL") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise SourceFailed(f"{url.host} redirects to {quoted(target.scheme)}, which is not followed")
    return target.with_user(None).with_fragment(None)


async def _complaint(response: aiohttp.ClientResponse) -> str:
    """What the body of an error says, if it says anything to people."""
    try:
        text = decode(await _body(response, LONGEST_COMPLAINT), claimed=_charset(response))
    except (SourceFailed, _Passing, aiohttp.ClientError, OSError):
        return ""
    if is_page(text):
        return f" with {described_page(text)}"
    try:
        said = complaint(json.loads(text))
    except (ValueError, RecursionError):
        said = quoted(text) if _content_type(response).startswith("text/plain") else None
    return f": {said}" if said else ""


def _charset(response: aiohttp.ClientResponse) -> str | None:
    """Not aiohttp's: the standard library's parser behind it was seen to raise IndexError for a hostile header."""
    found = _CHARSET.search(_content_type(response))
    return found[1] if found else None


def _content_type(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("Content-Type", "").lower()


def _described(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _first_words(error: Exception) -> str:
    """Of aiohttp's errors only what does not quote the URL."""
    match error:
        case aiohttp.ClientResponseError():
            said = error.message
        case aiohttp.ClientConnectorCertificateError():
            said = getattr(error.certificate_error, "verify_message", "")
        case aiohttp.ClientConnectorSSLError():
            said = getattr(error.os_error, "reason", "")
        case _:
            said = ""
    return quoted(said or "") or type(error).__name__
