"""What a schema has against a body or a query, in the manner of `web.rules`: the end of the sentence "<field> …"."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from aiohttp import web
from marshmallow import Schema, ValidationError

from vestnik.errors import InvalidInput

_LOCATIONS = ("json", "query", "querystring", "_schema")
_MANNER = {
    "missing data for required field": "is required",
    "field may not be null": "must not be null",
    "unknown field": "is not a known field",
    "not a valid string": "must be a string",
    "not a valid integer": "must be a whole number",
    "not a valid number": "must be a number",
    "not a valid boolean": "must be true or false",
    "not a valid list": "must be a list",
    "not a valid mapping type": "must be an object",
    "invalid input type": "must be an object",
    "invalid input": "must be an object",
    "invalid type": "must be an object",
    r"must be one of: (.*)": r"must be one of \1",
    r"must be greater than or equal to (\S+) and less than or equal to (\S+)": r"must be between \1 and \2",
    r"must be greater than or equal to (\S+)": r"must be at least \1",
    r"must be less than or equal to (\S+)": r"must be at most \1",
    r"length must be between (\d+) and (\d+)": r"must have a length between \1 and \2",
    r"shorter than minimum length (\d+)": r"must have a length of at least \1",
    r"longer than maximum length (\d+)": r"must have a length of at most \1",
    "string does not match expected pattern": "does not have the form that is wanted",
    r"not (.*)": r"is not \1",
}
_KNOWN = [(re.compile(theirs, re.DOTALL), ours) for theirs, ours in _MANNER.items()]


def refuse(error: ValidationError, _request: web.Request, _schema: Schema, **_: Any) -> NoReturn:
    """The schemas' error callback. Raises InvalidInput."""
    raise InvalidInput(by_field(error.messages))


def by_field(messages: Any, prefix: str = "") -> dict[str, str]:
    """{"json": {"action": ["Missing data for required field."]}} to {"action": "is required"}."""
    if isinstance(messages, dict):
        found: dict[str, str] = {}
        for name, inner in messages.items():
            parts = (prefix, "" if name in _LOCATIONS else str(name))
            found |= by_field(inner, ".".join(filter(None, parts)))
        return found
    sentences = messages if isinstance(messages, list) else [messages]
    return {prefix or "body": " and ".join(_in_our_manner(str(sentence)) for sentence in sentences)}


def _in_our_manner(sentence: str) -> str:
    said = sentence[:1].lower() + sentence[1:].rstrip(".")
    for theirs, ours in _KNOWN:
        if found := theirs.fullmatch(said):
            return found.expand(ours)
    return said
