"""How a source goes on from page to page. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from yarl import URL

from vestnik.quiz.sources.addresses import origin_of
from vestnik.settings.values import Section


class PagingSettings(Section):
    """A query parameter that says which page: a number that grows, or with `next` the cursor that `next` finds."""

    parameter: Annotated[str, Field(min_length=1)]
    start: Annotated[int, Field(ge=0)] = 1
    step: Annotated[int, Field(ge=1)] = 1  # 1 for numbers of pages, the size of a page for offsets


class ElsewhereError(ValueError):
    """A page links to another site for the next one."""


class Paging:
    """`found` is what `next` found in a page, if the source has such."""

    def __init__(self, settings: PagingSettings | None, *, by_next: bool) -> None:
        self._settings = settings
        self._by_next = by_next
        self._number = settings.start if settings else 0

    def first(self, url: URL) -> URL:
        if self._settings and not self._by_next:
            return url.update_query({self._settings.parameter: str(self._number)})
        return url

    def next(self, url: URL, found: str | None, items: int) -> URL | None:
        """After a page from `url` with so many items. None: there is no more. Raises ElsewhereError."""
        if not self._by_next:
            return self._numbered(url) if self._settings and items else None
        if not found:
            return None
        if self._settings:
            return url.update_query({self._settings.parameter: found})
        return _linked(url, found)

    def _numbered(self, url: URL) -> URL:
        assert self._settings is not None  # noqa: S101 - asked for just now
        self._number += self._settings.step
        return url.update_query({self._settings.parameter: str(self._number)})


def _linked(url: URL, link: str) -> URL | None:
    try:
        target = url.join(URL(link)).with_fragment(None)
    except ValueError:
        return None
    if target.scheme not in ("http", "https"):  # mailto:, javascript:
        return None
    if origin_of(target) != origin_of(url) or target.scheme != url.scheme:
        raise ElsewhereError(f"its next page is on another site, {target.host}")
    return target.with_user(None)
