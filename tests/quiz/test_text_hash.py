from __future__ import annotations

import hashlib
import html
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz import text_hash
from vestnik.quiz.text_hash import CURRENT, VERSIONS, all_hashes, canonical_text

CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
WORDS = st.sampled_from([string.ascii_letters, CYRILLIC]).flatmap(
    lambda letters: st.lists(st.text(letters, min_size=1, max_size=8), min_size=1, max_size=8)
)
ANYTHING = st.text(st.characters(), max_size=60)  # lone surrogates and unassigned characters included


def digest(text: str) -> bytes | None:
    return text_hash.text_hash(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("&quot;Rio&quot;?", '"Rio" ?'),
        ("Whose was Presley's first film?", "whose was presleys first film"),
        ("В каком го\u0301роде живёт ёж?", "в каком городе живет еж"),
        ("c\x9cur", "cœur"),
        ("How many metres are 10,000 km?", "How many metres are 10000 km"),
        ("&amp;quot;a&amp;quot;", "a"),
        ("\ufb01rst", "first"),
        ("a ball point pen", "a ballpoint pen"),
        ("the U.S.", "the US"),
        ("soft\u00adhyphen, zero\u200bwidth\u200e", "softhyphen, zerowidth"),
        ("12:30", "12.30"),
        ("12 - 30", "12.30"),
        ("Ｆｕｌｌ", "full"),
        ("Пр\u043ec\u0442\u043e", "Просто"),
        ("5 000 000", "5000000"),
    ],
)
def test_copies_of_one_question_have_one_hash(one: str, other: str) -> None:
    assert digest(one) == digest(other)
    assert digest(one) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2.5% of it", "25% of it"),
        ("What is C#?", "What is C?"),
        ("Convert -40 to F", "Convert 40 to F"),
        ("What is it? https://img.test/a.png", "What is it? https://img.test/b.png"),
        ("How much is $2.25", "How much is 2.25"),
        ("x² or x", "x or x"),
        ("5 % of 3", "5 of 3"),
        ("résumé", "resume"),
        ("й", "и"),
    ],
)
def test_what_tells_questions_apart_stays(one: str, other: str) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize("text", ["", " ", "---", "...", "«»", "\u200b", "&nbsp;", "~^`", "_"])
def test_nothing_but_punctuation_has_no_hash(text: str) -> None:
    assert digest(text) is None
    assert all_hashes(text) == {}


def test_version_1_is_what_it_always_was() -> None:
    """Hashes of sent questions cannot be made again, so this one may never change."""
    assert canonical_text("What's the « Größe » of C#, at −2,5 °C?") == "whatsthegrösseofc#at\u22122.5°c"
    assert digest("Where is Rio?") == hashlib.sha256(b"v1\x1fwhereisrio").digest()
    assert digest("Где Рио?") == hashlib.sha256(b"v1\x1f" + "гдерио".encode()).digest()


def test_a_text_is_looked_up_under_every_version() -> None:
    assert CURRENT in VERSIONS
    found = all_hashes("Where is Rio?")
    assert found.keys() == VERSIONS.keys()
    assert found[CURRENT] == digest("Where is Rio?")


@given(WORDS)
def test_casing_does_not_matter(words: list[str]) -> None:
    text = " ".join(words)
    assert digest(text.upper()) == digest(text.lower()) == digest(text.title()) == digest(text)


@given(WORDS, st.lists(st.sampled_from([" ", "\n", " - ", ", ", "…", "\u00a0", "? ", '"', "\u00ad"]), min_size=8))
def test_punctuation_and_spaces_do_not_matter(words: list[str], between: list[str]) -> None:
    text = "".join(word + separator for word, separator in zip(words, between, strict=False))
    assert digest(text) == digest("".join(words[: len(between)]))


@given(WORDS, st.booleans())
def test_entities_do_not_matter(words: list[str], numeric: bool) -> None:
    text = '"' + "' & <".join(words) + '"'
    encoded = "".join(f"&#{ord(c)};" for c in text) if numeric else html.escape(html.escape(text))
    assert digest(encoded) == digest(text)


@given(st.text("асеорхук", min_size=1, max_size=8), st.data())
def test_look_alike_letters_do_not_matter(word: str, data: st.DataObject) -> None:
    alike = dict(zip("асеорхук", "aceopxyk", strict=True))
    mixed = "".join(data.draw(st.sampled_from((letter, alike[letter]))) for letter in word)
    assert digest(f"ж{mixed} что это") == digest(f"ж{word} что это")


@given(ANYTHING)
def test_no_text_raises_and_a_form_is_its_own_form(text: str) -> None:
    canonical = canonical_text(text)
    assert digest(text) is None or len(digest(text) or b"") == 32
    assert not any(character.isspace() for character in canonical)


def test_texts_of_all_characters_do_not_make_the_process_grow() -> None:
    for start in range(0, 0x110000, 0x1000):
        canonical_text("".join(map(chr, range(start, start + 0x1000))))
    assert len(text_hash._SIGNIFICANT) <= text_hash._REMEMBERED
