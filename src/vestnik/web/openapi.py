"""The OpenAPI document and the Swagger UI, from the handlers' decorators (aiohttp-apigami). Works offline."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

from aiohttp import web
from aiohttp_apigami import setup_aiohttp_apispec
from aiohttp_apigami.constants import APISPEC_PARSER, SWAGGER_DICT

from vestnik.web.errors import ErrorSchema
from vestnik.web.json_body import JsonBodyParser
from vestnik.web.schema_errors import refuse

DOCUMENT = "/api/openapi.json"
UI = "/docs/"
PUBLIC_PREFIXES = (UI, DOCUMENT)  # for `web.auth`: the document holds no secrets

SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
ROLE_SECURITY: list[dict[str, list[str]]] = [{"token": []}]


def error(description: str) -> dict[str, Any]:
    """A documented answer that carries an error."""
    return {"schema": ErrorSchema, "description": description}


ROLE_ERRORS = {
    401: error("no valid token"),
    403: error("the token's role is not allowed"),
    429: error("too many failed attempts from this address"),
}


def document(app: web.Application) -> None:
    """Add the document and the pages for all routes that the application has by now."""
    # apigami keeps the document and what it has parsed under plain strings; our operators need not hear of it.
    warnings.filterwarnings("ignore", category=web.NotAppKeyWarning, module="aiohttp_apigami")
    setup_aiohttp_apispec(
        app,
        title="Vestnik",
        version=version("vestnik"),
        url=DOCUMENT,
        swagger_path=UI,
        static_path="/docs/static",
        in_place=True,
        openapi_version="3.0.3",
        info={"description": "Gets messages out: now, later or on schedule."},
        components={"securitySchemes": SECURITY_SCHEMES},
    )
    app[APISPEC_PARSER] = JsonBodyParser(error_handler=refuse)
    _mend(app[SWAGGER_DICT])


def _mend(spec: dict[str, Any]) -> None:
    """`produces` and `consumes` are Swagger 2's; apigami writes them into 3.0 too."""
    for operations in spec["paths"].values():
        for operation in operations.values():
            operation.pop("produces", None)
            operation.pop("consumes", None)
