"""Bytes to text, whatever they claim to be."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.sources.formats.decoding import decode, decode_line, known_encoding

ENCODINGS = ("utf-8", "UTF8", "windows-1251", "koi8-r", "latin-1", "nonsense", "zip", "punycode", "utf-16", None)


def test_utf_8_goes_before_what_is_claimed() -> None:
    assert decode("Сколько?".encode(), claimed="iso-8859-1") == "Сколько?"
    assert decode("Сколько?".encode(), claimed="windows-1251") == "Сколько?"


def test_what_is_not_utf_8_is_as_claimed() -> None:
    assert decode("Сколько?".encode("windows-1251"), claimed="Windows-1251") == "Сколько?"
    assert decode("Сколько?".encode("koi8-r"), claimed="koi8-r") == "Сколько?"


def test_a_page_can_claim_it_itself() -> None:
    page = '<html><meta charset="windows-1251"><p>Сколько?'.encode("windows-1251")
    assert decode(page).endswith("Сколько?")
    document = '<?xml version="1.0" encoding="koi8-r"?><q>Сколько?</q>'.encode("koi8-r")
    assert "Сколько?" in decode(document)


def test_lines_of_both_encodings_in_one_text() -> None:
    assert decode("naïve\n".encode() + "naïve “x”".encode("cp1252"), claimed="utf-8") == "naïve\nnaïve “x”"


def test_octets_that_are_nothing_become_control_characters_which_screening_sees() -> None:
    assert decode_line(b"a\x81b\x99") == "a\x81b™"


def test_the_operator_has_the_last_word() -> None:
    assert decode("Да".encode("windows-1251"), "cp1251") == "Да"
    assert decode(b"\xff", "utf-8") == "\ufffd"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_believed(encoding: str) -> None:
    assert decode("Сколько?".encode(encoding), claimed="latin-1") == "Сколько?"


def test_utf_16_without_a_mark_is_believed_when_claimed() -> None:
    assert decode("Да".encode("utf-16-le"), claimed="utf-16-le") == "Да"


@pytest.mark.parametrize(
    "name", ["zip", "punycode", "idna", "rot13", "unicode_escape", "utf-7", "", "x" * 1000, "utf-8;x"]
)
def test_these_are_no_encodings_of_the_web(name: str) -> None:
    assert known_encoding(name) is None


def test_names_are_understood_in_every_spelling() -> None:
    assert known_encoding("UTF8") == known_encoding("utf-8") == "utf-8"
    assert known_encoding("CP1251") == known_encoding("windows-1251") == "cp1251"


@given(st.binary(), st.sampled_from(ENCODINGS))
def test_every_answer_becomes_text_that_can_be_stored(data: bytes, claimed: str | None) -> None:
    decode(data, claimed=claimed).encode()


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(ENCODINGS[:6]))
def test_utf_8_survives_every_claim(text: str, claimed: str | None) -> None:
    if not any(text.encode().startswith(bom) for bom in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        assert decode(text.encode(), claimed=claimed) == text.removeprefix("\ufeff")
