"""An extension package, built and installed as anybody's would be, works without a change to the daemon."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.catalogue import find_worker, worker_names
from vestnik.delivery.workers.worker import Unavailable, Worker

PACKAGE = Path(__file__).parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside the environment, not into it: nothing is left behind. Built from a copy, for the same reason."""
    source, target = tmp_path_factory.mktemp("source") / "filedrop", tmp_path_factory.mktemp("installed")
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--target", target)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *options, source], check=True)
    return target


@pytest.fixture
def filedrop(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Worker]]:
    monkeypatch.syspath_prepend(installed)
    yield find_worker("filedrop")
    sys.modules.pop("vestnik_filedrop", None)


def build(worker: type[Worker], **params: Any) -> Worker:
    return worker(worker.Settings.model_validate(params), "archive")


def task(text: str = "Привет,\r\nмир!\n", task_id: int = 7) -> Task:
    return Task(id=TaskId(task_id), message_id=MessageId(1), channel="archive", recipient="", text=text)


def files(directory: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in directory.iterdir()}


def test_the_daemon_finds_an_installed_worker_by_its_name(filedrop: type[Worker]) -> None:
    assert filedrop.__module__ == "vestnik_filedrop"
    assert "filedrop" in worker_names()


def test_it_imports_only_what_the_daemon_offers_to_workers() -> None:
    tree = ast.parse((PACKAGE / "src/vestnik_filedrop/__init__.py").read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {module for module in imported if module.startswith("vestnik.")}
    assert ours <= {"vestnik.delivery.workers.worker", "vestnik.settings.values"}


async def test_a_message_becomes_a_file_with_just_its_text(filedrop: type[Worker], tmp_path: Path) -> None:
    assert await build(filedrop, directory=tmp_path).deliver(task()) == "7.txt"
    assert files(tmp_path) == {"7.txt": "Привет,\r\nмир!\n"}


async def test_a_second_try_leaves_one_file(filedrop: type[Worker], tmp_path: Path) -> None:
    worker = build(filedrop, directory=tmp_path)
    for task_id in (7, 7, 8):
        await worker.deliver(task(task_id=task_id))
    assert sorted(files(tmp_path)) == ["7.txt", "8.txt"]


async def test_while_the_directory_is_missing_messages_wait(filedrop: type[Worker], tmp_path: Path) -> None:
    worker = build(filedrop, directory=tmp_path / "missing")
    with pytest.raises(Unavailable) as caught:
        await worker.deliver(task())
    assert (caught.value.maybe_sent, "No such file" in caught.value.reason) == (False, True)
    (tmp_path / "missing").mkdir()
    assert await worker.deliver(task()) == "7.txt"


def test_it_takes_what_a_file_can_hold(filedrop: type[Worker], tmp_path: Path) -> None:
    worker = build(filedrop, directory=tmp_path)
    assert (worker.text_problem("😀\n"), list(worker.recipients())) == (None, [""])
    assert worker.text_problem("half \ud83d") is not None
