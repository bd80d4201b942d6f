from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.settings.document import Document, MissingFile, plain_value, read_document
from vestnik.settings.problems import ConfigurationError


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str | bytes) -> Document:
    Path("a.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_document(Path("a.yaml"))


def problems(text: str | bytes) -> list[str]:
    """One line each, also of those that reading stops at."""
    try:
        return [str(problem) for problem in read(text).problems]
    except ConfigurationError as error:
        return str(error).split("\n")


def test_scalars_stay_text() -> None:
    found = read("a: no\nb: 12:30\nc: 1.10\nd: 0x10\ne: 2026-01-01\nf: 'null'\n").value
    assert found == {"a": "no", "b": "12:30", "c": "1.10", "d": "0x10", "e": "2026-01-01", "f": "null"}


def test_an_unquoted_null_is_nothing() -> None:
    assert read("a: null\nb: ~\nc:\nd: ''\n").value == {"a": None, "b": None, "c": None, "d": ""}


def test_every_value_knows_its_line() -> None:
    document = read("a:\n  b:\n    - x\n    - y\n")
    assert str(document.place_of(("a", "b", 1))) == "a.yaml:4"
    assert str(document.place_of(("a", "b", 9, "far", "away"))) == "a.yaml:2"
    assert str(document.place_of(("elsewhere",))) == "a.yaml:1"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\ufeff"])
def test_an_empty_file_holds_no_sections(text: str) -> None:
    assert read(text).value in ({}, None)


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read("\ufeffa: 1\n").value == {"a": "1"}


# What cannot be read


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: 1\na: 2\n", "a.yaml:2: a: stands twice, first in line 1"),
        ("x:\n  a: 1\n  a: 2\n", "a.yaml:3: x.a: stands twice, first in line 2"),
        ("? [a]\n: 1\n", "a.yaml:1: a key must be text"),
        ("a: !secret x\n", "a.yaml:1: a: unknown tag !secret, wanted !include, !file or !env"),
        ("a: !include {b: c}\n", "a.yaml:1: a: !include wants a name, found keys or a list"),
        ("a: !env VESTNIK_NONE\n", 'a.yaml:1: a: the environment has no variable "VESTNIK_NONE"'),
        ("a: *b\n", "a.yaml:1: is not YAML: found undefined alias"),
        ("a:\n\tb: 1\n", "a.yaml:2: is not YAML: found a tab; YAML is indented with spaces"),
        (
            "a: {b: 1\nc: 2\n",
            "a.yaml:2: is not YAML: while parsing a flow mapping that begins in line 1, "
            "did not find expected ',' or '}'",
        ),
        (
            "a: 1\nb: 'x\n",
            "a.yaml:3: is not YAML: while scanning a quoted scalar that begins in line 2, "
            "found unexpected end of stream",
        ),
        (b"a: 1\nb: \xff\n", "a.yaml:2: is not UTF-8 text"),
        ("a: 1\n".encode("utf-16"), "a.yaml:1: is not UTF-8 text"),
        (b"a: \x00\n", "a.yaml:1: is not YAML: unacceptable character #x0000: control characters are not allowed"),
        (b"a: " + b"x" * (1 << 20), "a.yaml:1: is larger than 1 MiB"),
        ("a: !include none.yaml\n", 'a.yaml:1: a: cannot read "none.yaml": there is no such file'),
        ("a: !include .\n", 'a.yaml:1: a: cannot read ".": Is a directory'),
        ('a: !include "b\\0c"\n', 'a.yaml:1: a: cannot read "b\\x00c": embedded null byte'),
        ("a: !include /dev/zero\n", "/dev/zero:1: a: is larger than 1 MiB"),
        ("a: !file /dev/zero\n", 'a.yaml:1: a: the file "/dev/zero" is larger than 1 MiB'),
        ("a: !include a.yaml\n", "a.yaml:1: a: includes itself: a.yaml -> a.yaml"),
        ('"\\e[2J": 1\n"\\e[2J": 2\n', "a.yaml:2: \\x1b[2J: stands twice, first in line 1"),
    ],
)
def test_what_cannot_be_read_is_said_at_its_line(text: str | bytes, wanted: str) -> None:
    assert problems(text) == [wanted]


def test_a_file_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_document(Path("none.yaml"))
    assert str(raised.value) == 'none.yaml:1: cannot read "none.yaml": there is no such file'


def test_a_long_way_round_to_oneself_is_told_whole() -> None:
    Path("b.yaml").write_text("x:\n  y: !include c.yaml\n")
    Path("c.yaml").write_text("- !include a.yaml\n")
    assert problems("b: !include b.yaml\n") == [
        "c.yaml:1: b.x.y.0: includes itself: a.yaml -> b.yaml -> c.yaml -> a.yaml"
    ]


def test_links_that_lead_round_in_a_circle_are_a_sentence() -> None:
    Path("round").symlink_to("round")
    [problem] = problems("a: !include round\n")
    assert problem.startswith('a.yaml:1: a: cannot read "round": ')


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000 + "a", "a: " + "[" * 41])
def test_deep_nesting_does_not_end_the_process(text: str) -> None:
    assert problems(text) == ["a.yaml:1: is nested deeper than 40 levels"]


def test_forty_levels_are_not_too_deep() -> None:
    assert problems("[" * 40 + "]" * 40) == []


def test_aliases_that_multiply_end_at_a_limit() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert problems("\n".join(lines)) == ["a.yaml:1: holds more than 100,000 values (aliases counted)"]


def test_merges_that_multiply_end_at_a_limit() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 30)]
    [problem] = problems("\n".join(lines))
    assert problem.endswith("holds more than 100,000 values (aliases counted)")


def test_an_alias_of_what_is_around_it_ends_at_a_limit() -> None:
    assert problems("a: &a {b: *a}\n") == ["a.yaml:1: is nested deeper than 40 levels"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="{}[]:,-?&*!|>'\"%@`#\n\t ab<", max_size=60).map(str.encode))
def test_no_bytes_raise_anything_but_a_configuration_error(data: bytes) -> None:
    assert all(re.match(r"[^:]+:\d+: .", line) for line in problems(data))


# Includes, secrets, environment


def test_an_include_is_relative_to_its_file_and_keeps_its_own_lines() -> None:
    Path("deep").mkdir()
    Path("deep/b.yaml").write_text("\nx: !include c.yaml\n")
    Path("deep/c.yaml").write_text("\n\ny: 1\n")
    document = read("b: !include deep/b.yaml\n")
    assert document.value == {"b": {"x": {"y": "1"}}}
    assert str(document.place_of(("b", "x", "y"))) == "deep/c.yaml:3"


def test_a_file_gives_its_text_without_the_last_line_break() -> None:
    Path("secret").write_text("hunter2\n")
    assert read("a: !file secret\n").value == {"a": "hunter2"}


def test_a_missing_file_is_kept_for_who_may_make_it() -> None:
    document = read("a: [!file none]\n")
    assert document.value == {"a": [MissingFile(Path("none"), "there is no such file")]}
    assert document.missing == {("a", 0): MissingFile(Path("none"), "there is no such file")}


def test_an_empty_file_or_one_that_is_no_text_is_no_secret() -> None:
    Path("empty").write_text("\n")
    Path("binary").write_bytes(b"\xff\xfe")
    assert problems("a: !file empty\n") == ['a.yaml:1: a: the file "empty" is empty']
    assert read("a: !file binary\n").missing["a",].cause == "it is not UTF-8 text"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTNIK_TEST", "from outside")
    assert read("a: !env VESTNIK_TEST\n").value == {"a": "from outside"}
    assert "VESTNIK_TEST" in os.environ


# Merge keys


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{<<: *m, x: own}", {"x": "own", "y": "2"}),
        ("{x: own, <<: *m}", {"x": "own", "y": "2"}),
        ("{<<: [*m, *n]}", {"x": "1", "y": "2", "z": "3"}),
        ("{<<: [*n, *m]}", {"x": "9", "y": "2", "z": "3"}),
        ("{<<: {<<: *m, y: 5}}", {"x": "1", "y": "5"}),
        ("{'<<': x}", {"<<": "x"}),
    ],
)
def test_a_merge_fills_in_what_is_not_there(text: str, wanted: dict[str, str]) -> None:
    document = read(f"m: &m {{x: 1, y: 2}}\nn: &n {{x: 9, z: 3}}\na: {text}\n")
    assert document.problems == []
    assert document.value["a"] == wanted


def test_a_merged_value_stands_where_it_was_written() -> None:
    document = read("m: &m\n  x: 1\na:\n  <<: *m\n  y: 2\n")
    assert str(document.place_of(("a", "x"))) == "a.yaml:2"
    assert str(document.place_of(("a", "y"))) == "a.yaml:5"


@pytest.mark.parametrize("text", ["a: {<<: x}", "a: {<<: [x]}", "a: {<<: !include b.yaml}", "a: {<<: }"])
def test_only_keys_with_values_merge(text: str) -> None:
    assert problems(text) == ["a.yaml:1: a: << wants keys with values of this file, or a list of such"]


def test_a_merge_into_itself_is_refused() -> None:
    assert problems("a: &a {<<: *a}\n") == ["a.yaml:1: a: << merges keys into themselves"]


# Values without a schema


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("true", True),
        ("false", False),
        ("1", 1),
        ("-1", -1),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("null", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("no", "no"),
        ("True", "True"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("12:30", "12:30"),
        ("+-", "+-"),
        ("1e999", "1e999"),
        ("[1, '1', {a: true}]", [1, "1", {"a": True}]),
    ],
)
def test_without_a_schema_what_is_unquoted_decides(text: str, wanted: Any) -> None:
    found = plain_value(read(f"a: {text}\n").value["a"])
    assert found == wanted
    assert type(found) is type(wanted)
