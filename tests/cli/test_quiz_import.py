"""`vestnik quiz import`: files in, questions in the database and a report out; no daemon is needed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vestnik.cli.command import main
from vestnik.cli.quiz import FORMATS
from vestnik.errors import ExitCode
from vestnik.quiz.sources.formats.reading import FILES
from vestnik.runtime.maintenance import MaintenanceFlag

CONFIGURATION = """
channels: {nowhere: {worker: null}}
quiz:
  sources:
    dump: {kind: file, url: "file:elsewhere.txt", format: hash-q, language: en, licence: CC-BY-SA-4.0}
    site: {kind: json, url: "https://quiz.example.org/", mode: TIMER, interval: 1000, items: a, fields: {text: q},
           language: en, licence: CC0-1.0, attribution: A site}
"""
QUESTION = "#Q Which planet number {0} is the {0}. from the Sun?\n^ Planet{0}\nA Planet{0}\nB X\nC Y\nD Z\n\n"
DIRTY = "#Q Which of these is fruit number {0}?\n^ Apple{0}\nA Apple{0}\nB Pear\nC Plum\nD All of the above\n\n"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VESTNIK_CONFIG", raising=False)
    Path("config").mkdir()
    Path("config/vestnik.yaml").write_text(CONFIGURATION)
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def import_(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("quiz", "import", *arguments))


def result(*arguments: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(import_(*arguments, "--json").stdout)
    return found


def write(name: str, *blocks: str) -> str:
    Path(name).write_text("".join(block.format(number) for number, block in enumerate(blocks, 1)))
    return name


def kept(columns: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect("var/vestnik.db")
    rows = connection.execute(f"SELECT {columns} FROM question ORDER BY id").fetchall()  # noqa: S608
    connection.close()
    return rows


def test_the_formats_are_those_that_can_be_read() -> None:
    assert sorted(FORMATS) == sorted(FILES)


def test_a_file_becomes_questions_and_a_report_says_what_by_which_rule() -> None:
    file = write("q.txt", QUESTION, DIRTY, "#Q Without an answer\n", QUESTION.format("1"))
    found = import_(file, "--source", "mine", "--format", "hash-q", "--language", "en")
    assert found.exit_code == ExitCode.FAILED
    lines = found.stdout.splitlines()
    assert lines[0].startswith("4 records in ")
    assert lines[0].endswith(" s: 1 ready, 1 raw, 1 refused, 1 unreadable")
    assert [line.split() for line in lines[1:4]] == [
        ["outcome", "rule", "questions"],
        ["raw", "R08-all-of-the-above", "1"],
        ["refused", "R30-duplicate", "1"],
    ]
    assert lines[-1].startswith("left out: q.txt, line 15: the question has no line with its answer")
    assert kept("status, source, category, language") == [("ready", "mine", "q", "en"), ("raw", "mine", "q", "en")]


def test_the_same_again_is_refused_as_known() -> None:
    file = write("q.txt", QUESTION, QUESTION)
    arguments = (file, "--source", "mine", "--format", "hash-q", "--language", "en")
    assert result(*arguments)["ready"] == 2
    again = result(*arguments)
    assert (again["ready"], again["refused_by_rule"]) == (0, {"R30-duplicate": 2})


def test_several_files_make_one_report_and_one_that_fails_does_not_hide_the_others() -> None:
    write("a.txt", QUESTION)
    Path("b.json").write_text("<html>")
    Path("c [1]*%41.txt").write_text(QUESTION.format(3))
    Path("a.json").write_text('[{"t": "How many legs has a spider?", "c": "8", "i": ["6", "4", "2"]}]')
    found = import_(
        "b.json", "a.json", "--source", "mine", "--format", "json", "--items", "@", "--language", "en",
        "--field", "text=t", "--field", "correct=c", "--field", "incorrect=i",
    )  # fmt: skip
    assert found.exit_code == ExitCode.FAILED
    assert " 1 ready, " in found.stdout
    assert found.stderr.startswith("b.json: ")
    found = import_("a.txt", "c [1]*%41.txt", "--source", "mine", "--format", "hash-q", "--language", "en")
    assert found.exit_code == ExitCode.DONE
    assert " 2 ready, " in found.stdout


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_record_that_cannot_be_read_fails_and_the_others_are_kept(as_json: tuple[str, ...]) -> None:
    file = write("q.txt", QUESTION, "#Q Without an answer\n")
    assert import_(file, "--source", "dump", *as_json).exit_code == ExitCode.FAILED
    assert kept("source") == [("dump",)]
    clean = write("clean.txt", QUESTION)
    assert import_(clean, "--source", "dump", *as_json).exit_code == ExitCode.DONE


def test_a_file_that_holds_something_and_no_question_fails_and_is_named() -> None:
    Path("page.json").write_text("[]")
    options = ("--source", "mine", "--format", "json", "--items", "@", "--language", "en")
    fields = ("--field", "text=t", "--field", "correct=c", "--field", "incorrect=i")
    found = import_("page.json", *options, *fields)
    assert found.exit_code == ExitCode.FAILED
    assert "page.json: there is no question in it" in found.stderr


def test_an_empty_file_is_no_failure() -> None:
    Path("empty.txt").write_text("")
    assert import_("empty.txt", "--source", "dump").exit_code == ExitCode.DONE


def test_csv_is_told_its_columns_or_has_a_header() -> None:
    Path("a.csv").write_text("1;What colour is the sky by day?;blue;red;green;pink\n")
    columns = "-,text,correct,incorrect,incorrect,incorrect"
    options = ("--source", "mine", "--format", "csv", "--language", "en")
    assert result("a.csv", *options, "--delimiter", ";", "--columns", columns)["ready"] == 1
    Path("b.csv").write_text("q,a,b,c,d\nWhat colour is fresh grass?,green,red,blue,pink\n")
    fields = ("--field", "text=q", "--field", "correct=a")
    wrong = ("--field", "incorrect=b", "--field", "incorrect=c", "--field", "incorrect=d")
    assert result("b.csv", *options, *fields, *wrong)["ready"] == 1
    assert kept("incorrect") == [('["red", "green", "pink"]',), ('["red", "blue", "pink"]',)]


def test_a_file_source_of_the_configuration_lends_how_to_read() -> None:
    file = write("q.txt", QUESTION)
    assert import_(file, "--source", "dump").exit_code == ExitCode.DONE
    assert kept("source, licence, source_url") == [("dump", "CC-BY-SA-4.0", None)]


def test_another_source_lends_what_is_true_of_its_questions() -> None:
    file = write("q.txt", QUESTION)
    assert import_(file, "--source", "site", "--format", "hash-q", "--attribution", "Mine").exit_code == ExitCode.DONE
    wanted = ("site", "CC0-1.0", "Mine", "https://quiz.example.org/")
    assert kept("source, licence, attribution, source_url") == [wanted]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--source", "mine"], "give --format"),
        (["--source", "dump", "--language", "de"], "give --format"),
        (["--source", "mine", "--format", "json"], "--items: is missing"),
        (["--source", "mine", "--format", "json", "--items", "a", "--field", "text=["], "--field text"),
        (["--source", "mine", "--format", "json", "--items", "a", "--field", "txt"], "is not FIELD=PLACE"),
        (["--source", "mine", "--format", "csv"], "--columns: "),
        (["--source", "mine", "--format", "hash-q", "--licence", "free for all"], "--licence: "),
        (["--source", "mine", "--format", "hash-q", "--encoding", "morse"], "--encoding: "),
        (["--source", "mine", "--format", "docx"], "'docx' is not one of"),
        (["--format", "hash-q"], "Missing option '--source'"),
        (["--source", "a b", "--format", "hash-q"], '--source: found "a b", wanted a name of letters, digits'),
        (["--source", "export", "--format", "hash-q"], "which is not `export`"),
    ],
)
def test_what_does_not_say_how_to_read_is_bad_usage(arguments: list[str], wanted: str) -> None:
    found = import_(write("q.txt", QUESTION), *arguments)
    assert found.exit_code == ExitCode.BAD_USAGE
    assert wanted in found.stderr
    assert not Path("var").exists()


def test_a_missing_file_a_folder_and_no_quiz_are_bad_usage() -> None:
    for arguments in (["none.txt", "--source", "dump"], ["config", "--source", "dump"], ["--source", "dump"]):
        assert import_(*arguments).exit_code == ExitCode.BAD_USAGE
    Path("config/vestnik.yaml").write_text("channels: {nowhere: {worker: null}}\n")
    found = import_(write("q.txt", QUESTION), "--source", "dump")
    assert found.exit_code == ExitCode.BAD_USAGE
    assert "the configuration has no section `quiz`" in found.stderr


def test_check_counts_the_sources_too() -> None:
    found = CliRunner().invoke(main, ("check",))
    assert found.stdout == "config/vestnik.yaml: right, 1 channel, 2 quiz sources\n"


def test_in_maintenance_nothing_is_taken_in() -> None:
    MaintenanceFlag(Path("var")).set(on=True)
    found = import_(write("q.txt", QUESTION), "--source", "dump")
    assert (found.exit_code, found.stderr) == (ExitCode.FAILED, "in maintenance nothing is taken in\n")
    assert not Path("var/vestnik.db").exists()


@pytest.mark.parametrize("how", ["interrupted", "maintenance"])
def test_it_ends_early_with_what_is_in_hand_and_says_so(how: str) -> None:
    file = write("q.txt", *[QUESTION] * 20_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "vestnik", "quiz", "import", file, "--source", "dump", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not _some_are_kept():
        assert time.monotonic() < until
        time.sleep(0.05)
    if how == "interrupted":
        process.send_signal(signal.SIGINT)
    else:
        MaintenanceFlag(Path("var")).set(on=True)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == ExitCode.FAILED, errors
    found = json.loads(output)
    assert found["stopped"] == {"interrupted": "it was interrupted", "maintenance": "maintenance began"}[how]
    assert 0 < found["ready"] < 20_000
    assert len(kept("id")) == found["ready"] + found["raw"]


def _some_are_kept() -> bool:
    try:
        return bool(kept("id"))
    except sqlite3.OperationalError:
        return False
