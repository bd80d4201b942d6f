"""Commands that need no daemon, and what the others say when there is none."""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result

from vestnik.cli.command import main
from vestnik.cli.options import print_table
from vestnik.errors import ExitCode
from vestnik.runtime.maintenance import MaintenanceFlag

STRONG = "q8Zt4Lw1Xv7Rb2Ny9Kc5Hd3Mf6Jp0Gs+uE"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VESTNIK_CONFIG", raising=False)
    Path("config").mkdir()
    configure(free_port())
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)  # the command narrows it for its process, which here is that of all tests


def configure(port: int, more: str = "") -> None:
    Path("config/vestnik.yaml").write_text(
        f"service: {{listen: 127.0.0.1:{port}}}\nchannels: {{nowhere: {{worker: null}}}}\n{more}"
    )


def run(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(main, arguments, **options)


def run_for_real(*arguments: str | bytes, given: bytes = b"") -> tuple[int, str, str]:
    """In a process of its own, as a shell would."""
    found = subprocess.run(
        [sys.executable, "-m", "vestnik", *arguments], input=given, capture_output=True, timeout=30, check=False
    )
    return found.returncode, found.stdout.decode(), found.stderr.decode()


# check


def test_a_right_configuration_is_told_so() -> None:
    found = run("check")
    assert (found.exit_code, found.stdout) == (ExitCode.DONE, "config/vestnik.yaml: right, 1 channel\n")


def test_a_wrong_one_is_told_line_by_line() -> None:
    configure(8080, "log: {level: loud}\nfoo: bar\n")
    found = run("check")
    assert found.exit_code == ExitCode.BAD_USAGE
    assert found.stdout == ""
    assert found.stderr.splitlines() == [
        "config/vestnik.yaml:3: log.level: found \"loud\", wanted 'debug', 'info', 'warning' or 'error'",
        "config/vestnik.yaml:4: foo: unknown key (known are auth, channels, log, mailings, quiz, retention, "
        "sandbox, service, store)",
    ]


def test_the_configuration_is_named_by_option_or_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config/vestnik.yaml").rename("other.yaml")
    none = run("check")
    assert none.exit_code == ExitCode.BAD_USAGE
    wanted = 'config/vestnik.yaml:1: cannot read "config/vestnik.yaml": there is no such file\n'
    assert none.stderr == wanted
    assert run("check", "--config", "other.yaml").exit_code == ExitCode.DONE
    monkeypatch.setenv("VESTNIK_CONFIG", "other.yaml")
    assert run("check").exit_code == ExitCode.DONE


@pytest.mark.parametrize(
    "command", ["serve", "check", "token --role admin", "keys list", "maintenance status", "send a b"]
)
def test_no_command_starts_on_a_wrong_configuration(command: str) -> None:
    Path("config/vestnik.yaml").write_text("[" * 100_000)
    found = run(*command.split())
    assert found.exit_code == ExitCode.BAD_USAGE
    assert found.stderr == "config/vestnik.yaml:1: is nested deeper than 40 levels\n"
    assert not Path("var").exists()


@pytest.mark.parametrize("arguments", ["nonsense", "maintenance", "maintenance maybe", "token", "check --what", "keys"])
def test_bad_usage_is_2(arguments: str) -> None:
    assert run(*arguments.split()).exit_code == ExitCode.BAD_USAGE


@pytest.mark.parametrize("arguments", ["--help", "-h", "--version", "serve --help", "messages list --help"])
def test_help_needs_no_configuration(arguments: str) -> None:
    Path("config/vestnik.yaml").unlink()
    assert run(*arguments.split()).exit_code == ExitCode.DONE


# token


def test_a_token_is_signed_with_the_secret_that_it_makes() -> None:
    found = run("token", "--role", "admin", "--subject", "ann", "--ttl", "90s")
    assert found.exit_code == ExitCode.DONE
    secret = Path("var/secrets/jwt")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    claims = jwt.decode(found.stdout.strip(), secret.read_text().strip(), ["HS256"])
    assert (claims["role"], claims["sub"], claims["exp"] - claims["iat"]) == ("admin", "ann", 90)


def test_a_token_carries_what_is_demanded() -> None:
    jwt_settings = f'secret: "{STRONG}", audience: vestnik, issuer: main, role_claim: rights, roles: [boss, admin]'
    configure(8080, f"auth: {{jwt: {{{jwt_settings}}}}}\n")
    token = run("token", "--role", "boss").stdout.strip()
    claims = jwt.decode(token, STRONG, ["HS256"], audience="vestnik", issuer="main")
    assert claims["rights"] == "boss"


def test_a_role_or_a_lifetime_that_cannot_be_is_bad_usage() -> None:
    found = run("token", "--role", "guest")
    assert found.exit_code == ExitCode.BAD_USAGE
    assert "'guest' is not one of admin" in found.stderr
    assert run("token", "--role", "admin", "--ttl", "soon").exit_code == ExitCode.BAD_USAGE
    for none in ("0", "0s", "0.0000001", "-1"):
        assert run("token", "--role", "admin", f"--ttl={none}").exit_code == ExitCode.BAD_USAGE
    assert "'0' is not a duration of more than 0" in run("token", "--role", "admin", "--ttl", "0").stderr


def test_a_secret_that_is_weak_or_open_to_others_signs_nothing() -> None:
    Path("var/secrets").mkdir(parents=True)
    secret = Path("var/secrets/jwt")
    secret.write_text("short")
    secret.chmod(0o600)
    found = run("token", "--role", "admin")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr == "var/secrets/jwt is shorter than 32 bytes: remove it, and a new secret is made\n"
    secret.chmod(0o644)
    found = run("token", "--role", "admin")
    assert found.stderr == "var/secrets/jwt can be read by others: chmod 600 var/secrets/jwt\n"


def test_with_a_public_key_nothing_can_be_signed() -> None:
    pem = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    Path("key.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n")
    configure(8080, "auth: {jwt: {algorithms: EdDSA, secret: !file key.pem}}\n")
    found = run("token", "--role", "admin")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr == "the configuration holds a public key: only the main server can sign tokens\n"


# keys


def test_keys_are_made_listed_and_revoked_without_a_daemon() -> None:
    made = run("keys", "create", "shop")
    assert made.exit_code == ExitCode.DONE
    key = made.stdout.strip()
    assert "not shown again" in made.stderr
    listed = json.loads(run("keys", "list", "--json").stdout)
    assert [(row["name"], row["id"], row["revoked_at"]) for row in listed] == [("shop", key.partition(".")[0], None)]
    assert listed[0]["created_at"].endswith("Z")
    assert key not in run("keys", "list").stdout
    assert run("keys", "revoke", "shop").stdout == "revoked shop\n"
    assert json.loads(run("keys", "list", "--json").stdout)[0]["revoked_at"]


def test_a_key_comes_as_json_too() -> None:
    found = json.loads(run("keys", "create", "shop", "--json").stdout)
    assert sorted(found) == ["id", "key", "name"]
    assert found["key"].startswith(found["id"] + ".")


def test_a_taken_name_and_an_unknown_one_fail() -> None:
    run("keys", "create", "shop")
    taken, unknown = run("keys", "create", "shop"), run("keys", "revoke", "none")
    assert (taken.exit_code, taken.stderr) == (ExitCode.FAILED, "there is a key called 'shop' already\n")
    assert (unknown.exit_code, unknown.stderr) == (ExitCode.FAILED, "there is no key 'none'\n")


def test_the_name_of_a_revoked_key_stays_taken_and_one_is_told_so() -> None:
    run("keys", "create", "shop")
    run("keys", "revoke", "shop")
    taken = run("keys", "create", "shop")
    assert taken.exit_code == ExitCode.FAILED
    assert taken.stderr == "'shop' is the name of a revoked key, and stays taken: choose another\n"


def test_a_damaged_database_is_3_and_left_as_it_is() -> None:
    Path("var").mkdir()
    Path("var/vestnik.db").write_bytes(b"no database at all" * 100)
    found = run("keys", "list")
    assert found.exit_code == ExitCode.DAMAGED
    assert "restore it from a backup" in found.stderr
    assert Path("var/vestnik.db").read_bytes() == b"no database at all" * 100


def test_a_database_from_the_future_says_what_to_do() -> None:
    run("keys", "list")
    connection = sqlite3.connect("var/vestnik.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    found = run("keys", "list")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr.endswith("install a newer vestnik\n")


# maintenance


def test_maintenance_works_while_the_daemon_is_down() -> None:
    assert run("maintenance", "status").stdout == "maintenance is off; the daemon is not running\n"
    on = run("maintenance", "on", "--reason", "moving house")
    assert on.exit_code == ExitCode.DONE
    assert on.stdout.startswith("maintenance is on; since ")
    assert on.stdout.endswith("; moving house; the daemon is not running\n")
    assert MaintenanceFlag(Path("var")).on
    found = json.loads(run("maintenance", "status", "--json").stdout)
    assert (found["maintenance"], found["reason"], found["daemon_running"]) == (True, "moving house", False)
    assert json.loads(run("maintenance", "off", "--json").stdout)["maintenance"] is False


def test_the_status_is_one_line_whatever_the_reason() -> None:
    on = run("maintenance", "on", "--reason", "moving\nhouse\x1b[1m")
    assert on.stdout.endswith("; moving house [1m; the daemon is not running\n")
    assert on.stdout.count("\n") == 1


def test_asking_for_the_status_writes_nothing() -> None:
    run("maintenance", "status")
    assert not Path("var").exists()


def test_an_unreadable_flag_is_on_and_can_be_written_anew() -> None:
    Path("var").mkdir()
    Path("var/maintenance.json").write_text("{")
    assert run("maintenance", "status").stdout.startswith("maintenance is on; var/maintenance.json cannot be read")
    assert run("maintenance", "off").stdout.startswith("maintenance is off")


@contextmanager
def daemon_that_acknowledges(after: float, under_way: int = 0) -> Iterator[None]:
    """Holds the lock as a daemon does, and acts on the flag after a while."""
    Path("var").mkdir(exist_ok=True)
    flags, ended = MaintenanceFlag(Path("var")), threading.Event()

    def follow() -> None:
        while not ended.wait(0.01):
            flag = flags.read()
            if flag.revision and flag.revision != flags.acknowledged().revision and time.time() - flag.since > after:
                flags.acknowledge(flag, under_way)

    with Path("var/vestnik.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def test_the_command_returns_when_a_running_daemon_has_acted() -> None:
    with daemon_that_acknowledges(after=0.2):
        began = time.monotonic()
        found = run("maintenance", "on", "--json")
        assert time.monotonic() - began >= 0.2
    assert found.exit_code == ExitCode.DONE
    assert json.loads(found.stdout)["daemon_running"] is True


@pytest.mark.parametrize(
    ("under_way", "told"), [(0, ""), (1, "; 1 delivery is still under way"), (3, "; 3 deliveries are still under way")]
)
def test_the_command_tells_what_is_still_under_way(under_way: int, told: str) -> None:
    with daemon_that_acknowledges(after=0, under_way=under_way):
        assert run("maintenance", "on", "--reason", "why").stdout.endswith(f"; why{told}\n")
        assert run("maintenance", "status").stdout.endswith(f"; why{told}\n")
        assert json.loads(run("maintenance", "status", "--json").stdout)["under_way"] == under_way
        assert "under way" not in run("maintenance", "off").stdout
    assert json.loads(run("maintenance", "status", "--json").stdout)["under_way"] is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_state_directory_of_somebody_elses_is_a_sentence() -> None:
    Path("var").mkdir(mode=0o500)
    found = run("maintenance", "on")
    assert (found.exit_code, found.stderr.count("\n")) == (ExitCode.FAILED, 1)
    assert "Permission denied" in found.stderr


@pytest.mark.parametrize("command", ["maintenance on", "keys list", "serve"])
def test_something_else_where_the_state_should_be_is_a_sentence(command: str) -> None:
    configure(free_port(), f'auth: {{jwt: {{secret: "{STRONG}"}}}}\n')
    Path("var").write_text("")
    code, out, err = run_for_real(*command.split())
    assert (code, out, err.count("\n")) == (ExitCode.FAILED, "", 1)
    assert err.startswith("var")


# serve


def test_a_log_file_that_cannot_be_written_is_a_sentence() -> None:
    configure(free_port(), "log: {file: config/vestnik.yaml/v.log}\n")
    code, _, err = run_for_real("serve")
    assert code == ExitCode.FAILED
    assert err == "log.file: cannot write config/vestnik.yaml/v.log: File exists\n"


def test_a_second_daemon_is_4() -> None:
    with daemon_that_acknowledges(after=0):
        code, _, err = run_for_real("serve")
    assert code == ExitCode.ALREADY_RUNNING
    assert err.splitlines()[-1] == "var is in use by another process"


def test_a_damaged_database_ends_the_daemon_with_3() -> None:
    Path("var").mkdir()
    Path("var/vestnik.db").write_bytes(b"no database at all" * 100)
    code, _, err = run_for_real("serve")
    assert code == ExitCode.DAMAGED
    assert "Traceback" not in err
    assert Path("var/vestnik.db").read_bytes() == b"no database at all" * 100


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        configure(port)
        code, _, err = run_for_real("serve")
    assert code == ExitCode.FAILED
    assert err.splitlines()[-1] == (
        f"service.listen: 127.0.0.1:{port} is in use: stop the program that listens there (`ss -ltnp` shows it), "
        "or choose another port"
    )
    assert "Traceback" not in err


# Those that ask the daemon


@pytest.mark.parametrize(
    "command",
    [
        "send nowhere x",
        "messages list",
        "messages show 1",
        "channels list",
        "channels pause nowhere",
        "messages cancel 1",
    ],
)
def test_without_a_daemon_they_fail_in_a_sentence(command: str) -> None:
    found = run(*command.split())
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr.startswith("cannot reach the daemon at 127.0.0.1:")
    assert found.stderr.endswith(": Connection refused\n")


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[list[tuple[str, str, bytes]]]:
    """Something on the daemon's port that gives one answer to everything; yields what it was asked."""
    asked: list[tuple[str, str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked.append((self.command, self.path, self.rfile.read(length)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        configure(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (503, b"", "the daemon is in maintenance"),
        (404, b'{"code": "not_found", "description": "there is no channel"}', "there is no channel"),
        (500, b"<html>", "the daemon answered 500"),
        (500, b"[]", "the daemon answered 500"),
        (
            404,
            b'{"detail": "Not Found"}',
            "the daemon answered 404, and not as Vestnik would: is it what listens at 127.",
        ),
        (409, b'{"description": 7}', "the daemon answered 409, and not"),
        (409, b'{"description": "two\\n\\u001b[2Jlines"}', "two  [2Jlines\n"),
        (200, b"<html>", "what answers at 127.0.0.1:"),
    ],
)
def test_what_the_daemon_refuses_is_told_in_its_words(status: int, body: bytes, wanted: str) -> None:
    with answering(status, body):
        found = run("messages", "show", "1")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr.startswith(wanted)
    assert found.stderr.count("\n") == 1


def test_a_port_that_does_not_speak_http_is_a_sentence() -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"220 mail.example ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        configure(server.getsockname()[1])
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        found = run("channels", "list")
        thread.join()
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr.endswith("is not Vestnik, or is another version of it\n")


def test_send_prints_the_id_and_takes_text_from_standard_input() -> None:
    with answering(204, b"", x_message_id="77") as asked:
        assert run("send", "nowhere", "Привет & пока").stdout == "77\n"
        assert run("send", "a/b", "-", "--delay", "5", input="from a pipe").stdout == "77\n"
    assert asked == [
        ("POST", "/api/send/nowhere", b"message=%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82+%26+%D0%BF%D0%BE%D0%BA%D0%B0"),
        ("POST", "/api/send/a%2Fb", b"message=from+a+pipe&delay=5"),
    ]


def test_an_answer_without_an_id_is_not_ours() -> None:
    with answering(200, b""):
        found = run("send", "nowhere", "x")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr.endswith("is not Vestnik, or is another version of it\n")


def test_text_that_is_not_utf_8_is_bad_usage() -> None:
    by_argument = run_for_real("send", "nowhere", b"\xff\xfe")
    by_pipe = run_for_real("send", "nowhere", given=b"\xff\xfe")
    for code, _, err in (by_argument, by_pipe):
        assert code == ExitCode.BAD_USAGE
        assert "the text is not UTF-8" in err
        assert "Traceback" not in err


PAGE = {
    "messages": [
        {
            "id": 7,
            "channel": "nowhere",
            "state": "failed",
            "created_at": "2026-01-01T00:00:00Z",
            "due_at": "2026-01-01T00:00:00Z",
            "parent_id": None,
            "resent_as": None,
            "mailing_id": None,
            "tasks": [{"error": None}, {"error": "no\x1b[2J such\nchat"}],
        }
    ],
    "next": None,
}


def test_a_list_is_a_table_or_json_and_moves_no_cursor() -> None:
    with answering(200, json.dumps(PAGE).encode()) as asked:
        table = run("messages", "list", "--state", "failed")
        as_json = run("messages", "list", "--json")
    assert table.stdout.splitlines()[1].endswith("no [2J such chat")
    assert json.loads(as_json.stdout) == PAGE["messages"]
    assert asked[0][:2] == ("GET", "/api/messages?state=failed&limit=200")


def test_many_are_shown_before_they_are_touched() -> None:
    with answering(200, json.dumps(PAGE).encode()) as asked:
        found = run("messages", "resend", "--failed", "--dry-run")
    assert found.stdout == "7 would be resent\n7 would be resent\n"
    assert {method for method, _, _ in asked} == {"GET"}


def test_what_was_sent_again_already_is_left_out_and_counted() -> None:
    # 7 was sent again as 8, which failed as well; 5 as 6, which is no longer among the failed.
    kept = [(8, 7, None), (7, None, None), (5, None, 6)]
    messages = [{"id": i, "parent_id": p, "resent_as": r, "mailing_id": None} for i, p, r in kept]
    page = {"messages": messages, "next": None}
    with answering(200, json.dumps(page).encode()):
        found = run("messages", "resend", "--state", "failed", "--dry-run")
        all_again = run("messages", "resend", "--state", "failed", "--dry-run", "--again")
    assert found.stdout == "8 would be resent\n"
    assert "2 left out: sent again already\n" in found.stderr
    assert all_again.stdout.splitlines() == [f"{i} would be resent" for i in (8, 7, 5)]


@pytest.mark.parametrize("again", [[], ["--again"]])
def test_messages_of_mailings_are_left_out_and_counted(again: list[str]) -> None:
    messages = [
        {"id": i, "parent_id": None, "resent_as": None, "mailing_id": m} for i, m in [(9, 3), (8, None), (7, 4)]
    ]
    with answering(200, json.dumps({"messages": messages, "next": None}).encode()):
        found = run("messages", "resend", "--state", "failed", "--dry-run", *again)
    assert found.stdout == "8 would be resent\n"
    assert found.stderr == "2 left out: messages of mailings\n1 would be resent, 0 not\n"


def test_one_more_copy_is_asked_for_by_name() -> None:
    with answering(201, b'{"id": 8, "removed": []}') as asked:
        run("messages", "resend", "7", "--again")
    assert asked[0][:2] == ("POST", "/api/messages/7/resend?again=1")


def test_a_resend_names_recipients_that_are_not_configured_any_more() -> None:
    with answering(201, b'{"id": 8, "removed": ["+7999", "+7998"]}'):
        found = run("messages", "resend", "7")
    assert found.stdout == "7 resent as 8, also to +7999, +7998: not configured any more\n"
    with answering(201, b'{"id": 8, "removed": []}'):
        assert run("messages", "resend", "7").stdout == "7 resent as 8\n"


def test_many_need_a_choice() -> None:
    found = run("messages", "cancel")
    assert found.exit_code == ExitCode.BAD_USAGE
    assert "give message ids, or --channel or --state" in found.stderr
    assert "give message ids, or --failed, --channel or --state" in run("messages", "resend").stderr


def test_the_list_of_channels_tells_when_the_last_error_was() -> None:
    columns = ("name", "worker", "state", "waiting", "running", "oldest_due", "last_error_at", "last_error")
    channel = dict.fromkeys(columns, "x") | {"last_error_at": "2026-01-01T00:00:00Z", "last_error": "no chat"}
    with answering(200, json.dumps({"channels": [channel]}).encode()):
        header, row = run("channels", "list").stdout.splitlines()
    assert header.split() == list(columns)
    assert row.endswith("2026-01-01T00:00:00Z  no chat")


def test_one_that_is_refused_does_not_stop_the_others_and_the_exit_code_tells() -> None:
    with answering(409, b'{"code": "conflict", "description": "it ended already"}') as asked:
        found = run("messages", "cancel", "1", "2")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr.splitlines() == [
        "1 not canceled: it ended already",
        "2 not canceled: it ended already",
        "0 canceled, 2 not",
    ]
    assert [path for _, path, _ in asked] == ["/api/messages/1", "/api/messages/2"]


def test_a_table_is_as_wide_as_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "name"), [(1, None), (100, "x" * 100)])
    assert capsys.readouterr().out.splitlines() == ["id   name", "1    -", f"100  {'x' * 79}…"]
