from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vestnik.errors import AlreadyRunning, ExitCode
from vestnik.runtime.instance import InstanceLock

HOLD = """
import sys
from pathlib import Path
from vestnik.runtime.instance import InstanceLock
lock = InstanceLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_daemon_is_told_who_has_it(tmp_path: Path) -> None:
    first, second = InstanceLock(tmp_path / "var"), InstanceLock(tmp_path / "var")
    first.acquire()
    with pytest.raises(AlreadyRunning) as raised:
        second.acquire()
    assert str(raised.value) == f"{tmp_path / 'var'} is in use by pid {os.getpid()}"
    assert raised.value.exit_code == ExitCode.ALREADY_RUNNING
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_a_database_is_held_by_whatever_path_it_is_named(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "vestnik.db")
    first, second = InstanceLock.of_database(tmp_path / "vestnik.db"), InstanceLock.of_database(link)
    first.acquire()
    with pytest.raises(AlreadyRunning, match=r"link\.db is in use by pid"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_the_lock_goes_with_the_process_however_it_dies(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert lock.held_by_another()
        holder.kill()
        holder.wait(10)
    assert not lock.held_by_another()
    lock.acquire()
    lock.release()


def test_looking_changes_nothing(tmp_path: Path) -> None:
    assert not InstanceLock(tmp_path / "var").held_by_another()
    assert not (tmp_path / "var").exists()
    holder = InstanceLock(tmp_path)
    holder.acquire()
    before = holder.path.read_text()
    assert InstanceLock(tmp_path).held_by_another()
    assert holder.path.read_text() == before == str(os.getpid())
    holder.release()


def test_a_daemon_that_starts_is_not_stopped_by_one_that_looks(tmp_path: Path) -> None:
    ended = threading.Event()
    (tmp_path / "vestnik.lock").touch()
    looking = threading.Thread(target=lambda: [InstanceLock(tmp_path).held_by_another() for _ in _until(ended)])
    looking.start()
    try:
        for _ in range(200):
            lock = InstanceLock(tmp_path)
            lock.acquire()
            lock.release()
    finally:
        ended.set()
        looking.join()


def _until(ended: threading.Event) -> Iterator[None]:
    while not ended.is_set():
        yield
