"""The kinds there are, ours and those of installed packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vestnik.quiz.sources.catalogue import GROUP, KINDS, find_kind, kinds
from vestnik.quiz.sources.source import Source
from vestnik.settings.catalogue import BrokenEntry, UnknownEntry

PACKAGE = """
from collections.abc import AsyncGenerator
from vestnik.quiz.sources.source import Candidate, Page, Shared, Source, SourceSettings

class Settings(SourceSettings):
    count: int = 1

class Counting(Source):
    Settings = Settings
    def __init__(self, settings: Settings, shared: Shared) -> None:
        self._count = settings.count
    async def pages(self) -> AsyncGenerator[Page]:
        for n in range(self._count):
            yield Page("nowhere", (Candidate(text=f"What comes after {n}?", correct=(str(n + 1),)),))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip would have installed it, with a good kind, one that is none, and one that cannot be imported."""
    (tmp_path / "quiz_counting.py").write_text(PACKAGE)
    info = tmp_path / "quiz_counting-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quiz-counting\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\ncounting = quiz_counting:Counting\nnone = quiz_counting:PACKAGE\n"
        "absent = quiz_absent:Source\njson = quiz_counting:Counting\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "quiz_counting", raising=False)


@pytest.mark.parametrize("name", KINDS)
def test_ours_are_sources(name: str) -> None:
    assert issubclass(find_kind(name), Source)


def test_an_installed_package_brings_another(package: None) -> None:
    assert issubclass(find_kind("counting"), Source)
    assert set(kinds()) >= {"counting", *KINDS}


def test_ours_cannot_be_taken_over(package: None) -> None:
    assert find_kind("json").__module__.startswith("vestnik.")


def test_what_is_broken_is_said_so(package: None) -> None:
    with pytest.raises(BrokenEntry, match="importing quiz_absent:Source failed"):
        find_kind("absent")
    with pytest.raises(BrokenEntry, match=r"failed|is not a Source"):
        find_kind("none")


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(UnknownEntry) as caught:
        find_kind("jsn")
    assert set(caught.value.known) >= set(KINDS)
