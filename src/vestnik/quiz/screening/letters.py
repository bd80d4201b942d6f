"""Alphabets: mixed in one word, not those of the language, and all in capitals."""

from __future__ import annotations

import re

_LOOK_ALIKE_LATIN = "ABCEHKMOPTXYaceopxyk"
_LOOK_ALIKE_CYRILLIC = "АВСЕНКМОРТХУасеорхук"
_TO_CYRILLIC = str.maketrans(_LOOK_ALIKE_LATIN, _LOOK_ALIKE_CYRILLIC)
_TO_LATIN = str.maketrans(_LOOK_ALIKE_CYRILLIC, _LOOK_ALIKE_LATIN)

_CYRILLIC = re.compile("[\u0400-\u052f]")
_LATIN = re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]")
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+")

_LANGUAGES = {
    _LATIN: "en fr de es it pt nl pl cs sk sl hr sv no nb nn da fi et lv lt hu ro tr sq id vi la",
    _CYRILLIC: "ru uk be bg mk kk ky mn tg",
    _GREEK: "el",
}
_SCRIPTS = {language: script for script, languages in _LANGUAGES.items() for language in languages.split()}


def in_one_alphabet(text: str) -> str:
    """Words that mix Latin and Cyrillic letters which look alike, made one alphabet; other mixtures are meant.

    A word goes to the alphabet that all its letters have; where both do, to the one that the rest of the text is in.
    """
    if text.isascii() or not (_CYRILLIC.search(text) and _LATIN.search(text)):
        return text
    cyrillic_text = len(_CYRILLIC.findall(text)) >= len(_LATIN.findall(text))
    return _WORD.sub(lambda match: _one_alphabet(match[0], cyrillic_text), text)


def _one_alphabet(word: str, cyrillic_text: bool) -> str:
    if not (_CYRILLIC.search(word) and _LATIN.search(word)):
        return word
    cyrillic, latin = word.translate(_TO_CYRILLIC), word.translate(_TO_LATIN)
    all_cyrillic, all_latin = not _LATIN.search(cyrillic), not _CYRILLIC.search(latin)
    if all_cyrillic and (cyrillic_text or not all_latin):
        return cyrillic
    return latin if all_latin else word


def in_wrong_script(text: str, language: str | None) -> bool:
    """Whether most letters are of another alphabet than the language's; False where that cannot be told."""
    script = _SCRIPTS.get(language or "")
    letters = len(_LETTER.findall(text)) if script else 0
    return script is not None and letters >= 3 and 2 * len(script.findall(text)) < letters


def is_shouting(text: str) -> bool:
    """All in capitals, and too long for an abbreviation."""
    return len(text) >= 12 and text.isupper() and len(_LETTER.findall(text)) >= 12


_SMALL_WORDS = """
a an and are as at be but by can did do does for from had has have how if in into is it its of on or that the their
this to was were what when where which who whom whose why will with would
au aux ce cette dans de des du elle en est et il la le les leur par pas pour qui que quel quelle se son sa ses sur un
une
в во и из к как какая какие какого какое какой каком какую кем кого кто на не о об от по при с со у что
"""
_SMALL = frozenset(_SMALL_WORDS.split())
_QUOTED = re.compile(r'("[^"]*"|«[^«»]*»|“[^“”]*”|‘[^‘’]*’)')
_TITLE_WORD = re.compile(r"[^\W\d_][\w'’]*")
_AFTER_A_STOP = re.compile(r"[.!?:…]\s*$")


def is_title_case(text: str) -> bool:
    """Whether Every Word Of A Sentence Has A Capital, the small ones too. A title or a name alone is not meant."""
    words = _TITLE_WORD.findall(_QUOTED.sub("", text))
    if len(words) < (4 if text.endswith("?") else 8) or not all(word[0].isupper() for word in words):
        return False
    return any(_is_small(word) for word in words[1:]) and not text.isupper()


def without_title_case(text: str) -> str:
    """Small words without capitals, but at the start, after a stop, and in quotations; names keep theirs."""
    parts = _QUOTED.split(text)
    for index in range(0, len(parts), 2):
        before = parts[index - 1] if index else ""
        parts[index] = _TITLE_WORD.sub(lambda match, before=before: _in_place(match, before), parts[index])
    return "".join(parts)


def _in_place(match: re.Match[str], before: str) -> str:
    start = match.start()
    preceding = before[-3:] + match.string[max(0, start - 3) : start]
    starts = not preceding or _AFTER_A_STOP.search(preceding)
    return match[0] if starts or not _is_small(match[0]) else match[0].lower()


def _is_small(word: str) -> bool:
    return word[:1].isupper() and word.lower() in _SMALL and (len(word) == 1 or not word.isupper())
