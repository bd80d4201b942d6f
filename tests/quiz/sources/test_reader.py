"""Reading in a process of its own: what comes back, and what happens when it goes wrong there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from vestnik.quiz.model import Candidate, Media
from vestnik.quiz.sources import frames
from vestnik.quiz.sources.formats.csv_rows import Shape
from vestnik.quiz.sources.formats.job import Job, from_json
from vestnik.quiz.sources.formats.record import Pick, Plan, Unreadable
from vestnik.quiz.sources.reader import Batch, Reader, ReadingFailed
from vestnik.quiz.sources.reader_process import BATCH

PLAN = Plan({"text": Pick("q"), "correct": Pick("a"), "image": Pick("i")}, {"text": {"x": "y"}})
JSON = Job(format="json", items="items", plan=PLAN, next="next")


async def read(reader: Reader, body: Any, job: Job = JSON) -> list[Batch]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [batch async for batch in reader.read(job, data)]


def children() -> set[int]:
    """The readers that this process has started and that still run. Other tests' children may be there, too."""
    task = Path(f"/proc/{os.getpid()}/task")
    found = {int(pid) for thread in task.iterdir() for pid in (thread / "children").read_text().split()}
    return {pid for pid in found if "reader_process" in told_of(pid, "cmdline")}


def told_of(pid: int, what: str) -> str:
    """Empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def test_candidates_come_back_as_they_were_found(reader: Reader) -> None:
    item = {"q": "Why\x00\ud800?", "a": ["A", "é"], "i": "https://x.test/1.png"}
    first, last = await read(reader, {"items": [item, {}], "next": "/2"})
    assert first.candidates == (
        Candidate(
            text="Why\x00\ufffd?",
            correct=("A", "é"),
            media=(Media(role="question", kind="image", url="https://x.test/1.png"),),
        ),
    )
    assert first.unreadable == (Unreadable("item 2", "it has no text"),)
    assert last == Batch((), (), "/2")


async def test_many_come_in_batches(reader: Reader) -> None:
    batches = await read(reader, {"items": [{"q": f"{n}?"} for n in range(2 * BATCH + 1)]})
    assert [len(batch.candidates) for batch in batches] == [BATCH, BATCH, 1, 0]


async def test_one_process_reads_one_thing_after_the_other(reader: Reader) -> None:
    await read(reader, {"items": []})
    first = children()
    await read(reader, {"items": []})
    assert children() == first
    assert len(first) == 1


async def test_what_cannot_be_read_is_said_and_the_process_stays(reader: Reader) -> None:
    with pytest.raises(ReadingFailed, match="it is not JSON"):
        await read(reader, b"nonsense")
    before = children()
    assert len(await read(reader, {"items": []})) == 1
    assert children() == before


async def test_a_file_that_is_not_there_is_said_so(reader: Reader, tmp_path: Path) -> None:
    job = Job(format="hash-q", path=str(tmp_path / "none"))
    with pytest.raises(ReadingFailed, match="it cannot be read: No such file or directory"):
        await read(reader, b"", job)


async def test_a_bug_in_a_format_is_no_end_of_reading(reader: Reader) -> None:
    with pytest.raises(ReadingFailed, match="reading it failed: KeyError"):
        await read(reader, b"", Job(format="no such format"))
    assert len(await read(reader, {"items": []})) == 1


async def test_a_process_that_dies_while_it_reads_is_told_of_and_replaced(reader: Reader) -> None:
    batches = reader.read(JSON, json.dumps({"items": [{"q": "x" * 1000}] * 20 * BATCH}).encode())
    await anext(batches)
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ReadingFailed, match=r"broke the reader \(SIGKILL\)"):
        _ = [batch async for batch in batches]
    assert len(await read(reader, {"items": []})) == 1


async def test_a_process_that_died_idle_is_replaced(reader: Reader) -> None:
    await read(reader, {"items": []})
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while True:  # a thread of its own tells the loop of the end, when it comes to that
            with contextlib.suppress(ReadingFailed):
                assert len(await read(reader, {"items": []})) == 1
                break


async def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless")
    reader = Reader(patience=0.5)
    try:
        with pytest.raises(ReadingFailed, match=r"took longer than 0.5 s"):
            await read(reader, b"", Job(format="hash-q", path=str(tmp_path / "endless")))
    finally:
        await reader.close()
    assert children() == set()


async def test_what_takes_too_much_memory_is_refused(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # a hole: it takes no room on the disk
    with pytest.raises(ReadingFailed, match="more memory than is allowed"):
        await read(reader, b"", Job(format="json", items="@", path=str(path), most_bytes=4 << 30))


async def test_the_process_can_write_no_files(reader: Reader) -> None:
    await read(reader, {"items": []})
    (pid,) = children()
    (line,) = [line for line in told_of(pid, "limits").splitlines() if line.startswith("Max file size")]
    assert line.split()[3] == "0"


async def test_the_process_does_not_have_the_secrets_of_the_environment(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIZ_KEY", "hunter2")
    await read(reader, {"items": []})
    (pid,) = children()
    assert "PATH=" in told_of(pid, "environ")
    assert "hunter2" not in told_of(pid, "environ")


async def test_a_reader_that_went_away_leaves_no_process_in_the_middle(reader: Reader) -> None:
    batches = reader.read(JSON, json.dumps({"items": [{"q": "x"}] * 3 * BATCH}).encode())
    await anext(batches)
    await batches.aclose()
    assert len(await read(reader, {"items": []})) == 1


async def test_a_large_body_does_not_deadlock_with_what_comes_back(reader: Reader) -> None:
    body = {"items": [{"q": "x" * 1000} for _ in range(20_000)]}
    batches = await asyncio.wait_for(read(reader, body), 60)
    assert sum(len(batch.candidates) for batch in batches) == 20_000


async def test_idle_processes_are_ended() -> None:
    reader = Reader(idle_for=0.05)
    await read(reader, {"items": []})
    async with asyncio.timeout(60):
        while children():
            await asyncio.sleep(0.01)
    await reader.close()


def test_a_job_crosses_whole() -> None:
    job = Job(
        format="csv",
        items="i",
        plan=Plan({"text": Pick(("a", "b"), None, "r", ","), "tags": Pick("c", "d")}, {"text": {"e": "f"}}),
        encoding="cp1251",
        shape=Shape(";", None, {2: ["text", "-"]}),
        path="/p",
        most_bytes=5,
    )
    assert from_json(json.loads(json.dumps(job.to_json()))) == job


def test_nonsense_in_a_frame_is_refused() -> None:
    for message in (
        {"candidates": [{"bad": 1}], "unreadable": []},
        {"candidates": 5},
        {"candidates": [], "unreadable": [[1]]},
    ):
        with pytest.raises((KeyError, TypeError, ValueError)):
            frames.unpack_batch(message)
