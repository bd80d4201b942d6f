"""`vestnik trace`: the database and the log told as one story, whether a daemon runs or not."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vestnik.cli.command import main
from vestnik.errors import ExitCode
from vestnik.storage.migrations.upgrade import upgrade

NOW = 1_800_000_000.0
CONFIGURATION = """
channels:
  alerts: {worker: telegram, params: {token: "100000:sandbox-token", chat_id: "-1001"}}
log: {file: var/log/vestnik.log}
"""
DATABASE = Path("var/vestnik.db")
LOG = Path("var/log/vestnik.log")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VESTNIK_CONFIG", raising=False)
    Path("config").mkdir()
    Path("config/vestnik.yaml").write_text(CONFIGURATION)
    LOG.parent.mkdir(parents=True)
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """Open beside the command, as the daemon has it."""
    connection = sqlite3.connect(DATABASE, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.row_factory = sqlite3.Row
    upgrade(connection)
    yield connection
    connection.close()


def store(connection: sqlite3.Connection, id_: int, *, mailing: int | None = None, client: int | None = None) -> None:
    """Delivered at the second try; the first got an answer with a secret in it."""
    created = NOW + id_
    connection.execute(
        "INSERT INTO message (id, channel, text, created_at, due_at) VALUES (?, 'alerts', 'Hi\x1b[2J', ?, ?)",
        (id_, created, created),
    )
    connection.execute(
        "INSERT INTO task (id, message_id, channel, recipient, priority, state, due_at, epoch, attempts, finished_at,"
        " mailing_id, client_id) VALUES (?, ?, 'alerts', '-1001', 0, 'delivered', ?, 2, 2, ?, ?, ?)",
        (id_ + 100, id_, created, created + 40, mailing, client),
    )
    said = [
        (1, created + 1, "deferred", "POST /bot100000:sandbox-token/ said 502"),
        (2, created + 40, "delivered", "7"),
    ]
    for epoch, at, outcome, detail in said:
        connection.execute(
            "INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?)", (id_ + 100, epoch, at - 1, at, outcome, detail)
        )
    if mailing:
        connection.execute(
            "INSERT INTO mailing_count VALUES (?, 'delivered', 1) ON CONFLICT DO UPDATE SET count = count + 1",
            (mailing,),
        )


def line(second: float, event: str = "request", logger: str = "vestnik.access", **fields: Any) -> str:
    at = f"2027-01-15T08:{int(second) // 60:02d}:{second % 60:09.6f}Z"  # NOW is 2027-01-15T08:00:00Z
    return json.dumps({**fields, "event": event, "logger": logger, "level": "info", "timestamp": at}) + "\n"


def request(second: float, **fields: Any) -> str:
    return line(second, **{"method": "POST", "path": "/api/send/alerts", "status": 204, **fields})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("trace", *arguments))


def traced(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == ExitCode.DONE, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [event["event"] for event in found["events"]]


@pytest.mark.parametrize("daemon", ["up", "down"])
def test_a_message_is_told_from_the_request_to_the_end(database: sqlite3.Connection, daemon: str) -> None:
    store(database, 5)
    store(database, 6)
    LOG.write_text(request(5.0, message=4) + request(5.001, message=5) + request(5.002, message=55))
    if daemon == "down":
        database.close()
    found = traced("--message", "5")
    assert names(found) == ["registered", "due", "claimed", "request", "deferred", "claimed", "delivered", "ended"]
    assert (found["message"], found["tasks"], found["notes"], found["more"]) == (5, {"delivered": 1}, [], False)
    assert found["events"][0]["at"] == "2027-01-15T08:00:05.000Z"
    assert [event["at"] for event in found["events"]] == sorted(event["at"] for event in found["events"])


def test_secrets_and_control_characters_stay_out(database: sqlite3.Connection) -> None:
    store(database, 5)
    for output in (run("--message", "5").output, run("--message", "5", "--json").output):
        assert "sandbox-token" not in output
        assert "[secret]" in output
        assert "\x1b" not in output


def test_rotated_files_and_all_requests_for_the_message_are_read(database: sqlite3.Connection) -> None:
    store(database, 5)
    LOG.with_name("vestnik.log.2").write_text(request(5, message=5))
    LOG.with_name("vestnik.log.1").write_text(request(50, method="GET", path="/api/messages/5", status=200))
    LOG.write_text(
        request(51, method="GET", path="/api/messages/50", status=200)
        + line(52, "resent", "vestnik.delivery.service", message=8, parent=5)
        + "half a li"
    )
    found = [event for event in traced("--message", "5")["events"] if "method" in event or event["event"] == "resent"]
    assert [(event["event"], event.get("path")) for event in found] == [
        ("request", "/api/send/alerts"),
        ("request", "/api/messages/5"),
        ("resent", None),
    ]


def test_hostile_lines_are_passed_over(database: sqlite3.Connection) -> None:
    store(database, 5)
    worse = b'\xff\x00 5\n[5]\n"5"\nnull 5\n' + b"[" * 100_000 + b"5\n" + b"5" * (3 << 20) + b'\n{"message": 5}\n'
    LOG.write_bytes(worse + request(5, message=5, path="5" * 1000, remote=None).encode())
    assert names(traced("--message", "5")).count("request") == 1


def test_the_end_of_an_attempt_is_told_once(database: sqlite3.Connection) -> None:
    store(database, 5)
    LOG.write_text(line(45, "delivered", "vestnik.delivery.execution", message=5, task=105, attempt=2))
    assert names(traced("--message", "5")).count("delivered") == 1


def test_what_only_the_log_knows_is_told_from_there(database: sqlite3.Connection) -> None:
    """A message of a channel in memory, or one that was deleted since."""
    LOG.write_text(
        request(5, message=5) + line(6, "delivered", "vestnik.delivery.execution", message=5, task=9, attempt=1)
    )
    assert names(traced("--message", "5")) == ["request", "delivered"]
    assert "not in the database" in run("--message", "5").stdout


def test_a_mailing_is_summed_up_and_limited(database: sqlite3.Connection) -> None:
    for id_ in range(1, 21):
        store(database, id_, mailing=3, client=id_)
    LOG.write_text(
        request(0, path="/mailings/3", method="PUT", status=200)
        + request(0, path="/mailings/33", status=200)
        + "".join(request(id_, message=id_) for id_ in range(1, 25))
    )
    found = traced("--mailing", "3", "--limit", "5")
    assert (found["tasks"], len(found["events"]), found["more"]) == ({"delivered": 20}, 5, True)
    whole = traced("--mailing", "3")
    assert names(whole).count("request") == 21
    assert names(whole).count("ended") == 20
    assert not whole["more"]
    told = run("--mailing", "3", "--limit", "5")
    assert told.stdout.startswith("mailing 3: 20 delivered\n2027-01-15T08:00:00.000Z  request")
    assert len(told.stdout.splitlines()) == 6
    assert "there are more events than these 5" in told.stderr


def test_a_client_is_told_over_all_mailings(database: sqlite3.Connection) -> None:
    store(database, 1, mailing=3, client=9)
    store(database, 2, mailing=4, client=9)
    store(database, 3, mailing=4, client=8)
    found = traced("--client", "9")
    assert {event["message"] for event in found["events"]} == {1, 2}
    assert found["tasks"] == {"delivered": 2}


def test_without_a_log_file_it_says_so(database: sqlite3.Connection) -> None:
    Path("config/vestnik.yaml").write_text(CONFIGURATION.replace("log:", "log: {level: info} #"))
    store(database, 5)
    result = run("--message", "5")
    assert result.exit_code == ExitCode.DONE
    assert result.stderr == "log.file is not configured: requests are not shown\n"


def test_what_nobody_knows_is_not_found(database: sqlite3.Connection) -> None:
    result = run("--message", "5")
    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert result.stderr == "nothing is known of message 5: it never was, or was deleted since\n"


@pytest.mark.parametrize("arguments", [[], ["--message", "1", "--client", "2"], ["--message", "0"], ["--client", "x"]])
def test_bad_usage_is_told(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == ExitCode.BAD_USAGE


def test_no_database_is_told_and_none_is_made() -> None:
    result = run("--message", "5")
    assert (result.exit_code, result.stderr) == (ExitCode.FAILED, "var/vestnik.db: there is no database yet\n")
    assert not DATABASE.exists()


def test_a_damaged_database_is_told_in_one_line() -> None:
    DATABASE.write_bytes(b"no database at all" * 1000)
    result = run("--message", "5")
    assert result.exit_code == ExitCode.DAMAGED
    assert "the database is damaged" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_database_without_the_tables_is_told_in_one_line() -> None:
    sqlite3.connect(DATABASE).execute("CREATE TABLE other (id)").connection.close()
    result = run("--message", "5")
    assert result.exit_code == ExitCode.FAILED
    assert "cannot be read by this version" in result.stderr


def test_a_locked_database_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vestnik.cli.trace.BUSY_TIMEOUT", 0.01)
    other = sqlite3.connect(DATABASE, isolation_level=None)
    upgrade(other)
    other.execute("PRAGMA journal_mode=DELETE")
    other.execute("BEGIN EXCLUSIVE")
    result = run("--message", "5")
    other.close()
    assert (result.exit_code, result.stderr) == (
        ExitCode.FAILED,
        "var/vestnik.db: the database is locked by another process\n",
    )


def test_nothing_is_changed_by_looking(database: sqlite3.Connection) -> None:
    store(database, 5)
    kept = DATABASE.read_bytes(), DATABASE.with_name("vestnik.db-wal").read_bytes()
    traced("--message", "5")
    assert (DATABASE.read_bytes(), DATABASE.with_name("vestnik.db-wal").read_bytes()) == kept
