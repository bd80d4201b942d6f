"""Reads D1's form: fields from the body, or from the query where the body lacks them; every problem by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from vestnik.delivery.channel import Channel
from vestnik.delivery.service import Send
from vestnik.errors import InvalidInput
from vestnik.web.application import MAX_BODY
from vestnik.web.form import decode_form
from vestnik.web.plain_heads import Headers
from vestnik.web.rules import as_integer, first_problem, integer, required, string, text

FORM = "application/x-www-form-urlencoded"
LONGEST_DELAY = LONGEST_EXPIRE = 3650 * 86400  # seconds
LONGEST_SUBJECT = 250
LONGEST_KEY = 255
FIELDS = ("message", "delay", "expire", "subject")
MOST_FIELDS = 20
_DELAY = integer(0, LONGEST_DELAY)
_EXPIRE = integer(1, LONGEST_EXPIRE)


def received_body(request: web.Request) -> bytes | None:
    """The body, when all of it came with the head, as it does with most; None when one has to wait for it."""
    content = request.content
    if not content.is_eof():
        return None
    data = content.read_nowait()
    if len(data) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY, actual_size=len(data))
    return data


def read_send(request: web.Request, body: bytes, channel: Channel, sender: str | None) -> Send:
    """Raises InvalidInput naming every bad field."""
    values = _body(request, body) if body else {}
    if "?" in request.raw_path:
        values = {**_query(request), **values}
    return _checked(values, request.headers, channel, sender)


def read_plain_send(headers: Headers, body: bytes, channel: Channel, sender: str | None) -> Send | None:
    """As `read_send`, of a request without a query; None when its head has to be looked at more closely."""
    if headers.get("Content-Type") != FORM:
        return None
    return _checked(_fields(body, "body"), headers, channel, sender)


def _checked(values: Mapping[str, str], headers: Headers, channel: Channel, sender: str | None) -> Send:
    keys = headers.getall("Idempotency-Key", ())
    if problems := _problems(values, keys, channel):
        raise InvalidInput(problems)
    return Send(
        channel.name,
        values["message"],
        int(values.get("delay", 0)),
        as_integer(values.get("expire")),
        values.get("subject"),
        sender,
        keys[0] if keys else None,
    )


def _problems(values: Mapping[str, str], keys: Sequence[str], channel: Channel) -> dict[str, str]:
    """What is wrong, by field."""
    problems = {}
    if problem := _message_problem(values.get("message"), channel):
        problems["message"] = problem
    for name, value in values.items():
        if name != "message" and (problem := _field_problem(name, value, channel)):
            problems[_shown(name)] = problem
    if keys and (problem := _key_problem(keys)):
        problems["Idempotency-Key"] = problem
    return problems


def _message_problem(value: str | None, channel: Channel) -> str | None:
    return first_problem(value, required, text(channel.worker.text_problem))


def _field_problem(name: str, value: str, channel: Channel) -> str | None:
    match name:
        case "delay":
            return _DELAY(value)
        case "expire":
            return _EXPIRE(value)
        case "subject":
            return _subject_problem(value, channel)
        case _:
            return f"is not a field of a send (known are {', '.join(FIELDS)})"


def _subject_problem(subject: str, channel: Channel) -> str | None:
    if not channel.worker.takes_subject:
        return "is not taken by this channel"
    return string(LONGEST_SUBJECT)(subject)


def _key_problem(keys: Sequence[str]) -> str | None:
    if len(keys) > 1:
        return "stands twice in the head"
    [key] = keys
    fits = 0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key
    return None if fits else f"must be 1 to {LONGEST_KEY} printable ASCII characters without spaces"


def _query(request: web.Request) -> dict[str, str]:
    # aiohttp keeps bytes that are not UTF-8 as surrogates, where its parser lets them through.
    return _fields(request.rel_url.raw_query_string.encode("utf-8", "surrogateescape"), "query")


def _body(request: web.Request, data: bytes) -> dict[str, str]:
    if request.headers.get("Content-Type") != FORM:  # else there is nothing more to look at
        if request.content_type != FORM:
            raise InvalidInput({"Content-Type": f"must be {FORM}"})
        if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
            raise InvalidInput({"Content-Type": "must say charset=utf-8, or no charset"})
    return _fields(data, "body")


def _fields(data: bytes, where: str) -> dict[str, str]:
    """Raises InvalidInput for what is not UTF-8, comes twice, or has no end of fields."""
    try:
        pairs = decode_form(data, most=MOST_FIELDS)
    except UnicodeDecodeError:
        raise InvalidInput({where: "must be UTF-8"}) from None
    except ValueError:
        raise InvalidInput({where: "has too many fields"}) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput({_shown(twice): f"stands twice in the {where}"})
    return fields


def _shown(name: str) -> str:
    """A field's name as it may stand in an answer: a stranger chose it."""
    return name if name.isprintable() and len(name) <= 64 else ascii(name[:64])
