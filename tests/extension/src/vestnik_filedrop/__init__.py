"""A worker in a package of its own: it writes each message to a file. An example, and the proof that it can be done."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vestnik.delivery.workers.worker import Task, Unavailable, Worker, WorkerSettings


class FileDropSettings(WorkerSettings):
    directory: Path  # has to be there; while it is not, messages wait


class FileDrop(Worker):
    Settings: ClassVar[type[WorkerSettings]] = FileDropSettings

    text_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[^\x00\ud800-\udfff]+")
    text_rule: ClassVar[str] = "a text that UTF-8 can hold, without NUL characters"

    def __init__(self, settings: FileDropSettings, channel: str) -> None:
        self._directory = settings.directory

    def recipients(self) -> Sequence[str]:
        return ("",)

    async def deliver(self, task: Task) -> str:
        try:
            return await asyncio.to_thread(self._write, task)
        except OSError as error:
            # Never "maybe sent": a second try writes the same file again.
            raise Unavailable(f"cannot write to {self._directory}: {error.strerror}") from error

    def _write(self, task: Task) -> str:
        path = self._directory / f"{task.id}.txt"
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(task.text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)  # whoever watches the directory sees all of it or nothing
        _sync(self._directory)
        return path.name


def _sync(directory: Path) -> None:
    """Put the new name on disk too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
