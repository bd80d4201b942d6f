"""Which bodies of a 2xx say yes to a whole batch. Pure. docs/export.md has the same list as a table.

A list of what says no would never be whole: a 200 that means no has been seen in every wording, from
`{"status": "error"}` to a hotel's page to sign in. So what is not listed here is no yes, and the questions stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_STATUSES = ("ok", "success", "accepted", "created")
_WORDS = re.compile(rf"(?:20[0-2]:? )?(?:true|{'|'.join(_STATUSES)})", re.ASCII | re.IGNORECASE)

#: Members that say it; where there are several, all have to.
_SAY_IT = ("success", "ok", "status")
#: Members that may stand beside them, whatever they hold.
_BESIDE = ("message", "data", "id", "batch_id", "request_id", "timestamp")
#: Members that may stand beside them as long as they are empty, `0`, `false` or `null`.
_ERRORS = ("error", "errors")
_COUNTS = ("failed", "rejected", "invalid", "skipped")


class NoJson(ValueError):
    """Not JSON, or JSON of which one cannot be sure what it says."""


def parsed(text: str) -> Any:
    """Raises NoJson, also for a name that stands twice in one object."""
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise NoJson(str(error)) from None


def _without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a name twice")
    return found


def is_yes(text: str) -> bool:
    """Nothing at all is a yes, too: that is what a bare 204 or 201 is."""
    words = text.strip()
    return not words or _is_yes_word(words) or _is_yes_json(words)


def _is_yes_json(text: str) -> bool:
    try:
        body = parsed(text)
    except NoJson:
        return False
    if isinstance(body, str):
        return _is_yes_word(body)
    return isinstance(body, dict) and _is_yes_object(body)


def _is_yes_object(body: Mapping[str, Any]) -> bool:
    known = {*_SAY_IT, *_BESIDE, *_ERRORS, *_COUNTS}
    says_it = not body.keys().isdisjoint(_SAY_IT) and body.keys() <= known
    return says_it and not takes_back(body) and not any(body.get(name) for name in _COUNTS)


def takes_back(body: Mapping[str, Any]) -> bool:
    """Whether a member says that it went wrong as a whole."""
    says_no = any(name in body and not _is_yes_value(name, body[name]) for name in _SAY_IT)
    return says_no or any(body.get(name) for name in _ERRORS)


def _is_yes_value(name: str, value: Any) -> bool:
    if name == "status":
        return isinstance(value, str) and value.lower() in _STATUSES
    return value is True


def _is_yes_word(text: str) -> bool:
    return _WORDS.fullmatch(text) is not None
