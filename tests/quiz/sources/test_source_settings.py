"""What an operator may write about a source, and how he is told what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from described import all_described, described

from vestnik.quiz.sources.configured import ConfiguredSource
from vestnik.quiz.sources.file import CsvFileSettings
from vestnik.quiz.sources.opentdb import PACE, OpenTdbSettings
from vestnik.quiz.sources.web import JsonSettings
from vestnik.scheduler.triggers import Cron, Timer
from vestnik.settings.problems import ConfigurationError
from vestnik.settings.validation import secrets_in

#: As docs and the shipped configuration have them.
ALL_KINDS = """
opentdb:
  kind: opentdb
  url: http://127.0.0.1:8090/opentdb
  mode: TIMER
  interval: 60000
  filters: {category: 9, difficulty: easy}
  licence: CC-BY-SA-4.0
millionaire:
  kind: json
  url: "https://quiz.example.org/millionaire.php?qType=1&count=5"
  mode: CRON
  schedule: "*/5 * * * *"
  timezone: Europe/Moscow
  items: "data[]"
  fields: {text: question, correct: "answers[0]", incorrect: "answers[1:]", external_id: id}
  language: ru
answers-page:
  kind: html
  url: "https://answers.example.org/categories/view/1/0"
  mode: CRON
  schedule: "0 3 * * *"
  items: "tr.tooltip"
  fields:
    text: "td:nth-child(2) a"
    correct: "td:nth-child(3)"
    incorrect: {select: ".q-list__quiz-answers", split: ","}
  next: ".q-list__active-nav + a"
  pages: 10
dump:
  kind: file
  url: "file:///srv/quiz/questions.json"
  format: opentdb
"""
GOOD = """
kind: json
url: https://quiz.example.org/api
mode: TIMER
interval: 60000
items: "@"
fields: {text: question}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        described(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def keys_of(problems: list[str]) -> set[str]:
    return {problem.partition(" it.")[2].partition(":")[0] for problem in problems}


def good(tmp_path: Path, *changes: str) -> ConfiguredSource:
    """Lines replace those with the same key."""
    return described(tmp_path, changed(*changes))


def changed(*changes: str, base: str = GOOD) -> str:
    lines = {line.partition(":")[0]: line for line in base.strip().split("\n")}
    lines |= {line.partition(":")[0]: line for line in changes}
    return "\n".join(line for line in lines.values() if line.partition(":")[2] != " -")


def test_every_kind_can_be_described(tmp_path: Path) -> None:
    opentdb, millionaire, page, dump = all_described(tmp_path, ALL_KINDS)
    assert isinstance(opentdb.settings, OpenTdbSettings)
    assert opentdb.settings.trigger == Timer(60000)
    assert opentdb.settings.rate == PACE
    assert opentdb.origin.licence == "CC-BY-SA-4.0"
    assert isinstance(millionaire.settings, JsonSettings)
    assert millionaire.settings.trigger == Cron("*/5 * * * *", "Europe/Moscow")
    assert (millionaire.origin.name, millionaire.origin.language) == ("millionaire", "ru")
    assert page.settings.plan().fields["incorrect"].split == ","
    assert dump.settings.trigger is None


def test_what_is_true_of_all_questions_goes_with_them(tmp_path: Path) -> None:
    origin = good(
        tmp_path,
        "licence: CC-BY-4.0",
        "attribution: Anna",
        "language: en",
        "screening: {R08: false}",
        "entities: false",
    ).origin
    assert (origin.licence, origin.attribution, origin.language) == ("CC-BY-4.0", "Anna", "en")
    assert origin.screening == {"R08": False, "R10": False}
    assert origin.url == "https://quiz.example.org/api"


def test_rules_are_switched_by_name_too(tmp_path: Path) -> None:
    assert good(tmp_path, "screening: {R08-all-of-the-above: false}").origin.screening == {
        "R08-all-of-the-above": False
    }


def test_keys_are_secrets_wherever_they_stand(tmp_path: Path) -> None:
    source = good(tmp_path, "params: {apikey: p-secret}", "headers: {X-Api-Key: h-secret}")
    assert set(secrets_in(source.settings)) == {"p-secret", "h-secret"}
    assert "secret" not in repr(source.settings).replace("SecretStr", "")
    assert "secret" not in str(source.origin)


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        (["items: 'a['"], "items", "a JMESPath expression"),
        (["fields: {text: 'a..b'}"], "fields.text", 'found "a..b", wanted a JMESPath expression'),
        (["fields: {text: {select: 'a..b'}}"], "fields.text.select", "a JMESPath expression"),
        (["fields: {text: q, correct: 'lenght(a)'}"], "fields.correct", "there is no function lenght()"),
        (["fields: {correct: a}"], "fields.text", "is missing"),
        (["fields: {text: q, corect: a}"], "fields.corect", 'unknown key, did you mean "correct"?'),
        (["fields: -"], "fields", "is missing"),
        (["fields: {text: {select: q, remove: '('}}"], "fields.text.remove", "a regular expression"),
        (["next: 'a['"], "next", "a JMESPath expression"),
        (["interval: -"], "interval", "wanted a whole number of milliseconds, as the mode is TIMER"),
        (["interval: 0"], "interval", "a whole number of milliseconds from 1"),
        (["schedule: '0 0 * * *'"], "schedule", "nothing here, as the mode is TIMER"),
        (["mode: CRON", "interval: -"], "schedule", "the five fields of cron, as the mode is CRON"),
        (["mode: CRON", "interval: -", "schedule: '0 0 31 4 *'"], "schedule", "never does"),
        (["mode: SOMETIMES"], "mode", "'TIMER' or 'CRON'"),
        (["mode: -"], "mode", "is missing"),
        (["timezone: Mars/Phobos"], "timezone", "the name of a time zone"),
        (["url: ftp://quiz.example.org/"], "url", "a URL such as"),
        (["url: https://u:p@quiz.example.org/"], "url", "no password in it"),
        (["licence: 'free for all'"], "licence", "an SPDX id"),
        (["language: Russian"], "language", "a language such as en"),
        (["encoding: zip"], "encoding", "an encoding such as utf-8"),
        (["screening: {R08-all-of-the-bove: false}"], "screening", 'did you mean "R08-all-of-the-above"?'),
        (["screening: {R01: false}"], "screening", "R01 cannot"),
        (["values: {dificulty: {a: easy}}"], "values", 'did you mean "difficulty"?'),
        (["headers: {'X Key': a}"], "headers", "names of HTTP headers"),
        (["headers: {Host: a}"], "headers", "names of HTTP headers"),
        (["headers: {X-Key: ключ}"], "headers", "ASCII characters in one line"),
        (["rate: fast"], "rate", "a rate such as"),
        (["pages: 0"], "pages", "at least 1"),
        (["paging: {start: 0}"], "paging.parameter", "is missing"),
        (["size: 1"], "size", "at least 1024"),
        (["timeout: 1h"], "timeout", "at most"),
        (["kind: jsn"], "kind", 'wanted one of file, html, json, opentdb, xml, did you mean "json"?'),
        (["kind: -"], "kind", "is missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_line(tmp_path: Path, changes: list[str], key: str, words: str) -> None:
    (problem,) = problems(tmp_path, changed(*changes))
    place, _, rest = problem.partition(": ")
    assert place.startswith("quiz.yaml:")
    assert rest.startswith(f"it.{key}: ")
    assert words in rest


def test_the_line_is_that_of_the_field(tmp_path: Path) -> None:
    text = changed("fields: -") + "\nfields:\n  text: question\n  correct: 'a['\n"
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("quiz.yaml:9: it.fields.correct: ")


def test_no_secret_is_shown_in_an_error(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, changed("headers: {X-Api-Key: 'h-secret\\u0001ж'}"))
    assert "h-secret" not in problem


def test_selectors_and_paths_are_checked_too(tmp_path: Path) -> None:
    html = changed("kind: html", "items: 'tr..x'", "fields: {text: 'a[', correct: {attribute: title}}")
    assert keys_of(problems(tmp_path, html)) == {"fields.text", "items"}
    xml = changed("kind: xml", "items: '//q'", "fields: {text: '/Question'}")
    assert keys_of(problems(tmp_path, xml)) == {"fields.text", "items"}


@pytest.mark.parametrize(
    ("filters", "words"),
    [("{categry: 9}", 'did you mean "category"?'), ("{category: [9, 10]}", "several are several sources")],
)
def test_open_trivia_db_takes_one_value_of_its_own_filters(tmp_path: Path, filters: str, words: str) -> None:
    text = f"kind: opentdb\nurl: https://opentdb.com\nmode: TIMER\ninterval: 60000\nfilters: {filters}"
    (problem,) = problems(tmp_path, text)
    assert words in problem


FILE = "kind: file\nurl: file:///srv/quiz.csv\nformat: csv\n"


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("kind: file\nurl: file:///x\n", "format", "is missing"),
        ("kind: file\nurl: file:///x\nformat: cvs\n", "format", 'did you mean "csv"?'),
        ("kind: file\nurl: /srv/x.csv\nformat: hash-q\n", "url", "file:///PATH"),
        ("kind: file\nurl: file://server/x.csv\nformat: hash-q\n", "url", "file:///PATH"),
        ("kind: file\nurl: file:///x\nformat: json\nfields: {text: q}\n", "items", "is missing"),
        ("kind: file\nurl: file:///x\nformat: yaml\nitems: '@'\nfields: {text: 'a['}\n", "fields.text", "JMESPath"),
        ("kind: file\nurl: file:///x\nformat: xml\nitems: //q\nfields: {text: q}\n", "items", "ElementPath"),
        ("kind: file\nurl: file:///x\nformat: hash-q\nfields: {text: q}\n", "fields", "unknown key"),
        (FILE, "columns", "or `fields` where the first row names the columns"),
        (FILE + "columns: [text]\nfields: {text: q}\n", "columns", "or `fields`"),
        (FILE + "columns: [question, correct]\n", "columns", "question is none"),
        (FILE + "columns: [correct]\n", "columns", "a column that is the text"),
        (FILE + "columns: [[text, correct], [correct, text]]\n", "columns", "differ in the number"),
        (FILE + "columns: [text]\ndelimiter: ';;'\n", "delimiter", "at most 1 char"),
        (FILE + "columns: [text]\nmode: TIMER\n", "interval", "as the mode is TIMER"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, key: str, words: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert f": it.{key}: " in problem
    assert words in problem


def test_columns_are_one_layout_or_several(tmp_path: Path) -> None:
    one = described(tmp_path, FILE + "columns: [text, correct]").settings
    several = described(tmp_path, FILE + "columns: [[text, correct], ['-', text, correct]]\nquote:").settings
    assert isinstance(one, CsvFileSettings)
    assert isinstance(several, CsvFileSettings)
    assert one.job().shape.layouts == {2: ["text", "correct"]}
    assert set(several.job().shape.layouts or {}) == {2, 3}
    assert several.job().shape.quote is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("export: {kind: json}", "which is not `export`"),
        ("'a b': {kind: json}", "a name of letters"),
        ("it: text", "found no keys"),
        ("[a]", "found no sources"),
        ("it: {kind: [json]}", "wanted the name of a kind"),
    ],
)
def test_names_and_sections_are_checked(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        all_described(tmp_path, text)


def test_no_sources_are_no_error(tmp_path: Path) -> None:
    assert all_described(tmp_path, "") == []


def test_all_problems_of_all_sources_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        all_described(tmp_path, "a: {kind: nonsense}\nb: {kind: file, url: x, format: csv}\n")
    assert {problem.key for problem in caught.value.problems} == {"a.kind", "b.url", "b.columns"}
