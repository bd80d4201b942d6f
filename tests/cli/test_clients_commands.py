"""`vestnik clients`: files in and out without a daemon, and a list from one."""

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
from daemons import RunningDaemon

from vestnik.cli.command import main
from vestnik.errors import ExitCode
from vestnik.runtime.maintenance import MaintenanceFlag

CONFIGURATION = "channels: {nowhere: {worker: null}}\nmailings: {timezone: Asia/Omsk}\n"


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


def clients(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ("clients", *arguments), input=given)


def kept() -> list[tuple[str, ...]]:
    connection = sqlite3.connect("var/vestnik.db")
    rows = connection.execute("SELECT phone, tag, timezone FROM client ORDER BY id").fetchall()
    connection.close()
    return rows


def test_files_become_clients_and_a_report_says_what_of_each() -> None:
    Path("a.csv").write_text("phone,tag\n79990000001,vip\n79990000002,\n")
    Path("b.csv").write_text("phone;tag\n79990000001;old\n79990000002;\n79990000003;\n")
    found = clients("import", "a.csv", "b.csv")
    assert found.exit_code == ExitCode.DONE
    assert found.stdout.startswith("5 rows: 3 new, 1 changed, 1 unchanged, 0 bad; ")
    assert kept() == [(f"7999000000{n}", "old" if n == 1 else "", "Asia/Omsk") for n in (1, 2, 3)]


def test_bad_rows_are_told_with_file_and_line_and_the_others_are_taken() -> None:
    Path("a.csv").write_text("phone\n79990000001\n8\n79990000002\n")
    found = clients("import", "a.csv")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr == "a.csv:3: phone must be a phone number such as 79991234567\n"
    assert len(kept()) == 2
    found = clients("import", "a.csv", "--errors", "bad.txt", "--json")
    assert found.stderr == ""
    assert Path("bad.txt").read_text() == "a.csv:3: phone must be a phone number such as 79991234567\n"
    report = json.loads(found.stdout)
    assert {name: report[name] for name in ("rows", "unchanged", "bad", "failed", "stopped")} == {
        "rows": 3,
        "unchanged": 2,
        "bad": 1,
        "failed": {},
        "stopped": None,
    }


def test_a_file_that_cannot_be_read_does_not_hide_the_others() -> None:
    Path("a.csv").write_text("colour\nred\n")
    Path("b.csv").write_text("phone\n79990000001\n")
    found = clients("import", "a.csv", "b.csv")
    assert found.exit_code == ExitCode.FAILED
    assert found.stderr.startswith("a.csv: its header has a column 'colour'")
    assert len(kept()) == 1


def test_a_dry_run_stores_nothing() -> None:
    Path("a.csv").write_text("phone\n79990000001\n")
    found = clients("import", "a.csv", "--dry-run")
    assert found.exit_code == ExitCode.DONE
    assert found.stdout.startswith("1 rows: 1 new")
    assert found.stdout.endswith(", nothing was stored\n")
    assert kept() == []


def test_another_encoding_is_told() -> None:
    Path("a.csv").write_bytes("phone;tag\n79990000001;Омск\n".encode("cp1251"))
    assert clients("import", "a.csv").exit_code == ExitCode.FAILED
    assert clients("import", "a.csv", "--encoding", "cp1251").exit_code == ExitCode.DONE
    assert kept() == [("79990000001", "Омск", "Asia/Omsk")]


def test_in_maintenance_nothing_is_taken_in() -> None:
    Path("a.csv").write_text("phone\n79990000001\n")
    Path("var").mkdir()
    MaintenanceFlag(Path("var")).set(on=True, reason="backup")
    found = clients("import", "a.csv")
    assert found.exit_code == ExitCode.FAILED
    assert "maintenance" in found.stderr


def test_what_goes_out_comes_in_again() -> None:
    Path("a.csv").write_text("phone,tag\n79990000001,=1+1\n79990000002,Омск\n")
    clients("import", "a.csv")
    assert clients("export", "out.csv").stderr == "2 clients\n"
    assert not Path("out.csv.part").exists()
    before = kept()
    assert clients("export").stdout.encode() == Path("out.csv").read_bytes().replace(b"\r\n", b"\n")
    assert "2 unchanged" in clients("import", "out.csv").stdout
    assert kept() == before


def spawned(*arguments: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "vestnik", "clients", *arguments], stdin=pipe, stdout=pipe, stderr=pipe
    )


def test_the_standard_input_is_a_file_too() -> None:
    process = spawned("import", "-")
    out, _ = process.communicate(b"phone\n79990000001\n")
    assert out.startswith(b"1 rows: 1 new")
    assert process.returncode == ExitCode.DONE


def test_ctrl_c_keeps_what_was_read_and_says_so() -> None:
    process = spawned("import", "-")
    stdin, process.stdin = process.stdin, None
    assert stdin is not None
    stdin.write(b"phone\n" + b"".join(b"7999%07d\n" % n for n in range(3000)))
    stdin.flush()
    while not Path("var/vestnik.db").exists() or not stored():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    stdin.close()
    assert process.returncode == ExitCode.FAILED
    assert errors == b"not finished: it was interrupted. What was read by then is kept.\n"
    assert out.startswith(f"{len(kept()):,} rows: {len(kept()):,} new".encode())


def stored() -> bool:
    try:
        return bool(kept())
    except sqlite3.Error:  # not there yet
        return False


async def test_clients_are_listed_by_what_they_have(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path) as daemon:
        (tmp_path / "a.csv").write_text("phone,tag\n79990000001,vip\n79160000002,\n79990000003,\n")
        await daemon.do("clients", "import", "a.csv")  # beside the daemon
        table = await daemon.do("clients", "list", "--operator-code", "999")
        assert [line.split() for line in table.splitlines()] == [
            ["id", "phone", "operator_code", "tag", "timezone"],
            ["1", "79990000001", "999", "vip", "Europe/Moscow"],
            ["3", "79990000003", "999", "-", "Europe/Moscow"],
        ]
        found = json.loads(await daemon.do("clients", "list", "--limit", "1", "--json"))
        assert [client["phone"] for client in found] == ["79990000001"]
