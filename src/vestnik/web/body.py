"""A request's body: uncompressed, whole, and in time. Also what a client may not do to the rest by its body."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_apigami.constants import SCHEMAS_ATTR

from vestnik.errors import InvalidInput

LONGEST = 30.0  # seconds from the head of a request to the last byte of its body


async def read_body(request: web.Request) -> bytes:
    """Raises HTTPRequestTimeout and HTTPRequestEntityTooLarge; ConnectionError when the client has left."""
    try:
        async with asyncio.timeout(LONGEST):
            return await request.read()
    except TimeoutError:
        slow = web.HTTPRequestTimeout(reason=f"the body did not arrive within {LONGEST:g} s")
        slow.force_close()
        raise slow from None


@web.middleware
async def body_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Behind it, a handler whose body has a schema finds it read. Others read it with `read_body`, if at all."""
    if is_encoded(request):
        # Nothing inflates a body: a kilobyte can be made to hold the event loop for seconds.
        refused = web.HTTPUnsupportedMediaType(reason="a body is taken only as it is, without a Content-Encoding")
        refused.headers["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
        raise refused
    if _has_schema_of_body(request) and not await read_body(request):
        raise InvalidInput({"body": "is required"})  # the schemas take nothing for an object without fields
    return await handler(request)


def is_encoded(request: web.Request) -> bool:
    codings = ",".join(request.headers.getall("Content-Encoding", ()))
    return any(coding.strip().lower() not in ("", "identity") for coding in codings.split(","))


def _has_schema_of_body(request: web.Request) -> bool:
    schemas = getattr(request.match_info.handler, SCHEMAS_ATTR, ())
    return any(schema.location == "json" for schema in schemas)
