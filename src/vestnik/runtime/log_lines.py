"""Events to lines."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

Event = MutableMapping[str, Any]
Render = Callable[[Event], str]

_MARGIN = "    "
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def json_line(event: Event) -> str:
    # JSON lets DEL, C1 and the Unicode line breaks stand; terminals and line readers take them for their own.
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(event))


def plain_line(event: Event) -> str:
    """For a console that is read by a program: the journal, a container's log."""
    fields = "".join([f" {name}={_value(value)}" for name, value in event.items() if name not in _NO_FIELDS])
    head = f"{event.get('timestamp')} [{event.get('level')}] {event.get('event')} [{event.get('logger')}]"
    return _one_line(head + fields) + "".join(f"\n{_tail(event[name])}" for name in _TAILS if name in event)


_TAILS = ("stack", "exception")
_NO_FIELDS = frozenset({"timestamp", "level", "event", "logger", *_TAILS})


def _value(value: Any) -> str:
    text = str(value)
    return _encode(text) if not text or " " in text or '"' in text or "=" in text else text


def _one_line(text: object) -> str:
    return _without_control(str(text)).replace("\n", "\\n")


def _tail(text: object) -> str:
    """A traceback keeps its lines; its message may hold a stranger's, so none of them starts at the margin."""
    return textwrap.indent(_without_control(str(text)), _MARGIN)


def _without_control(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def coloured_line() -> Render:
    """For somebody who watches."""
    renderer = structlog.dev.ConsoleRenderer(colors=True, pad_event_to=0)
    return lambda event: str(
        renderer(None, "", {k: _tail(v) if k in _TAILS else _one_line(v) for k, v in event.items()})
    )
