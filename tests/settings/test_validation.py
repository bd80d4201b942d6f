from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr, field_validator

from vestnik.settings.document import read_document
from vestnik.settings.problems import ConfigurationError, Place, Problem, did_you_mean, quoted
from vestnik.settings.validation import raise_problems, secrets_in, validate
from vestnik.settings.values import Duration, OneOrMore, RateValue, Section, Switch


class Inner(Section):
    token: SecretStr | None = None
    keys: dict[str, SecretStr] = Field(default_factory=dict)
    name: Annotated[str, Field(min_length=1)] = "x"
    url: str = ""

    @field_validator("url")
    @classmethod
    def _sound(cls, value: str) -> str:
        if " " in value or "@" in value:
            raise ValueError("a URL")
        return value


class Outer(Section):
    number: Annotated[int, Field(ge=1, le=10)] = 1
    share: Annotated[float, Field(gt=0)] = 1.0
    pause: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(1)
    kind: Literal["durable", "memory"] = "durable"
    switch: Switch = False
    rates: OneOrMore[RateValue] | None = None
    path: Path = Path()
    inner: Inner = Inner()
    many: dict[str, Inner] = Field(default_factory=dict)
    aliased: str = Field(default="", alias="from")


class Demanding(Section):
    wanted: str


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("hunter2")
    monkeypatch.setenv("VESTNIK_SECRET", "hunter2")


def problems(text: str, model: type[Section] = Outer) -> list[str]:
    Path("a.yaml").write_text(text)
    document = read_document(Path("a.yaml"))
    validate(model, document, document.value)
    try:
        raise_problems(document)
    except ConfigurationError as error:
        return str(error).split("\n")
    return []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("number: ten", 'number: found "ten", wanted a whole number'),
        ("number: 1.5", 'number: found "1.5", wanted a whole number'),
        ("number: 0", 'number: found "0", wanted at least 1'),
        ("number: 11", 'number: found "11", wanted at most 10'),
        ("number:", "number: found nothing, wanted a whole number"),
        ("number: [1]", "number: found a list, wanted a whole number"),
        ("number: {a: 1}", "number: found keys with values, wanted a whole number"),
        ("share: 0", 'share: found "0", wanted more than 0'),
        ("share: x", 'share: found "x", wanted a number'),
        ("pause: 0s", 'pause: found "0s", wanted more than 0s'),
        ("kind: durabel", "kind: found \"durabel\", wanted 'durable' or 'memory', did you mean \"durable\"?"),
        ("kind: no", "kind: found \"no\", wanted 'durable' or 'memory'"),
        ("switch: no", 'switch: found "no", wanted true or false'),
        ("rates: [1/s, 5]", 'rates.1: found "5", wanted a rate such as 30/s, 20/min or 1000/h'),
        ("rates: 5", 'rates.0: found "5", wanted a rate such as 30/s, 20/min or 1000/h'),
        ("rates: []", "rates: found a list, wanted at least one value"),
        ("path: [a]", "path: found a list, wanted a path"),
        ("inner: text", "inner: found text, wanted keys with values"),
        ("inner: [a]", "inner: found a list, wanted keys with values"),
        ("inner: {name: ''}", 'inner.name: found "", wanted at least 1 character'),
        ("many: text", "many: found text, wanted keys with values"),
        ("many: {a: {name: [x]}}", "many.a.name: found a list, wanted text"),
        ("inner: {nam: x}", 'inner.nam: unknown key, did you mean "name"? (known are keys, name, token, url)'),
        (
            "many: {a: {tokem: x}}",
            'many.a.tokem: unknown key, did you mean "token"? (known are keys, name, token, url)',
        ),
        ("from: [a]", "from: found a list, wanted text"),
        ("number: !file none", 'number: cannot read the file "none": there is no such file'),
        ("number: !env NONE", 'number: the environment has no variable "NONE"'),
        ("rates: [!env NONE]", 'rates.0: the environment has no variable "NONE"'),
        ('number: "\\e[2J\\n"', 'number: found "\\x1b[2J\\n", wanted a whole number'),
        (f"number: {'x' * 500}", f'number: found "{"x" * 57}...", wanted a whole number'),
    ],
)
def test_a_problem_says_what_was_found_and_what_was_wanted(text: str, wanted: str) -> None:
    assert problems(text) == [f"a.yaml:1: {wanted}"]


def test_a_missing_key_is_told_where_it_should_stand() -> None:
    assert problems("\n\n{}", Demanding) == ["a.yaml:1: wanted: is missing"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("inner: {token: [hunter2]}", "inner.token: found a secret (not shown), wanted text"),
        ("inner: {token: {a: hunter2}}", "inner.token: found a secret (not shown), wanted text"),
        ("inner: {keys: {a: [hunter2]}}", "inner.keys.a: found a secret (not shown), wanted text"),
        ("inner: {keys: hunter2}", "inner.keys: found a secret (not shown), wanted keys with values"),
        ("inner: hunter2", "inner: found text, wanted keys with values"),
        ("many: {a: {token: [hunter2]}}", "many.a.token: found a secret (not shown), wanted text"),
        ("number: !file secret", "number: found what !file or !env gave (not shown), wanted a whole number"),
        ("number: !env VESTNIK_SECRET", "number: found what !file or !env gave (not shown), wanted a whole number"),
        ("switch: !file secret", "switch: found what !file or !env gave (not shown), wanted true or false"),
        ("rates: !file secret", "rates.0: found what !file or !env gave (not shown), wanted a rate such as "),
        ("inner: {url: 'http://me:hunter2@host/'}", 'inner.url: found "http://me:(not shown)@host/", wanted a URL'),
        ("inner: {tokens: hunter2}", "inner.tokens: unknown key"),
    ],
)
def test_no_secret_is_shown(text: str, wanted: str) -> None:
    [problem] = problems(text)
    assert problem.startswith(f"a.yaml:1: {wanted}")
    assert "hunter2" not in problem


def test_all_problems_come_at_once_in_the_order_of_the_lines() -> None:
    found = problems("switch: no\nnumber: x\ninner:\n  name: [a]\n  b: c\nfoo: bar\nfoo: baz\n")
    assert [line.split(": ")[:2] for line in found] == [
        ["a.yaml:1", "switch"],
        ["a.yaml:2", "number"],
        ["a.yaml:4", "inner.name"],
        ["a.yaml:5", "inner.b"],
        ["a.yaml:6", "foo"],
        ["a.yaml:7", "foo"],
    ]


def test_settings_part_of_a_document_stand_where_they_are() -> None:
    Path("a.yaml").write_text("channels:\n  a:\n    params:\n      number: x\n")
    document = read_document(Path("a.yaml"))
    at = ("channels", "a", "params")
    assert validate(Outer, document, document.value["channels"]["a"]["params"], at) is None
    [problem] = document.problems
    assert str(problem) == 'a.yaml:4: channels.a.params.number: found "x", wanted a whole number'


def test_a_key_cannot_move_the_cursor_nor_fill_the_screen() -> None:
    shown = str(Problem(Place("a\x1b.yaml", 1), "\u202e" + "k" * 10_000, "is\r\nwrong"))
    assert shown.isprintable()
    assert len(shown) < 300


def test_the_nearest_word_is_offered() -> None:
    assert did_you_mean("worke", ["worker", "params"]) == ', did you mean "worker"?'
    assert did_you_mean("xyz", ["worker", "params"]) == ""


def test_quoted_is_one_short_line() -> None:
    assert quoted("a\nb") == '"a\\nb"'
    assert len(quoted("x" * 1000)) == 62


def test_every_secret_is_found_wherever_it_stands() -> None:
    given: dict[str, Any] = {"inner": {"token": "t1", "keys": {"a": "t2"}}, "many": {"b": {"token": "t3"}}}
    assert sorted(secrets_in(Outer.model_validate(given))) == ["t1", "t2", "t3"]
    assert list(secrets_in([("no", 1), {"x": SecretStr("t4")}])) == ["t4"]
