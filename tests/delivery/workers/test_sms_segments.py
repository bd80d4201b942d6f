from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.delivery.workers.sms_segments import fits_gsm7, segments

BASIC = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0:?¡AZÄÖÑÜ§¿azäöñüà"
EXTENDED = "\f^{}\\[~]|€"


@pytest.mark.parametrize("character", BASIC + EXTENDED)
def test_the_gsm_alphabet_has_the_character(character: str) -> None:
    assert fits_gsm7(character)


@pytest.mark.parametrize("character", ["я", "ç", "`", "\t", "\x1b", "—", "«", "\u00a0", "😀"])
def test_the_gsm_alphabet_lacks_the_character(character: str) -> None:
    assert not fits_gsm7(character)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 1530, 10),
        ("a" * 1531, 11),
    ],
)
def test_160_septets_fit_one_message_and_153_a_part(text: str, count: int) -> None:
    assert segments(text) == count


@pytest.mark.parametrize(("text", "count"), [("€" * 80, 1), ("€" * 81, 2), ("€" * 76 + "a" * 8, 1)])
def test_a_character_of_the_extension_table_takes_two_septets(text: str, count: int) -> None:
    assert segments(text) == count


def test_an_escape_is_not_parted_from_its_character() -> None:
    assert segments("a" * 152 + "€" + "a" * 152) == 3
    assert segments("€" * 153) == 3


@pytest.mark.parametrize(
    ("text", "count"), [("я" * 70, 1), ("я" * 71, 2), ("я" * 134, 2), ("я" * 135, 3), ("a" * 70 + "я", 2)]
)
def test_one_other_character_makes_the_whole_text_ucs2(text: str, count: int) -> None:
    assert segments(text) == count


@pytest.mark.parametrize(("text", "count"), [("😀" * 35, 1), ("😀" * 36, 2), ("😀" * 66, 2), ("😀" * 67, 3)])
def test_emoji_take_two_units_and_are_not_cut_in_two(text: str, count: int) -> None:
    assert segments(text) == count


@given(st.text(st.sampled_from(BASIC + EXTENDED), max_size=700))
def test_parts_hold_all_septets_of_a_gsm_text(text: str) -> None:
    septets = len(text) + sum(text.count(c) for c in EXTENDED)
    if septets <= 160:
        assert segments(text) == 1
    else:
        assert math.ceil(septets / 153) <= segments(text) <= math.ceil(septets / 152)


@given(st.text(max_size=300).map(lambda text: text + "я"))
def test_parts_hold_all_units_of_a_ucs2_text(text: str) -> None:
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if units <= 70:
        assert segments(text) == 1
    else:
        assert math.ceil(units / 67) <= segments(text) <= math.ceil(units / 66)


@given(st.text(max_size=200), st.text(max_size=10))
def test_a_longer_text_never_takes_fewer_segments(text: str, more: str) -> None:
    assert segments(text + more) >= segments(text)
