"""`vestnik quiz questions` against a daemon that answers by a script."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner, Result

from vestnik.cli.command import main
from vestnik.errors import ExitCode

IDS = [f"01900000-0000-7000-8000-{n:012x}" for n in range(3)]

Asked = list[tuple[str, str, dict[str, Any]]]
Script = Callable[[str, str, dict[str, Any]], Any]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VESTNIK_CONFIG", raising=False)
    Path("config").mkdir()
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("quiz", "questions", *arguments))


@contextmanager
def daemon(script: Script) -> Iterator[Asked]:
    """Answers with what the script returns; yields what was asked: method, path, and query or body."""
    asked: Asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fields = json.loads(body) if body else dict(parse_qsl(url.query))
            asked.append((self.command, url.path, fields))
            answer = json.dumps(script(self.command, url.path, fields)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_address[1]
        Path("config/vestnik.yaml").write_text(
            f"service: {{listen: 127.0.0.1:{port}}}\nchannels: {{nowhere: {{worker: null}}}}\n"
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def question(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": IDS[number],
        "status": "raw",
        "reasons": ["R08"],
        "findings": [{"rule": "R08-all-of-the-above", "description": "An option speaks.", "detail": "all of them"}],
        "text": f"Question\x1b {number}?",
        "correct_answers": ["a"],
        "accepted_answers": [],
        "incorrect_answers": ["b", "c"],
        "explanation": None,
        "type": "multiple",
        "language": "en",
        "category": None,
        "difficulty": None,
        "batch_id": None,
        "source": {"name": "opentdb"},
        **changes,
    }


def pages(_: str, __: str, fields: dict[str, Any]) -> Any:
    """A list of three questions on three pages."""
    number = int(fields.get("after", "0"))
    return {"questions": [question(number)], "next": str(number + 1) if number < 2 else None}


def bulk(changed: int, skipped: dict[str, str] | None = None, *, more: bool = False) -> dict[str, Any]:
    return {"changed": changed, "skipped": skipped or {}, "more": more}


def test_a_list_goes_on_over_pages_up_to_its_limit() -> None:
    with daemon(pages) as asked:
        found = run("list", "--status", "raw", "--reason", "R08", "--limit", "2")
    assert found.exit_code == ExitCode.DONE
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["id", "status", "source", "reasons", "text"]
    assert [line.split()[:4] for line in lines[1:]] == [[id_, "raw", "opentdb", "R08"] for id_ in IDS[:2]]
    assert "\x1b" not in found.stdout
    assert asked[0] == ("GET", "/questions", {"status": "raw", "reason": "R08", "limit": "200"})
    assert len(asked) == 2


def test_a_list_comes_as_json_too() -> None:
    with daemon(pages):
        assert [q["id"] for q in json.loads(run("list", "--json").stdout)] == IDS


def test_one_is_shown_with_the_reasons_in_words() -> None:
    with daemon(lambda *_: question(1)) as asked:
        found = run("show", IDS[1])
    assert asked[0][1] == f"/questions/{IDS[1]}"
    assert "b | c" in found.stdout
    assert "An option speaks. (all of them)" in found.stdout
    assert "explanation" not in found.stdout


@pytest.mark.parametrize(("action", "done"), [("approve", "approved"), ("reject", "rejected")])
def test_those_given_are_decided(action: str, done: str) -> None:
    with daemon(lambda *_: bulk(2)) as asked:
        found = run(action, IDS[0], IDS[1])
    assert found.exit_code == ExitCode.DONE
    assert asked == [("POST", f"/questions/{action}", {"ids": IDS[:2]})]
    assert found.stderr == f"2 {done}, 0 not\n"


def test_those_that_options_select_are_decided_until_none_is_left_and_only_raw_ones() -> None:
    answers = iter([bulk(500, more=True), bulk(7)])
    with daemon(lambda *_: next(answers)) as asked:
        found = run("approve", "--source", "opentdb")
    assert [body["filter"] for _, _, body in asked] == [{"status": "raw", "source": "opentdb"}] * 2
    assert found.stderr == "507 approved, 0 not\n"


def test_those_that_cannot_be_decided_are_told_and_do_not_make_it_endless() -> None:
    with daemon(lambda *_: bulk(0, {IDS[0]: "it is on its way"}, more=True)) as asked:
        found = run("reject", "--status", "ready")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr == "it is on its way\n0 rejected, 1 not\n"
    assert len(asked) == 1


def test_a_dry_run_shows_which_and_changes_nothing() -> None:
    with daemon(pages) as asked:
        found = run("reject", "--reason", "R08", "--dry-run")
    assert found.stdout.splitlines() == [f"{id_} would be rejected" for id_ in IDS]
    assert found.stderr == "3 would be rejected\n"
    assert {method for method, _, _ in asked} == {"GET"}


@pytest.mark.parametrize("arguments", [(), (IDS[0], "--source", "opentdb")])
@pytest.mark.parametrize("action", ["approve", "reject"])
def test_either_ids_or_options_have_to_say_which(action: str, arguments: tuple[str, ...]) -> None:
    with daemon(pages) as asked:
        found = run(action, *arguments)
    assert found.exit_code == ExitCode.BAD_USAGE
    assert "give either ids, or --status, --source or --reason" in found.stderr
    assert asked == []
