"""Keeps other people's web pages out of the sandbox; gives answers the headers of a page that trusts nobody."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from vestnik.settings.values import is_loopback_host
from vestnik.web.errors import error_response

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_READING = ("GET", "HEAD")


@web.middleware
async def only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Listening on loopback does not keep out what the browser's other tabs hold; these two checks do."""
    if not is_loopback_host(_host(request)):
        # DNS rebinding: a name of their own, pointed at 127.0.0.1, makes a foreign page one of ours.
        return error_response(403, "foreign_host", "the sandbox answers to loopback hosts only, such as 127.0.0.1")
    if request.method not in _READING and _sent_by_another_site(request):
        return error_response(403, "foreign_origin", "the sandbox takes changes from its own page only")
    return await handler(request)


async def add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)


def _host(request: web.Request) -> str:
    try:
        return URL(f"http://{request.host}").host or ""
    except ValueError:
        return ""


def _sent_by_another_site(request: web.Request) -> bool:
    # No page can forge Sec-Fetch-Site. It is asked first because our forms, under no-referrer, send `Origin: null`.
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and origin != f"{request.scheme}://{request.host}"
