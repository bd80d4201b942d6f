"""Every source that the documentation shows can be written so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from described import all_described

from vestnik.quiz.sources.catalogue import KINDS
from vestnik.quiz.sources.file import FileSettings
from vestnik.quiz.sources.formats.reading import FILES

PAGE = Path(__file__).parents[3] / "docs" / "quiz-sources.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.partition(":")[0] for example in EXAMPLES])
def test_an_example_is_a_source(tmp_path: Path, example: str) -> None:
    (source,) = all_described(tmp_path, example)
    assert source.name == example.partition(":")[0]


def test_every_kind_and_every_format_is_spoken_of() -> None:
    words = set(re.findall(r"`([a-z-]+)`", PAGE.read_text()))
    assert words >= {*KINDS, *FILES}


def test_formats_are_the_same_everywhere() -> None:
    assert set(FILES) == set(FileSettings.model_fields["format"].annotation.__args__)  # type: ignore[union-attr]
