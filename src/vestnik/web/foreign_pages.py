"""Keeps other sites' pages out of what is open to a caller without credentials.

Listening on loopback does not keep out what the browser's other tabs hold: a form needs nobody's leave to be sent to
any address, and a name of theirs that points at 127.0.0.1 (DNS rebinding) makes their page one of ours. Whoever shows a
key or a token is no such page: it would not know them, and those headers need our leave, which nobody gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from vestnik.web.errors import error_response

#: How this machine is called by everybody.
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SEC_FETCH_SITE = "Sec-Fetch-Site"
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:[0-9]*)?")
_REMEMBERED = 1_000  # values of `Host`; with a port in each there are many


class ForeignPages:
    """`hosts`: the names, without a port, that a keyless caller may know us by; None: any, as beyond loopback."""

    def __init__(self, hosts: Iterable[str] | None = None) -> None:
        self._names = None if hosts is None else frozenset(name.lower() for name in hosts)
        self._passed: set[str | None] = {None}  # HTTP/1.0 knows no `Host`, and browsers no HTTP/1.0

    def plainly_none(self, headers: Mapping[str, str]) -> bool:
        """For most requests, at the cost of three look-ups; False: ask `refusal`."""
        return headers.get(hdrs.HOST) in self._passed and hdrs.ORIGIN not in headers and _SEC_FETCH_SITE not in headers

    def refusal(self, headers: Mapping[str, str]) -> web.Response | None:
        """403 for a request without credentials that another site's page may have made."""
        if not self._is_ours(headers.get(hdrs.HOST)):
            what = "without a key or a token this name of the daemon is refused: service.hosts does not list it"
            return error_response(403, "foreign_host", what)
        if _sent_by_another_site(headers):
            what = "without a key or a token, requests that another site's page makes are refused"
            return error_response(403, "foreign_origin", what)
        return None

    def _is_ours(self, host: str | None) -> bool:
        if host in self._passed:
            return True
        assert host is not None  # noqa: S101 - None has passed from the start
        match = _HOST.fullmatch(host.lower())
        ours = self._names is None or (match is not None and match[1] in self._names)
        if ours and len(self._passed) < _REMEMBERED:
            self._passed.add(host)
        return ours


def _sent_by_another_site(headers: Mapping[str, str]) -> bool:
    # No page can forge Sec-Fetch-Site. It is asked first because a page of ours, under no-referrer, may send
    # `Origin: null`, and because a reverse proxy may have put another name into `Host`.
    site = headers.get(_SEC_FETCH_SITE)
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get(hdrs.ORIGIN)
    return origin is not None and _netloc(origin) != headers.get(hdrs.HOST, "").lower()


def _netloc(origin: str) -> str | None:
    """None for what names no host, such as `null`."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
