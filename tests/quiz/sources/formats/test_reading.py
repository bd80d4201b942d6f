"""Every format on whatever bytes come: it is read, or refused with a reason, and never anything else."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats.csv_rows import Shape
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.reading import ANSWERS, FILES, read_answer, read_file
from vestnik.quiz.sources.formats.record import FormatError, Pick, Plan, Unreadable

ITEMS = {"json": "having(@, 'q')", "yaml": "having(@, 'q')", "xml": ".//q", "html": "q"}
PLANS = {
    "json": Plan({"text": Pick("q"), "options": Pick("o"), "correct": Pick("a")}),
    "yaml": Plan({"text": Pick("q"), "options": Pick("o"), "correct": Pick("a")}),
    "xml": Plan({"text": Pick("t"), "options": Pick("o"), "category": Pick(attribute="c")}),
    "html": Plan({"text": Pick("t"), "options": Pick("o"), "category": Pick(attribute="c")}),
}
#: What formats are made of, so that random bytes have a chance to mean something.
FRAGMENTS = [
    *(
        b"<q>",
        b"</q>",
        b"<q c='",
        b"'>",
        b"<t>",
        b"</t>",
        b"<o>",
        b"<![CDATA[",
        b"<!--",
        b"&amp;",
        b"&#0;",
        b"&",
        b"<?",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"q"',
        b'"a"',
        b'"results"',
        b'"question"',
        b":",
        b",",
        b'"',
        b"\\u",
        b"\\",
        b"null",
        b"1e9",
    ),
    *(b"- ", b"q: ", b"o: ", b"'", b"|\n", b"*a", b"&a ", b"!x", b"%", b"---\n"),
    *(b"#Q ", b"^ ", b"A ", b"B ", b"[1 - x]\n", b"Question: ", b"A > x *\n", b";", b"\n", b"\r", b"\t", b" "),
    *(b"\x00", b"\x1f", b"\x81", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", "й".encode(), b"abc"),
]
BYTES = st.binary(max_size=200) | st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join)
ENCODINGS = st.sampled_from([None, "utf-8", "utf-16-le", "cp1251"])


def job(format_: str, path: Path | None = None, encoding: str | None = None) -> Job:
    return Job(
        format=format_,
        items=ITEMS.get(format_, ""),
        plan=PLANS.get(format_, Plan({})),
        encoding=encoding,
        shape=Shape(";", '"', {2: ["text", "correct"], 3: ["text", "correct", "incorrect"]}),
        path=str(path) if path else None,
        most_bytes=1 << 20,
    )


def checked(one: Candidate | Unreadable) -> None:
    if isinstance(one, Candidate):
        for text in (one.text, *one.correct, *one.incorrect, one.category or ""):
            text.encode()  # it can be stored
    else:
        assert one.where
        assert one.why


@pytest.mark.parametrize("format_", ANSWERS)
@given(body=BYTES, claimed=st.none() | st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_every_answer_is_read_or_refused(format_: str, body: bytes, claimed: str | None) -> None:
    with contextlib.suppress(FormatError):
        found, next_ = read_answer(job(format_).of_answer(claimed), body)
        for one in found:
            checked(one)
        assert next_ is None or format_ == "opentdb"  # which says its code there


@pytest.mark.parametrize("format_", FILES)
@given(content=BYTES, encoding=ENCODINGS)
@example(content=b"\xff\xfe", encoding=None)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_file_is_read_or_refused(tmp_path: Path, format_: str, content: bytes, encoding: str | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with contextlib.suppress(FormatError):
        for one in read_file(job(format_, path, encoding)):
            checked(one)
