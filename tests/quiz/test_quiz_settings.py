"""The section `quiz`: literal YAML in, exact error lines out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vestnik.configuration import Configuration, load
from vestnik.settings.problems import ConfigurationError

CHANNELS = "channels: {nowhere: {worker: null}}\n"
EXPORT = 'export: {url: "http://127.0.0.1:1/q", key: the-key, mode: CRON, schedule: "0 */6 * * *"'


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def configuration(quiz: str) -> Configuration:
    Path("v.yaml").write_text(CHANNELS + quiz)
    return load(Path("v.yaml"), serving=True)


def problems(quiz: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        configuration(quiz)
    return str(raised.value).split("\n")


def test_without_the_section_there_is_no_quiz() -> None:
    assert configuration("").quiz is None


@pytest.mark.parametrize("section", ["quiz: {}", "quiz: {sources: {}}", "quiz:\n  sources:\n"])
def test_sources_and_export_may_be_left_out(section: str) -> None:
    quiz = configuration(section).quiz
    assert quiz is not None
    assert (quiz.sources, quiz.export) == ((), None)


def test_without_the_section_nothing_of_the_collector_is_loaded() -> None:
    Path("v.yaml").write_text(CHANNELS)
    code = "import sys; from pathlib import Path; from vestnik.configuration import load; load(Path('v.yaml'))\n"
    code += "import vestnik.daemon; print([name for name in sys.modules if name.startswith('vestnik.quiz')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "[]\n"


def test_sources_and_export_are_read() -> None:
    source = '  sources: {dump: {kind: file, url: "file:dump.txt", format: hash-q, language: en}}\n'
    quiz = configuration(f"quiz:\n{source}  {EXPORT}, batch: 7}}\n").quiz
    assert quiz is not None
    assert [source.name for source in quiz.sources] == ["dump"]
    assert quiz.export is not None
    assert quiz.export.batch == 7


def test_the_key_may_come_from_a_file_and_is_known_to_who_redacts() -> None:
    Path("key").write_text("a-key-in-a-file\n")
    found = configuration("quiz:\n  " + EXPORT.replace("the-key", "!file key") + "}\n")
    assert "a-key-in-a-file" in list(found.secrets())
    assert "a-key-in-a-file" not in repr(found)


def test_all_problems_come_at_once_each_at_its_line() -> None:
    section = """quiz:
  sources:
    dump: {kind: fiel, url: "file:x"}
  export:
    url: ftp://h/
    key: !file missing
    mode: CRON
    schedule: 0 0 31 4 *
    batch: 101
    treshold: 5
"""
    assert problems(section) == [
        'v.yaml:4: quiz.sources.dump.kind: found "fiel", wanted one of file, html, json, opentdb, xml, '
        'did you mean "file"?',
        'v.yaml:6: quiz.export.url: found "ftp://h/", wanted a URL such as https://quiz.example.org/api/questions, '
        "percent-encoded",
        'v.yaml:7: quiz.export.key: cannot read the file "missing": there is no such file',
        'v.yaml:9: quiz.export.schedule: found "0 0 31 4 *", wanted an expression that comes some day; this one never '
        "does",
        'v.yaml:10: quiz.export.batch: found "101", wanted at most 100',
        'v.yaml:11: quiz.export.treshold: unknown key, did you mean "threshold"? (known are batch, interval, key, '
        "key_header, max_retry_delay, mode, retry_delay, schedule, threshold, timeout, timezone, url)",
    ]


def test_a_key_that_is_no_key_is_not_shown() -> None:
    [problem] = problems("quiz:\n  " + EXPORT.replace("the-key", "two words") + "}\n")
    assert "two words" not in problem
    assert problem.endswith("wanted a key of ASCII characters without spaces")


@pytest.mark.parametrize("section", ["quiz: []", "quiz: text", "quiz: {sources: [], export: text}"])
def test_a_section_of_another_kind_is_a_sentence(section: str) -> None:
    assert all("wanted" in problem for problem in problems(section))
