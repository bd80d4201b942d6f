from __future__ import annotations

from urllib.parse import quote, quote_plus

from hypothesis import assume, given
from hypothesis import strategies as st

from vestnik.runtime.redaction import MARK, Redactor


def test_without_secrets_text_passes() -> None:
    assert Redactor()("as it is") == "as it is"


def test_what_is_shorter_than_four_would_blank_out_words() -> None:
    assert Redactor(["", "a", "the"])("the cat sat") == "the cat sat"
    assert Redactor(["them"])("to them") == f"to {MARK}"


def test_of_two_secrets_the_longer_goes_whole() -> None:
    assert Redactor(["token", "token-long"])("token-long token") == f"{MARK} {MARK}"


def test_special_characters_stand_for_themselves() -> None:
    assert Redactor(["a.*(b"])("a.*(b aXX(b") == f"{MARK} aXX(b"


@given(st.text(min_size=4), st.text(), st.text())
def test_no_form_of_a_secret_is_left(secret: str, before: str, after: str) -> None:
    assume(all(ord(c) < 0xD800 or ord(c) > 0xDFFF for c in secret))
    assume(secret not in MARK and secret not in before + MARK + after)
    redact = Redactor([secret])
    for form in (secret, quote(secret, safe=""), quote_plus(secret)):
        assert MARK in redact(before + form + after)
        assert redact(f" {form} ") == f" {MARK} " or secret.isspace() or secret.strip() != secret
