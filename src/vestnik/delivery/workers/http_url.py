"""URLs of HTTP servers as settings have them, maybe with placeholders in path and query."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator
from yarl import URL


def _url(value: str) -> str:
    wanted = "a URL such as https://gateway.example/path, percent-encoded"
    if not re.fullmatch(r"[!-~]+", value) or "#" in value:
        raise ValueError(wanted)
    # Placeholders are for the path and the query: a recipient or a text must not choose the host.
    origin = re.match(r"https?://[^/?]+", value)
    if not origin or "{" in origin[0]:
        raise ValueError(wanted)
    if "@" in origin[0]:
        raise ValueError(f"{wanted}, and no password in it: it would be shown wherever the URL is")
    try:
        # As getaddrinfo would, which would raise at every delivery.
        (URL(origin[0]).host or "").encode("idna")
    except ValueError as error:
        raise ValueError(wanted) from error
    return value


HttpUrl = Annotated[str, AfterValidator(_url)]
