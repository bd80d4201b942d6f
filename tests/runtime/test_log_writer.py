"""Where lines go: pipes that nobody reads, disks that are full for a while."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import pytest

from vestnik.runtime.log import complete_foreign
from vestnik.runtime.log_lines import json_line
from vestnik.runtime.log_writer import LineWriter, RotatedFile

Say = Callable[..., None]


def fill(pipe: int) -> int:
    """Until it takes no byte more; returns how many it took. Who writes waits from then on."""
    os.set_blocking(pipe, False)
    taken = 0
    for size in (4096, 1):
        try:
            while True:
                taken += os.write(pipe, b"." * size)
        except BlockingIOError:
            continue
    os.set_blocking(pipe, True)
    return taken


def sayer(writer: logging.Handler) -> Say:
    def say(text: str, level: int = logging.INFO) -> None:
        writer.handle(logging.LogRecord("a.library", level, "", 0, text, None, None))

    return say


@dataclass
class Pipe:
    """One that is full holds a page. `lines` is where it is read, `stream` where it is written."""

    lines: BinaryIO
    stream: TextIO

    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines.readline())
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reading, "rb") as lines, os.fdopen(writing, "w") as stream:
        yield Pipe(lines, stream)


NOBODY_READS = """
import logging, sys
from vestnik.runtime.log import LogSettings, configure, get_logger
configure(LogSettings())
log = get_logger("vestnik.test")
for number in range(3):
    log.info("line", number=number)
    log.warning("urgent", number=number)
print("goes on", flush=True)
"""


def test_who_logs_goes_on_and_ends_when_nobody_reads_the_console(pipe: Pipe) -> None:
    fill(pipe.stream.fileno())
    command = [sys.executable, "-c", NOBODY_READS]
    done = subprocess.run(command, stderr=pipe.stream, stdout=subprocess.PIPE, timeout=25, check=True)
    assert done.stdout == b"goes on\n"


def test_what_waits_is_bounded_and_in_order_and_what_was_dropped_is_said(pipe: Pipe) -> None:
    filled = fill(pipe.stream.fileno())
    writer = LineWriter(pipe.stream, json_line, complete_foreign, most=5)
    say = sayer(writer)
    for number in range(20):
        say(str(number), logging.WARNING if number % 2 else logging.INFO)
    pipe.lines.read(filled)
    numbers: list[int] = []
    dropped = 0
    while len(numbers) + dropped < 20:
        event = pipe.event()
        dropped += event.get("dropped", 0)
        numbers += [] if "dropped" in event else [int(event["event"])]
    assert numbers == sorted(numbers)
    assert 5 <= len(numbers) <= 10  # those that wait, and those that the thread has in hand
    say("afterwards", logging.WARNING)
    assert pipe.event()["event"] == "afterwards"
    writer.close()


def test_a_warning_takes_all_before_it_along_into_a_pipe(pipe: Pipe) -> None:
    writer = LineWriter(pipe.stream, json_line, complete_foreign)
    say = sayer(writer)
    say("quiet")
    say("loud", logging.ERROR)
    assert [pipe.event()["event"] for _ in range(2)] == ["quiet", "loud"]
    writer.close()


def test_a_pipe_that_others_made_impatient_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    writer = LineWriter(pipe.stream, json_line, complete_foreign)
    sayer(writer)("x" * 100_000, logging.WARNING)
    assert pipe.event()["event"] == "x" * 100_000
    writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log" / "v.log"


@pytest.fixture
def rotated(path: Path) -> Iterator[RotatedFile]:
    writer = RotatedFile(path, json_line, complete_foreign, most=1024, keep=1)
    yield writer
    writer.close()


def said(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_a_rotation_that_fails_once_costs_no_line_and_comes_later(rotated: RotatedFile, path: Path, level: int) -> None:
    in_the_way = path.with_name("v.log.1")
    in_the_way.mkdir()
    say, texts = sayer(rotated), [f"{number} " + "x" * 100 for number in range(12)]
    for text in texts:
        say(text, level)
    rotated.flush()
    assert said(path) == texts
    in_the_way.rmdir()
    say("y" * 700, level)
    say("after the rotation", level)
    rotated.flush()
    assert (said(path), said(in_the_way)) == (["y" * 700, "after the rotation"], texts)


def test_a_file_whose_folder_was_gone_for_a_while_has_lines_again(rotated: RotatedFile, path: Path) -> None:
    say = sayer(rotated)
    shutil.rmtree(path.parent)
    for _ in range(3):
        say("x" * 2000)
        rotated.flush()
    path.parent.mkdir()
    say("again", logging.WARNING)
    rotated.flush()
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert "again" in [event["event"] for event in found]
    assert sum(event.get("dropped", 0) for event in found) == 3


FULL_FOR_A_WHILE = """
import logging, resource, sys
from pathlib import Path
from vestnik.runtime.log import LogSettings, configure, get_logger
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
configure(LogSettings(file=Path(sys.argv[1])))
log = get_logger("vestnik.test")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for number in range(10):
    log.warning("line", number=number, filler="x" * 200)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.warning("there is room again")
"""


def test_a_full_disk_that_has_room_again_gets_whole_lines_again(path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL_FOR_A_WHILE, str(path)], timeout=60, check=True, capture_output=True)
    texts = path.read_text().splitlines()
    found = [json.loads(text) for text in texts if text.endswith("}")]
    assert len(texts) - len(found) <= 1  # the one that broke off
    assert "there is room again" in [event["event"] for event in found]
    kept = sum(event["event"] == "line" for event in found)
    assert kept + sum(event.get("dropped", 0) for event in found) == 10


def test_halves_of_characters_cost_no_line(rotated: RotatedFile, path: Path) -> None:
    sayer(rotated)("half \ud800", logging.WARNING)
    assert said(path) == ["half \ud800"]
