"""The commands that ask the daemon, when it is another server of JSON that answers at its address."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vestnik.cli.command import main
from vestnik.errors import ExitCode

COMMANDS = (
    "send nowhere text",
    "messages list",
    "messages list --json",
    "messages show 1",
    "messages show 1 --json",
    "messages cancel 1",
    "messages cancel --state queued",
    "messages resend 1",
    "messages resend --failed",
    "channels list",
    "channels pause nowhere",
    "channels start nowhere",
    "clients list",
    "clients list --json",
    "quiz questions list",
    "quiz questions show some",
    "quiz questions show some --json",
    "quiz questions approve some",
    "quiz questions reject --reason R08",
    "jobs list",
    "jobs run retention",
    "jobs reset retention",
    "jobs pause retention",
    "jobs run retention --json",
    "jobs stop retention --json",
)
LISTS = ("messages", "tasks", "channels", "clients", "questions", "jobs")
PARTS_OF_OTHER_KINDS = {
    "removed": [1],
    "source": "opentdb",
    "reasons": "R08",
    "findings": [["R08"]],
    "changed": "one",
    "skipped": [],
    "next": None,
}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A server that gives this answer to everything; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def asked(command: str, listen: str) -> Result:
    Path("config/vestnik.yaml").write_text(f"service: {{listen: {listen}}}\nchannels: {{nowhere: {{worker: null}}}}\n")
    return CliRunner().invoke(main, command.split())


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "UP", "version": "3.1"},
        ["UP"],
        "UP",
        None,
        dict.fromkeys(LISTS, 5) | PARTS_OF_OTHER_KINDS,
        {key: [1] for key in LISTS} | PARTS_OF_OTHER_KINDS,
        dict.fromkeys(LISTS) | PARTS_OF_OTHER_KINDS,
    ],
    ids=lambda answer: json.dumps(answer)[:24],
)
def test_every_command_says_that_it_is_not_vestnik(answer: Any) -> None:
    with answering(json.dumps(answer).encode()) as listen:
        found = {command: asked(command, listen) for command in COMMANDS}
    wanted = f"what answers at {listen} is not Vestnik, or is another version of it\n"
    assert {command: (result.exit_code, result.stderr) for command, result in found.items()} == dict.fromkeys(
        COMMANDS, (ExitCode.FAILED, wanted)
    )


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("messages list", "messages"),
        ("channels list", "channels"),
        ("clients list", "clients"),
        ("quiz questions list", "questions"),
        ("jobs list", "jobs"),
    ],
)
def test_objects_in_a_list_that_lack_what_is_shown_are_not_vestniks(command: str, key: str) -> None:
    with answering(json.dumps({key: [{"name": "another"}], "next": None}).encode()) as listen:
        found = asked(command, listen)
    assert (found.exit_code, found.stdout) == (ExitCode.FAILED, "")
    assert found.stderr == f"what answers at {listen} is not Vestnik, or is another version of it\n"


@pytest.mark.parametrize("nested", [lambda: b"[" * 100_000, lambda: b'{"jobs":' * 100_000], ids=["lists", "objects"])
def test_an_answer_without_an_end_to_its_depth_is_not_vestniks(nested: Callable[[], bytes]) -> None:
    with answering(nested()) as listen:
        found = asked("jobs list", listen)
    assert found.stderr == f"what answers at {listen} is not Vestnik, or is another version of it\n"
