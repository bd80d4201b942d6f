"""The hash of a question's text: all that stays of a question that was sent, so that it never comes again (Q9).

It is of the text alone (no answers, language or source), in a form without what differs between copies of one question:
entities, casing, punctuation, spaces, invisible characters, look-alike letters. What tells questions apart stays: `C#`
and `C`, `-40` and `40`, `2.5` and `25`, addresses.

A version is never changed: hashes of sent questions cannot be made again, their texts are gone. A new rule is a new
version beside the old ones: new questions are stored under CURRENT, and looked up under all of them (`all_hashes`);
kept questions may be hashed anew, past ones stay findable under the version they have.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

CURRENT = 1


def canonical_text(text: str) -> str:
    """Version 1's form of a text; empty when it has no letter, digit or symbol. The numbers are the steps' order."""
    text = _decoded(text)  # 1, 2
    text = unicodedata.normalize("NFKC", text)  # 3
    if not text.isascii():
        text = text.translate(_WITHOUT_FORMAT_CHARACTERS)  # 4
    text = text.casefold().replace("ё", "е")  # 5
    if not text.isascii():
        text = _RUSSIAN_STRESS.sub("", unicodedata.normalize("NFC", text))  # 6
        text = _WORD.sub(_in_one_alphabet, text)  # 7
    if _DIGIT.search(text):
        text = _THOUSANDS.sub("", text)  # 8
        text = _BETWEEN_DIGITS.sub(".", text)  # 9
        text = _SIGN.sub(_MINUS, text)  # 10
    return _kept(text)  # 11


def _decoded(text: str) -> str:
    for _ in range(3):  # entities may be encoded twice
        decoded = html.unescape(text)
        if decoded == text:
            break
        text = decoded
    return text.translate(_C1_AS_CP1252)


#: Control characters U+0080-U+009F are letters of cp1252 that were taken for Latin-1; five of them are none there.
_C1_AS_CP1252 = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
_RUSSIAN_STRESS = re.compile("(?<=[а-я])[\u0300\u0301]")
_WORD = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")
_THOUSANDS = re.compile(r"(?<=\d)[ ,\u00a0](?=\d{3}(?!\d))")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)\s*[.,:/\-\u2010-\u2015]\s*(?=\d)")
_SIGN = re.compile(r"(?:(?<=\s)|(?<=\()|^)[-\u2212\u2013](?=\d)")
_MINUS = "\u2212"
_LATIN = re.compile("[a-z]")
_CYRILLIC = re.compile("[а-яё]")
_LOOK_ALIKES = str.maketrans("aceopxyk", "асеорхук")
_DROPPED_SYMBOLS = frozenset("`´^~|<>¨¸")


def _in_one_alphabet(match: re.Match[str]) -> str:
    """Latin letters inside a Cyrillic word that look like Cyrillic ones."""
    word = match[0]
    return word.translate(_LOOK_ALIKES) if _CYRILLIC.search(word) and _LATIN.search(word) else word


_REMEMBERED = 20_000  # characters; more than any language's texts have, fewer than a hostile one could make us keep


class _Characters(dict[int, int | None]):
    """For str.translate: decides for each character once, by its category, and remembers."""

    def __init__(self, keep: Callable[[str, str], bool]) -> None:
        super().__init__()
        self._keep = keep

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        kept = code if self._keep(character, unicodedata.category(character)) else None
        if len(self) < _REMEMBERED:
            self[code] = kept
        return kept


def _stands_for_something(character: str, category: str) -> bool:
    if category[0] == "S":
        return character not in _DROPPED_SYMBOLS
    return category[0] in "LMN" or character in "#%"


_WITHOUT_FORMAT_CHARACTERS = _Characters(lambda _, category: category != "Cf")
_SIGNIFICANT = _Characters(_stands_for_something)


def _kept(text: str) -> str:
    """Letters, marks, digits, most symbols, and the point between digits."""
    parts = text.split(".")
    kept = [parts[0].translate(_SIGNIFICANT)]
    for before, after in pairwise(parts):
        if before[-1:].isdigit() and after[:1].isdigit():
            kept.append(".")
        kept.append(after.translate(_SIGNIFICANT))
    return "".join(kept)


def _version_1(text: str) -> bytes | None:
    canonical = canonical_text(text)
    # A lone surrogate is no text, but may not stop an import either.
    return hashlib.sha256(b"v1\x1f" + canonical.encode(errors="surrogatepass")).digest() if canonical else None


#: Every version that a database may hold. Each gives 32 bytes, or None for a text that is nothing but punctuation.
VERSIONS: Mapping[int, Callable[[str], bytes | None]] = MappingProxyType({1: _version_1})


def text_hash(text: str) -> bytes | None:
    """Under the current version; None for a text that is nothing but punctuation, which must not be stored."""
    return VERSIONS[CURRENT](text)


def all_hashes(text: str) -> dict[int, bytes]:
    """By version, to look a text up; empty for a text that is nothing but punctuation."""
    hashes = {version: of(text) for version, of in VERSIONS.items()}
    return {version: digest for version, digest in hashes.items() if digest is not None}
