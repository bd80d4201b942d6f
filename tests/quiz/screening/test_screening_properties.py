from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate, Media, Origin
from vestnik.quiz.screening.near import alike, answers_conflict, near_key
from vestnik.quiz.screening.screening import Refused, Screened, screen
from vestnik.quiz.text_hash import text_hash

ORIGIN = Origin(name="test", language="en")

CHARACTERS = st.characters()  # lone surrogates, controls and unassigned ones included
MARKUP = ("&amp;", "&lt;", "&gt;", "&#0;", "&#x", ";", "<i>", "</i>", "<br>", "<!--", "-->", "<h1>", "<", ">", "amp;")
DIRT = (" ", "\n", "\u00a0", "\x00", "\x85", "\x92", "\u200b", "\u200d", "\ufeff", "ё", "Cо", "сo", "U.S.", ".", "â€œ")
WORDING = ("?", "[Ведущему: ", "Блиц.", "https://", "1. 2. ", "Кто Это Был?", "The Of", "yes", "No", "True")
PIECES = st.sampled_from(MARKUP + DIRT + WORDING)
TEXT = st.lists(st.one_of(PIECES, st.text(CHARACTERS, max_size=5)), max_size=12).map("".join)
TEXTS = st.lists(TEXT, max_size=5).map(tuple)
CANDIDATES = st.builds(
    Candidate,
    text=TEXT,
    correct=TEXTS,
    incorrect=TEXTS,
    type=st.sampled_from([None, "multiple", "boolean", "open", "other"]),
    language=st.one_of(st.none(), st.sampled_from(["en", "ru", "xx"]), TEXT),
    category=st.one_of(st.none(), TEXT),
    difficulty=st.one_of(st.none(), st.sampled_from(["easy", "HARD"]), TEXT),
    accepted=TEXTS,
    explanation=st.one_of(st.none(), TEXT),
    tags=TEXTS,
    media=st.lists(st.builds(Media, role=st.sampled_from(["question", "answer"]), kind=TEXT, url=TEXT), max_size=2).map(
        tuple
    ),
)


@given(CANDIDATES)
@settings(max_examples=300)
@example(Candidate(text="&" + "amp;" * 2000 + "lt;b&gt;", correct=("x",)))
@example(Candidate(text="<" * 9999, correct=("<b>" * 3333,)))
@example(Candidate(text="<!--" * 2500, correct=("<b" + " x" * 4000,)))
def test_no_candidate_raises_and_what_is_screened_is_screened(candidate: Candidate) -> None:
    result = screen(candidate, ORIGIN)
    if isinstance(result, Refused):
        return
    assert text_hash(result.content.text) is not None
    assert result.content.correct
    assert all(result.content.correct + result.content.incorrect + result.content.accepted + result.content.tags)
    second = screen(result.content.as_candidate(), ORIGIN)
    if isinstance(second, Screened):  # a text can come to look withdrawn only by being put in order
        assert second.content == result.content
        assert second.repaired == ()


@given(CANDIDATES)
def test_what_is_stored_can_be_written_as_utf_8(candidate: Candidate) -> None:
    result = screen(candidate, ORIGIN)
    if isinstance(result, Screened):
        content = result.content
        texts = [content.text, *content.correct, *content.incorrect, *content.accepted, content.explanation or ""]
        "".join([*texts, *content.tags, content.category or ""]).encode()
        "".join(reason.detail or "" for reason in result.reasons).encode()


@given(TEXT, TEXT)
def test_comparing_never_raises(one: str, other: str) -> None:
    alike(one, other)
    result = screen(Candidate(text="Who was it then?", correct=(one,), incorrect=(other,)), ORIGIN)
    if isinstance(result, Screened):
        near_key(result.content)
        assert not answers_conflict(result.content, result.content)
