"""XML: items by ElementPath, dirt that parsers refuse, and bombs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.reading import read_answer
from vestnik.quiz.sources.formats.record import FormatError, Pick, Plan, Unreadable
from vestnik.quiz.sources.formats.xml_items import read

PLAN = Plan(
    {
        "text": Pick("Question"),
        "correct": Pick("Answer"),
        "accepted": Pick("PassCriteria"),
        "external_id": Pick(attribute="id"),
    }
)


def found(text: str, items: str = ".//question") -> list[Candidate | Unreadable]:
    return list(read_answer(Job(format="xml", items=items, plan=PLAN), text.encode())[0])


def item(question: str, answer: str = "A") -> str:
    return f"<question><Question>{question}</Question><Answer>{answer}</Answer></question>"


def texts(found: list[Candidate | Unreadable]) -> list[str]:
    return [one.text for one in found if isinstance(one, Candidate)]


def test_items_are_found_however_deep_and_directly_below_the_root() -> None:
    assert texts(found(f"<search>{item('One?')}</search>")) == ["One?"]
    assert texts(found(f"<package><tour>{item('One?')}</tour>{item('Two?')}</package>")) == ["One?", "Two?"]


@pytest.mark.parametrize(
    "empty", ["<PassCriteria/>", "<PassCriteria></PassCriteria>", "<PassCriteria>\n</PassCriteria>", ""]
)
def test_all_forms_of_an_empty_element_are_no_value(empty: str) -> None:
    (one,) = found(f"<search><question><Question>Why?</Question><Answer>A</Answer>{empty}</question></search>")
    assert isinstance(one, Candidate)
    assert one.accepted == ()


def test_an_empty_item_is_how_an_answer_without_any_looks() -> None:
    assert found("<search><question>\n</question><question/></search>") == []


def test_attributes_and_text_below_are_values() -> None:
    (one,) = found('<r><question id="7"><Question>Who is <b>first</b>?</Question></question></r>')
    assert isinstance(one, Candidate)
    assert (one.text, one.external_id) == ("Who is first?", "7")


def test_an_item_without_a_text_is_named() -> None:
    assert found("<r><question><Answer>A</Answer></question></r>") == [Unreadable("item 1", "it has no text")]


def test_raw_control_characters_stay_for_screening() -> None:
    assert texts(found(f"<r>{item(chr(1) + 'Why' + chr(0x96) + chr(0x1F) + '?')}</r>")) == ["\x01Why\x96\x1f?"]
    assert texts(found(f"<r>{item('Why&#1;&#x1F;?')}</r>")) == ["Why&#1;&#x1F;?"]


def test_bare_ampersands_and_html_entities_stay_for_screening() -> None:
    assert texts(found(f"<r>{item('R&B, Lilo & Stitch, &oelig;uvre, &amp;, &#233;?')}</r>")) == [
        "R&B, Lilo & Stitch, &oelig;uvre, &, é?"
    ]


def test_a_broken_item_is_cut_out_and_named_and_the_others_are_read() -> None:
    text = f"<r>\n{item('One?')}\n<question><Question>Is 1 < 2?</Question>\n</question>\n{item('Three?')}\n</r>"
    result = found(text)
    assert texts(result) == ["One?", "Three?"]
    assert [one.where for one in result if isinstance(one, Unreadable)] == ["lines 3-4"]


def test_the_declared_encoding_does_not_count_once_it_is_text() -> None:
    document = f'<?xml version="1.0" encoding="windows-1251"?><r>{item("Сколько?")}</r>'
    job = Job(format="xml", items=".//question", plan=PLAN)
    assert texts(list(read_answer(job, document.encode("windows-1251"))[0])) == ["Сколько?"]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>',
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
        '<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1/x">%x;]><r/>',
    ],
)
def test_entities_of_the_document_are_refused(text: str) -> None:
    with pytest.raises(FormatError, match="entities of its own"):
        found(text)


@pytest.mark.parametrize("text", ["", "nonsense", "<r>", "<r></s>", '{"a": 1}'])
def test_what_is_no_xml_is_said_so(text: str) -> None:
    with pytest.raises(FormatError, match="it is not XML"):
        found(text)


def test_a_web_page_is_called_one() -> None:
    with pytest.raises(FormatError, match=r'an HTML page \("Sign in"\), wanted XML'):
        found("<!DOCTYPE html><html><head><title>Sign in</title></head></html>")


def test_the_next_page_is_the_text_of_an_element() -> None:
    job = Job(format="xml", items="q", plan=PLAN, next="next")
    assert read_answer(job, b"<r><next>/page/2</next></r>")[1] == "/page/2"
    assert read_answer(job, b"<r><next/></r>")[1] is None


@given(
    st.lists(st.sampled_from(["<question>", "</question>", "<Question>", "</Question>", "<", "&", "a", "\n", "\x00"]))
)
def test_xml_salvage_ends_whatever_is_broken(parts: list[str]) -> None:
    with contextlib.suppress(FormatError):
        read(f"<r>{''.join(parts)}</r>", ".//question")
