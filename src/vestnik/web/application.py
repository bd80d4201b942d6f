"""The aiohttp application: errors, access, the routes of all parts, the document about them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_apigami import validation_middleware

from vestnik.web.auth import Auth
from vestnik.web.body import body_middleware
from vestnik.web.direct import raise_again_middleware
from vestnik.web.errors import errors_middleware
from vestnik.web.openapi import UI, document
from vestnik.web.safe_headers import SAFE_HEADERS

MAX_BODY = 256 << 10

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@web.middleware
async def headers_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers.update(SAFE_HEADERS)
        if request.path == UI and isinstance(response, web.Response) and isinstance(response.body, bytes):
            response.headers["Content-Security-Policy"] = _policy_of_ui(response.body)
    return response


def _policy_of_ui(page: bytes) -> str:
    """Swagger UI sets styles and images inline, and starts with one inline script: that one is named by its hash."""
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE_SCRIPT.findall(page)]
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "frame-ancestors 'none'"
    )


def build_application(auth: Auth, routes: Iterable[web.RouteDef]) -> web.Application:
    app = web.Application(
        middlewares=[
            headers_middleware,
            errors_middleware,
            raise_again_middleware,
            auth.middleware,
            body_middleware,
            validation_middleware,
        ],
        client_max_size=MAX_BODY,
    )
    app.add_routes(list(routes))
    document(app)
    return app
