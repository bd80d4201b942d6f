"""What the reader's two sides say to each other: a length of four bytes, then JSON.

JSON and not pickle: the process at the other end has read what strangers wrote, and is believed nothing but data.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from vestnik.quiz.model import Candidate, Media
from vestnik.quiz.sources.formats.record import Unreadable

LENGTH = struct.Struct(">I")
LONGEST = 64 << 20  # bytes of one frame

_DEFAULTS = {field.name: field.default for field in fields(Candidate)}
_TUPLES = [name for name, default in _DEFAULTS.items() if default == ()]


def pack(message: Mapping[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    return LENGTH.pack(len(body)) + body


def batch(found: Iterable[Candidate | Unreadable]) -> dict[str, Any]:
    message: dict[str, Any] = {"candidates": [], "unreadable": []}
    for one in found:
        if isinstance(one, Unreadable):
            message["unreadable"].append([one.where, one.why])
        else:
            message["candidates"].append(_values(one))
    return message


def _values(candidate: Candidate) -> dict[str, Any]:
    values = {name: value for name, default in _DEFAULTS.items() if (value := getattr(candidate, name)) != default}
    if candidate.media:
        values["media"] = [[media.role, media.kind, media.url] for media in candidate.media]
    return values


def unpack_batch(message: Mapping[str, Any]) -> tuple[tuple[Candidate, ...], tuple[Unreadable, ...]]:
    """Raises KeyError, TypeError or ValueError for what `batch` does not make."""
    candidates = tuple(_candidate(values) for values in message["candidates"])
    return candidates, tuple(Unreadable(str(where), str(why)) for where, why in message["unreadable"])


def _candidate(values: dict[str, Any]) -> Candidate:
    media = tuple(Media(role=role, kind=kind, url=url) for role, kind, url in values.pop("media", ()))
    lists = {name: tuple(values[name]) for name in _TUPLES if name in values}
    return Candidate(**{**values, **lists, "media": media})
