"""HTML: which elements are items, and what one says, both by CSS selectors."""

from __future__ import annotations

from collections.abc import Sequence

from selectolax.lexbor import LexborHTMLParser, LexborNode

from vestnik.quiz.sources.formats.record import Pick

#: Where a browser would begin a line; without it the last word of one and the first of the next would be one word.
_BREAKS = "br, p, li, div, tr"


def parse(text: str) -> LexborHTMLParser:
    page = LexborHTMLParser(text)
    page.strip_tags(["script", "style", "template", "noscript"])
    for node in page.css(_BREAKS):
        node.insert_before("\n")
    return page


def values_of(item: LexborNode, pick: Pick) -> Sequence[str]:
    assert pick.select is None or isinstance(pick.select, str)  # noqa: S101 - the settings see to it
    nodes = [item] if pick.select is None else item.css(pick.select)
    if pick.attribute is None:
        return [node.text(deep=True) for node in nodes]
    return [value for node in nodes if (value := node.attributes.get(pick.attribute)) is not None]


def next_page(page: LexborHTMLParser, selector: str) -> str | None:
    """The link's target, if there is one."""
    link = page.css_first(selector)
    return (link.attributes.get("href") or None) if link is not None else None
