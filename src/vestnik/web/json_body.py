"""How a body of JSON is read before its schema sees it: a name that stands twice in one object is refused.

RFC 8259, 4, leaves open which of the two counts; a proxy may have looked at the other one.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from marshmallow import Schema
from webargs import missing
from webargs.aiohttpparser import AIOHTTPParser, is_json_request

from vestnik.errors import InvalidInput


class JsonBodyParser(AIOHTTPParser):
    async def load_json(self, req: web.Request, schema: Schema) -> Any:  # noqa: ARG002 - webargs gives it
        """Raises InvalidInput for a name twice, HTTPBadRequest for what is not JSON."""
        if not (req.body_exists and is_json_request(req)):
            return missing
        try:
            return await req.json(loads=_parsed)
        except ValueError as error:
            raise web.HTTPBadRequest from error


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found:
            raise InvalidInput({name or "body": "is given more than once"})
        found[name] = value
    return found
