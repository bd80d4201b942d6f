"""HTML: items and their values by CSS selectors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.reading import read_answer
from vestnik.quiz.sources.formats.record import Pick, Plan, Unreadable

PAGE = """<!doctype html><html><body><table>
<tr class=tooltip><td>1<td><a href="/q/1">Which letter
   is first?</a><div class="wrong">Wrong ones: B, C, D</div><td>A</tr>
<tr class="tooltip incorrect"><td>2<td><a href="/q/2">Which letter is &laquo;last&raquo;?<br>Think.</a>
    <div class="wrong">Wrong ones: X, Y</div><td><b>Z</b><script>alert(1)</script></tr>
<tr class=tooltip><td>3<td>advertisement
</table><div><b class="active">1</b> <a href="/list/10">2</a></div>"""
PLAN = Plan(
    {
        "text": Pick("td:nth-child(2) a"),
        "correct": Pick("td:nth-child(3)"),
        "incorrect": Pick(".wrong", remove="^Wrong ones:", split=","),
        "external_id": Pick("td:nth-child(2) a", attribute="href"),
        "withdrawn": Pick(".incorrect"),
    }
)


def read(
    page: str, items: str = "tr.tooltip", next_: str = ".active + a"
) -> tuple[list[Candidate | Unreadable], str | None]:
    found, link = read_answer(Job(format="html", items=items, plan=PLAN, next=next_), page.encode())
    return list(found), link


def test_items_and_fields_are_picked() -> None:
    (first, second, third), _ = read(PAGE)
    assert isinstance(first, Candidate)
    assert " ".join(first.text.split()) == "Which letter is first?"
    assert ([c.strip() for c in first.correct], first.incorrect) == (["A"], ("B", "C", "D"))
    assert (first.external_id, first.withdrawn) == ("/q/1", False)
    assert isinstance(second, Candidate)
    assert second.withdrawn
    assert third == Unreadable("item 3", "it has no text")


def test_a_break_parts_words_and_scripts_are_no_text() -> None:
    (_, second, _), _ = read(PAGE)
    assert isinstance(second, Candidate)
    assert second.text.split() == ["Which", "letter", "is", "«last»?", "Think."]
    assert [c.strip() for c in second.correct] == ["Z"]


def test_the_next_page_is_a_links_target() -> None:
    assert read(PAGE)[1] == "/list/10"
    assert read(PAGE, next_=".last + a")[1] is None
    assert read("<a class=n>no target</a>", next_=".n")[1] is None


def test_a_page_without_items_has_none() -> None:
    assert read("<p>nothing</p>")[0] == []
    assert read("")[0] == []


def test_deep_nesting_is_no_crash() -> None:
    assert read("<div>" * 5_000 + "x")[0] == []


@given(st.text(st.sampled_from("<>/\"'=& atrdiv!-\x00")))
def test_whatever_markup_comes_it_is_read(page: str) -> None:
    read(page)
