"""Repairs of one text. Each is noted under its rule, so that it can be counted and, where it loses something, shown."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable

from vestnik.quiz.screening import letters, rules
from vestnik.quiz.screening.rules import Rule

_ROUNDS = 20  # a repair can uncover work for another one; what is nested deeper was made to be

_PLAIN = re.compile(r"(?:[!-%'-;=?-~А-Яа-яЁё]+ )*[!-%'-;=?-~А-Яа-яЁё]+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_C1 = re.compile("[\x80-\x9f]")
_C1_AS_CP1252 = {code: bytes([code]).decode("cp1252", "replace") for code in range(0x80, 0xA0)}
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"\s+")  # line breaks and the kinds of no-break space among them
_MOJIBAKE = re.compile(
    "[\ufffd\ue000-\uf8ff\ufffe\uffff]"
    # UTF-8 read as cp1252 or Latin-1: Ã©, â€™, Ð¿; and as cp1251: РїСЂ
    "|[ÃÂ][\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
    r"|(?<=[a-zß-ÿ])Ã(?!\w)"  # à, whose second byte is a no-break space, which is one like all by now
    "|â(?:€|[\x80-\x9f\u201a-\u203a])"
    "|(?:[ÐÑ][\x80-\xbf\u0152-\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]){2}"
    "|(?:[РС][\u0402\u0403\u0409-\u040f\u0452\u0453\u0459-\u045f\xa0-\xbf\u2018-\u203a\u20ac\u2116\u2122]){2}"
)


class Notes:
    """Which rules repaired something, or found what a repair hides; `off` are those that do not apply."""

    def __init__(self, off: frozenset[Rule] = frozenset()) -> None:
        self._off = off
        self.found: dict[Rule, str | None] = {}  # with what was found, where that helps

    def applies(self, rule: Rule) -> bool:
        return rule not in self._off

    def note(self, rule: Rule, detail: str | None = None) -> None:
        self.found.setdefault(rule, detail)

    def changed(self, rule: Rule, before: str, after: str) -> str:
        if before != after:
            self.note(rule)
        return after


def cleaned(text: str, notes: Notes) -> str:
    """The text decoded, on one line, in one alphabet. Cleaning it again changes nothing.

    Markup that is the whole text is left: it is an answer about HTML.
    """
    if _PLAIN.fullmatch(text) and not _mixes_alphabets(text):
        return text
    for _ in range(_ROUNDS):
        before = text
        for rule, repair in _REPAIRS:
            if notes.applies(rule):
                text = notes.changed(rule, text, repair(text))
        if text == before:
            break
    if notes.applies(rules.MOJIBAKE) and (match := _MOJIBAKE.search(text)):
        notes.note(rules.MOJIBAKE, text[max(0, match.start() - 10) : match.end() + 10])
    return text


def _mixes_alphabets(text: str) -> bool:
    return not text.isascii() and letters.in_one_alphabet(text) != text


def _decode_entities(text: str) -> str:
    """Only with their semicolon: `R&D` and `?a=1&copy=2` are no entities."""
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text) if "&" in text else text


def _replace_surrogates(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def _decode_c1(text: str) -> str:
    return text.translate(_C1_AS_CP1252) if _C1.search(text) else text


def _drop_controls(text: str) -> str:
    return _CONTROL.sub("", text)


def _drop_invisible(text: str) -> str:
    if text.isascii():
        return text
    return "".join(
        character
        for index, character in enumerate(text)
        if unicodedata.category(character) != "Cf" or _joins(text, index)
    )


def _joins(text: str, index: int) -> bool:
    """Zero-width joiners are part of how some scripts and emoji are written; between our alphabets they are dirt."""
    if text[index] not in "\u200c\u200d" or not 0 < index < len(text) - 1:
        return False
    around = text[index - 1], text[index + 1]
    return all(character >= "\u0590" and unicodedata.category(character)[0] in "LMS" for character in around)


def _join_spaces(text: str) -> str:
    return _SPACES.sub(" ", text).strip()


_TAG_NAMES = (
    "a|abbr|acronym|address|applet|area|article|aside|audio|b|base|bdi|bdo|big|blockquote|body|br|button|canvas|caption|"
    "center|cite|code|col|colgroup|data|datalist|dd|del|details|dfn|dialog|dir|div|dl|dt|em|embed|fieldset|figcaption|"
    "figure|font|footer|form|frame|frameset|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|"
    "main|map|mark|marquee|math|menu|meta|meter|nav|noframes|noscript|object|ol|optgroup|option|output|p|param|picture|"
    "pre|progress|q|rp|rt|ruby|s|samp|script|section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|"
    "table|tbody|td|template|textarea|tfoot|th|thead|time|title|tr|track|tt|u|ul|var|video|wbr"
)
_TAG = re.compile(rf"</?(?:{_TAG_NAMES})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--[^>]*-->")
_OPENING = re.compile(rf"<({_TAG_NAMES})(?:\s[^<>]*)?>", re.IGNORECASE)
_CLOSING = re.compile(rf"</({_TAG_NAMES})\s*>", re.IGNORECASE)
_LAYOUT = re.compile(r"<(?:!--|(?:img|iframe|embed|object|script|style|link|meta)\b)[^<>]*>", re.IGNORECASE)
_BREAK = r"<(?:br|p|hr|wbr)\b[^<>]*>"
_BREAK_IN_TEXT = re.compile(
    rf"[^\s\"'«“(]{_BREAK}|{_BREAK}[^\s\"'»”).,?!]", re.IGNORECASE
)  # `what is <br> for` is none
_BREAKING = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|td|th|h[1-6]|hr|table|blockquote)\b[^<>]*>", re.IGNORECASE)


def _strip_markup(text: str) -> str:
    """Take out tags that lay a text out; leave those that it speaks of, or consists of."""
    if "<" not in text or not (_LAYOUT.search(text) or _BREAK_IN_TEXT.search(text) or _is_marked_up(text)):
        return text
    stripped = _TAG.sub("", _BREAKING.sub(" ", _COMMENT.sub("", text)))
    return stripped if any(character.isalnum() for character in stripped) else text


def _is_marked_up(text: str) -> bool:
    """Whether some element is opened and closed."""
    opened = {name.lower() for name in _OPENING.findall(text)}
    return any(name.lower() in opened for name in _CLOSING.findall(text)) if opened else False


_REPAIRS: tuple[tuple[Rule, Callable[[str], str]], ...] = (
    (rules.MOJIBAKE, _replace_surrogates),
    (rules.ENTITIES, _decode_entities),
    (rules.CP1252, _decode_c1),
    (rules.CONTROL_CHARACTERS, _drop_controls),
    (rules.INVISIBLE, _drop_invisible),
    (rules.MARKUP, _strip_markup),
    (rules.WHITESPACE, _join_spaces),
    (rules.MIXED_ALPHABETS, letters.in_one_alphabet),
)


_FINAL_PERIOD = re.compile(r"(?:\w{4,}|[0-9]|[»”\")\]])\.$")
_ABBREVIATIONS = ("bros.", "corp.", "dept.", "prof.", "univ.", "vols.", "млрд.", "руб.", "тыс.")


def without_final_period(answer: str, notes: Notes) -> str:
    """For answers that are typed or said. One of several sentences keeps it, as do abbreviations."""
    if not notes.applies(rules.FINAL_PERIOD) or not _FINAL_PERIOD.search(answer) or ". " in answer:
        return answer
    if answer.casefold().endswith(_ABBREVIATIONS):
        return answer
    return notes.changed(rules.FINAL_PERIOD, answer, answer[:-1].rstrip())


def without_title_case(text: str, notes: Notes) -> str:
    if not notes.applies(rules.TITLE_CASE) or not letters.is_title_case(text):
        return text
    return notes.changed(rules.TITLE_CASE, text, letters.without_title_case(text))
