from __future__ import annotations

import os
from pathlib import Path

import pytest

from vestnik.runtime.maintenance import FRESH, Acknowledgement, Flag, MaintenanceFlag


def test_without_a_file_it_is_in_service(tmp_path: Path) -> None:
    flag = MaintenanceFlag(tmp_path / "none")
    assert flag.read().on is False
    assert flag.acknowledged() == Acknowledgement()


def test_another_process_sees_the_flag_at_once_and_after_a_restart(tmp_path: Path) -> None:
    command, daemon = MaintenanceFlag(tmp_path / "var"), MaintenanceFlag(tmp_path / "var")
    for on in (True, False, True):
        command.set(on=on, reason="moving house")
        assert daemon.read().on is on
    found = MaintenanceFlag(tmp_path / "var").read()
    assert (found.on, found.reason) == (True, "moving house")
    assert found.since > 0


def test_every_change_has_a_revision_that_the_daemon_acknowledges(tmp_path: Path) -> None:
    command, daemon = MaintenanceFlag(tmp_path), MaintenanceFlag(tmp_path)
    first, second = command.set(on=True), command.set(on=True)
    assert first.revision != second.revision
    assert command.acknowledged() == Acknowledgement()
    daemon.acknowledge(daemon.read())
    assert command.acknowledged() == Acknowledgement(second.revision, 0)
    daemon.acknowledge(daemon.read(), under_way=7)
    assert command.acknowledged() == Acknowledgement(second.revision, 7)


@pytest.mark.parametrize("text", ["", " ", "abc def", "\x00" * 9])
def test_half_an_acknowledgement_is_none_of_the_flag(text: str, tmp_path: Path) -> None:
    flag = MaintenanceFlag(tmp_path)
    (tmp_path / "maintenance.seen").write_text(text)
    assert flag.acknowledged().revision != flag.set(on=True).revision


@pytest.mark.parametrize("text", ["", "{", "5", "[]", "null", '{"on": true, "what": 1}', "\x00" * 9])
def test_a_file_that_is_not_ours_means_maintenance(text: str, tmp_path: Path) -> None:
    (tmp_path / "maintenance.json").write_text(text)
    found = MaintenanceFlag(tmp_path).read()
    assert (found.on, found.unreadable) == (True, True)
    assert "vestnik maintenance off" in found.reason


def test_a_file_that_cannot_be_opened_means_maintenance_until_it_can(tmp_path: Path) -> None:
    flag = MaintenanceFlag(tmp_path)
    path = tmp_path / "maintenance.json"
    path.mkdir()
    assert flag.read().on is True
    path.rmdir()
    assert flag.read().on is False


def test_something_else_where_the_state_should_be_means_maintenance(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    assert MaintenanceFlag(tmp_path / "var").on is True


def test_writing_anew_leaves_nothing_beside(tmp_path: Path) -> None:
    flag = MaintenanceFlag(tmp_path)
    flag.set(on=True)
    flag.acknowledge(flag.read())
    assert sorted(os.listdir(tmp_path)) == ["maintenance.json", "maintenance.seen"]  # noqa: PTH208 - names are wanted


def test_a_file_that_goes_means_service(tmp_path: Path) -> None:
    flag = MaintenanceFlag(tmp_path)
    flag.set(on=True)
    assert flag.read().on
    (tmp_path / "maintenance.json").unlink()
    assert flag.read() == Flag()


def test_what_a_request_asks_knows_at_once_what_was_read(tmp_path: Path) -> None:
    daemon = MaintenanceFlag(tmp_path)
    assert not daemon.on
    MaintenanceFlag(tmp_path).set(on=True)
    daemon.read()
    assert daemon.on


def test_what_a_request_asks_is_a_moment_old_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("vestnik.runtime.maintenance.time.monotonic", lambda: now)
    daemon = MaintenanceFlag(tmp_path)
    assert not daemon.on
    MaintenanceFlag(tmp_path).set(on=True)
    now += 2 * FRESH
    assert daemon.on


def test_saying_it_again_keeps_since_when_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("vestnik.runtime.maintenance.time.time", lambda: now)
    flag = MaintenanceFlag(tmp_path)
    flag.set(on=True, reason="moving house")
    now += 60
    again = flag.set(on=True)
    assert (again.reason, again.since) == ("moving house", 1000)
    replaced = flag.set(on=True, reason="a new roof")
    assert (replaced.reason, replaced.since) == ("a new roof", 1000)
    off = flag.set(on=False)
    assert (off.reason, off.since) == ("", 1060)
    now += 60
    assert flag.set(on=False).since == 1060
    assert flag.set(on=True).reason == ""


def test_what_was_unreadable_is_written_anew_from_now(tmp_path: Path) -> None:
    (tmp_path / "maintenance.json").write_text("{")
    found = MaintenanceFlag(tmp_path).set(on=True)
    assert (found.reason, found.since > 0) == ("", True)


def test_a_flag_that_cannot_be_written_is_named_and_leaves_nothing_beside(tmp_path: Path) -> None:
    flag = MaintenanceFlag(tmp_path)
    (tmp_path / "maintenance.json").mkdir()  # nothing can be renamed to it
    with pytest.raises(OSError, match=r"maintenance\.json") as raised:
        flag.set(on=True)
    assert raised.value.filename == str(tmp_path / "maintenance.json")
    assert os.listdir(tmp_path) == ["maintenance.json"]  # noqa: PTH208 - names are wanted


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_full_disk_is_told_with_the_path(tmp_path: Path) -> None:
    flag = MaintenanceFlag(tmp_path)
    (tmp_path / f"maintenance.json.{os.getpid()}.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*maintenance\.json'$"):
        flag.set(on=True)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - names are wanted
