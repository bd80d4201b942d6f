"""XML: which elements are items, and what one says, both by ElementPath (the standard library's part of XPath).

Entities that a document declares are refused: they are how a kilobyte becomes a gigabyte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from vestnik.quiz.sources.formats import salvage
from vestnik.quiz.sources.formats.markup import described_page, is_page
from vestnik.quiz.sources.formats.record import FormatError, Pick, Unreadable
from vestnik.quiz.sources.formats.shielding import shield, unshield

#: An `&` that begins no reference XML knows: alone, or HTML's `&nbsp;`. It is text, and screening decodes it.
_BARE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)(?!#(?:[0-9]{1,7}|x[0-9A-Fa-f]{1,6});)")
_NUMBERED = re.compile(r"&#(?:([0-9]{1,7})|x([0-9A-Fa-f]{1,6}));")


def parse(text: str) -> Element:
    """Raises Broken or FormatError."""
    try:
        root: Element = fromstring(text)
    except ParseError as error:
        line, column = error.position
        raise salvage.Broken(f"it is not XML ({_reason(error)})", line, column + 1) from None
    except DefusedXmlException:
        raise FormatError("it declares entities of its own, which is refused") from None
    except RecursionError:
        raise FormatError("it is nested too deeply") from None
    return root


def _reason(error: ParseError) -> str:
    return str(error).rpartition(":")[0] or str(error)


def read(text: str, items: str) -> tuple[Element, list[Unreadable]]:
    """Broken items are left out. Raises FormatError."""
    if is_page(text):
        raise FormatError(f"it is {described_page(text)}, wanted XML")
    return salvage.read(_repaired(text).lstrip(), parse, salvage.cut_element(_tag(items)))


def _repaired(text: str) -> str:
    text = _BARE.sub("&amp;", shield(text))
    return _NUMBERED.sub(_as_text_if_refused, text)


def _as_text_if_refused(reference: re.Match[str]) -> str:
    """A number of a character that XML does not know."""
    code = int(reference[1]) if reference[1] else int(reference[2], 16)
    known = code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF
    return reference[0] if known else f"&amp;{reference[0][1:]}"


def _tag(path: str) -> str:
    last = path.rpartition("/")[2].partition("[")[0]
    return last.rpartition("}")[2] or "*"


def items_of(root: Element, path: str) -> list[Element]:
    """Without empty ones: that is how an answer without any looks."""
    return [item for item in root.findall(path) if len(item) or (item.text or "").strip() or item.attrib]


def values_of(item: Element, pick: Pick) -> Sequence[str]:
    assert pick.select is None or isinstance(pick.select, str)  # noqa: S101 - the settings see to it
    return [
        unshield(value)
        for element in ([item] if pick.select is None else item.findall(pick.select))
        if (value := _value(element, pick.attribute)) is not None
    ]


def _value(element: Element, attribute: str | None) -> str | None:
    """Nothing, `<X/>` and `<X> </X>` are all the same: no value."""
    found = element.get(attribute) if attribute else "".join(element.itertext())
    return found if found and found.strip() else None
