from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.web.form import decode_form

ENCODABLE = st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]))] * 2), max_size=10)


@given(ENCODABLE)
def test_what_was_encoded_comes_out_again(fields: list[tuple[str, str]]) -> None:
    expected = [pair for pair in fields if urlencode([pair])]
    assert decode_form(urlencode(fields).encode(), most=20) == expected


@given(st.text(alphabet="a=&+%2cZ0 éжF"))
def test_it_reads_as_the_standard_library_does(form: str) -> None:
    try:
        expected = parse_qsl(form, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            decode_form(form.encode(), most=1000)
    else:
        assert decode_form(form.encode(), most=1000) == expected


@given(st.binary())
def test_other_bytes_raise_nothing_but_a_value_error(data: bytes) -> None:
    try:
        decode_form(data, most=20)
    except ValueError:
        return


@pytest.mark.parametrize("data", [b"a=%ff", b"a=\xff", b"%d0=1", b"a=%D0%D0"])
def test_what_is_not_utf8_is_told(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_form(data, most=20)


def test_there_is_an_end_of_fields() -> None:
    assert len(decode_form(b"&".join([b"a=1"] * 20), most=20)) == 20
    with pytest.raises(ValueError, match="too many"):
        decode_form(b"&".join([b"a=1"] * 21), most=20)
