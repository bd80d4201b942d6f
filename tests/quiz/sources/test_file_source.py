"""Sources that are files."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path

import pytest
from described import described

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.file import path_of
from vestnik.quiz.sources.source import Page, Shared, SourceFailed


async def run(folder: Path, shared: Shared, text: str) -> list[Page]:
    """`{here}` in the YAML is the folder."""
    source = described(folder, f"kind: file\n{text}".replace("{here}", str(folder))).build(shared)
    async with aclosing(source.pages()) as pages:
        return [page async for page in pages]


def candidates(pages: list[Page]) -> list[Candidate]:
    return [candidate for page in pages for candidate in page.candidates]


ONE = Candidate(text="Which letter is first?", correct=("A",), incorrect=("B", "C"), difficulty="easy")

FILES = {
    "json": (
        json.dumps({"quiz": [{"q": ONE.text, "options": ["B", "A", "C"], "answer": "A", "level": "1"}]}),
        "items: quiz\nfields: {text: q, correct: answer, options: options, difficulty: level}\n"
        "values: {difficulty: {'1': easy}}",
    ),
    "yaml": (
        "- q: Which letter is first?\n  options: [B, A, C]\n  answer: A\n  level: easy\n",
        "items: '[]'\nfields: {text: q, correct: answer, options: options, difficulty: level}",
    ),
    "xml": (
        '<r><q level="easy"><t>Which letter is first?</t><o>B</o><o>A</o><o>C</o><a>A</a></q></r>',
        "items: .//q\nfields: {text: t, correct: a, options: o, difficulty: {attribute: level}}",
    ),
    "csv": (
        "Question;Right;Wrong;Level\nWhich letter is first?;A;B|C;easy\n",
        "delimiter: ';'\n"
        "fields: {text: Question, correct: Right, incorrect: {select: Wrong, split: '|'}, difficulty: Level}",
    ),
    "openquizzdb": (
        "[leicht]\nQuestion: Which letter is first?\nA > B\nB > A *\nC > C\n",
        "values: {difficulty: {leicht: easy}}",
    ),
    "opentdb": (
        json.dumps(
            {
                "results": [
                    {
                        "question": "Which%20letter%20is%20first%3F",
                        "correct_answer": "A",
                        "incorrect_answers": ["B", "C"],
                        "difficulty": "easy",
                    }
                ]
            }
        ),
        "encode: url3986",
    ),
}  # fmt: skip


@pytest.mark.parametrize("format_", FILES)
async def test_every_format_is_read(tmp_path: Path, shared: Shared, format_: str) -> None:
    content, keys = FILES[format_]
    (tmp_path / "questions").write_text(content)
    pages = await run(tmp_path, shared, f"url: file://{{here}}/questions\nformat: {format_}\n{keys}")
    assert candidates(pages) == [ONE]
    assert {page.where for page in pages} == {f"{tmp_path}/questions"}


async def test_hash_q_takes_the_files_name_for_a_category_or_the_one_given(tmp_path: Path, shared: Shared) -> None:
    (tmp_path / "letters").write_text("#Q Which letter is first?\n^ A\nA B\nB A\n")
    text = "url: file://{here}/letters\nformat: hash-q\n"
    (named,) = candidates(await run(tmp_path, shared, text))
    (given,) = candidates(await run(tmp_path, shared, text + "category: Alphabets\n"))
    assert (named.category, given.category) == ("letters", "Alphabets")


async def test_rows_without_a_header_have_a_layout_by_their_width(tmp_path: Path, shared: Shared) -> None:
    (tmp_path / "q.csv").write_text("1;Why?;A;B\n2;fr;Pourquoi ?;A;B\n3;x\n")
    columns = "[[external_id, text, correct, incorrect], [external_id, language, text, correct, incorrect]]"
    pages = await run(tmp_path, shared, f"url: file://{{here}}/q.csv\nformat: csv\ndelimiter: ';'\ncolumns: {columns}")
    assert [(one.text, one.language) for one in candidates(pages)] == [("Why?", None), ("Pourquoi ?", "fr")]
    assert [one.where for page in pages for one in page.unreadable] == ["line 3"]


async def test_several_files_are_read_in_order_and_a_broken_one_does_not_hold_up_the_others(
    tmp_path: Path, shared: Shared
) -> None:
    for name, content in {"b": "[]", "c": "nonsense", "d": "<html>", "a": '[{"question": "Why?"}]'}.items():
        (tmp_path / f"{name}.json").write_text(content)
    pages = await run(tmp_path, shared, "url: file://{here}/*.json\nformat: opentdb")
    assert [Path(page.where).name for page in pages if page.candidates or page.unreadable] == [
        "a.json",
        "c.json",
        "d.json",
    ]
    reasons = [one.why for page in pages for one in page.unreadable]
    assert "it is not JSON" in reasons[0]
    assert "it is an HTML page" in reasons[1]


async def test_when_no_file_can_be_read_the_run_has_failed(tmp_path: Path, shared: Shared) -> None:
    (tmp_path / "a.json").write_text("nonsense")
    with pytest.raises(SourceFailed, match=r"a\.json cannot be read: it is not JSON"):
        await run(tmp_path, shared, "url: file://{here}/a.json\nformat: opentdb")


async def test_a_file_that_is_not_there_and_a_folder_are_said_so(tmp_path: Path, shared: Shared) -> None:
    with pytest.raises(SourceFailed, match=r"there is no file .*none\.json"):
        await run(tmp_path, shared, "url: file://{here}/none.json\nformat: opentdb")
    with pytest.raises(SourceFailed, match=r"is a folder: name the files in it, such as .*/\*\.json"):
        await run(tmp_path, shared, "url: file://{here}/\nformat: opentdb")
    with pytest.raises(SourceFailed, match="there is no file"):
        await run(tmp_path, shared, "url: file:///dev/zero\nformat: hash-q")


async def test_a_relative_path_begins_in_the_working_directory(
    tmp_path: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my letters").write_text("#Q Which letter is first?\n^ A\nA B\nB A\n")
    assert len(candidates(await run(tmp_path, shared, "url: file:my%20letters\nformat: hash-q"))) == 1


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///srv/a.json", "/srv/a.json"),
        ("file://localhost/srv/a.json", "/srv/a.json"),
        ("file:/srv/a.json", "/srv/a.json"),
        ("file:var/a%20b.json", "var/a b.json"),
        ("file:///srv/%D0%B0.json", "/srv/а.json"),
    ],
)
def test_urls_of_files(url: str, path: str) -> None:
    assert path_of(url) == path


@pytest.mark.parametrize(
    "url", ["", "file:", "file://", "file://host/x", "http://x/y", "file:///a%00b", "file:///a\nb"]
)
def test_urls_of_no_files(url: str) -> None:
    with pytest.raises(ValueError, match="file:///PATH"):
        path_of(url)
