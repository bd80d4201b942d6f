"""Every format by its name: bytes or a file in, candidates and what could not be read out. One visible table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from vestnik.quiz.model import Candidate
from vestnik.quiz.sources.formats import csv_rows, hash_q, html_items, json_items, openquizzdb, opentdb, xml_items
from vestnik.quiz.sources.formats import yaml_items as yaml_
from vestnik.quiz.sources.formats.decoding import decode
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.lines import lines
from vestnik.quiz.sources.formats.record import FormatError, Unreadable, candidates

Found = Iterator[Candidate | Unreadable]


def read_answer(job: Job, body: bytes) -> tuple[Found, str | None]:
    """What a page holds, and the link or cursor that leads to the next. Raises FormatError, also while iterated."""
    return ANSWERS[job.format](job, decode(body, job.encoding, job.claimed))


def _json_answer(job: Job, text: str) -> tuple[Found, str | None]:
    data = json_items.read_answer(text)
    items = json_items.items_of(data, job.items)
    next_ = json_items.next_page(data, job.next) if job.next else None
    return candidates(items, json_items.values_of, job.plan), next_


def _xml_answer(job: Job, text: str) -> tuple[Found, str | None]:
    root, cuts = xml_items.read(text, job.items)
    items = xml_items.items_of(root, job.items)
    next_ = root.findtext(job.next) if job.next else None
    return itertools.chain(cuts, candidates(items, xml_items.values_of, job.plan)), next_ or None


def _html_answer(job: Job, text: str) -> tuple[Found, str | None]:
    page = html_items.parse(text)
    next_ = html_items.next_page(page, job.next) if job.next else None
    return candidates(page.css(job.items), html_items.values_of, job.plan), next_


def _opentdb_answer(job: Job, text: str) -> tuple[Found, str | None]:
    """What leads on is the answer's head: a code, a token."""
    data = json_items.read_answer(text)
    head = opentdb.head_of(data)
    results = opentdb.asked_for(data, job.asked) if job.asked and head.code == 0 else []
    return opentdb.candidates(results, job.strings, job.plan), head.to_text()


ANSWERS: dict[str, Callable[[Job, str], tuple[Found, str | None]]] = {
    "json": _json_answer,
    "xml": _xml_answer,
    "html": _html_answer,
    "opentdb": _opentdb_answer,
}


def read_file(job: Job) -> Found:
    """Raises FormatError and OSError, also while iterated."""
    return FILES[job.format](job, Path(job.path or ""))


def _whole(job: Job, path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(job.most_bytes + 1)
    if len(data) > job.most_bytes:
        raise FormatError(f"it is larger than {job.most_bytes:,} bytes, and this format is read as a whole")
    return decode(data, job.encoding)


def _json(job: Job, path: Path) -> Found:
    data, cuts = json_items.read_file(_whole(job, path))
    return itertools.chain(cuts, candidates(json_items.items_of(data, job.items), json_items.values_of, job.plan))


def _yaml(job: Job, path: Path) -> Found:
    data, cuts = yaml_.read_file(_whole(job, path))
    return itertools.chain(cuts, candidates(json_items.items_of(data, job.items), json_items.values_of, job.plan))


def _xml(job: Job, path: Path) -> Found:
    root, cuts = xml_items.read(_whole(job, path), job.items)
    return itertools.chain(cuts, candidates(xml_items.items_of(root, job.items), xml_items.values_of, job.plan))


def _opentdb(job: Job, path: Path) -> Found:
    data, cuts = json_items.read_file(_whole(job, path))
    return itertools.chain(cuts, opentdb.candidates(opentdb.results_of(data), job.strings, job.plan))


def _csv(job: Job, path: Path) -> Found:
    with path.open("rb") as file:
        yield from csv_rows.candidates(lines(file, job.encoding), job.shape, job.plan)


def _hash_q(job: Job, path: Path) -> Found:
    with path.open("rb") as file:
        yield from hash_q.candidates(lines(file, job.encoding), job.category or path.stem)


def _openquizzdb(job: Job, path: Path) -> Found:
    with path.open("rb") as file:
        yield from openquizzdb.candidates(lines(file, job.encoding), job.plan)


FILES: dict[str, Callable[[Job, Path], Found]] = {
    "json": _json,
    "yaml": _yaml,
    "xml": _xml,
    "opentdb": _opentdb,
    "csv": _csv,
    "hash-q": _hash_q,
    "openquizzdb": _openquizzdb,
}
