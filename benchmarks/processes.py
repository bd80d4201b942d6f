"""Starts the processes of a run, each on its core, and sees to it that all of them end, however the run does."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.machine import ROOT

HOST = "127.0.0.1"
PATIENCE = 30.0  # seconds for a process to start listening, or to end
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """A process that the benchmark needs did not do what it should; the text says which and why."""


class Child:
    """A process and all that it starts; a context manager. It dies with the benchmark, even with a killed one."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        core: int | None = None,
        env: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """`core` None leaves it free to use all. `log` gets what it says; `patience` is for its end after SIGTERM."""
        self.command, self.log = list(command), log
        self._core, self._patience = core, patience
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_set_up(self._core),  # noqa: PLW1509 - the benchmark has no threads
            )

    @property
    def pid(self) -> int:
        if self._process is None:
            raise Failed(f"{self.name} is not running")
        return self._process.pid

    def wait(self, seconds: float) -> int:
        """Its exit code. Raises Failed when it goes on for longer."""
        if self._process is None:
            raise Failed(f"{self.name} is not running")
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {seconds:g} s") from None

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left of its group then."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def check(self) -> None:
        """Raises Failed when it ended by itself."""
        if self._process is None or self._process.poll() is not None:
            raise Failed(f"{self.name} ended: {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def cpu_seconds(self) -> float:
        """Of all its threads, so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> float:
        """The most it ever was resident in memory, in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise Failed(f"{self.name} has no VmHWM")

    @property
    def name(self) -> str:
        return _short(self.command)


def _set_up(core: int | None) -> Callable[[], None]:
    def run() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})

    return run


def _short(command: Sequence[str]) -> str:
    """As the report names it: without the folders of this machine, and without most arguments."""
    program, *arguments = command[:5]
    return " ".join([Path(program).name, *arguments])


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of the benchmark with the project's own interpreter."""
    return [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


class Question:
    """A command that is under way, and prints JSON as its last line; a context manager that ends it."""

    def __init__(
        self, command: Sequence[str], *, core: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._name = _short(command)
        self._process = subprocess.Popen(
            list(command),
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_set_up(core),  # noqa: PLW1509 - the benchmark has no threads
        )

    def __enter__(self) -> Question:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def answer(self, patience: float) -> dict[str, Any]:
        """Raises Failed when none came within `patience` seconds, or the command failed."""
        try:
            said, complaint = self._process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self._name} did not end within {patience:g} s") from None
        if self._process.returncode:
            raise Failed(f"{self._name}: {(complaint.strip().splitlines() or ['it said nothing'])[-1]}")
        answer: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
        return answer


def answer_of(
    command: Sequence[str], *, core: int | None = None, env: Mapping[str, str] | None = None, patience: float
) -> dict[str, Any]:
    """The JSON that a command prints as its last line. Raises Failed."""
    with Question(command, core=core, env=env) as question:
        return question.answer(patience)


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


def wait_until_listening(port: int, child: Child) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        child.check()
        try:
            socket.create_connection((HOST, port), 1.0).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise Failed(f"nobody listened on port {port} within {PATIENCE:g} s: {child.last_words()}")
