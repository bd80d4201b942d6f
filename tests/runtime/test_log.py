from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from vestnik.runtime.log import LogSettings, LogUnwritable, configure, get_logger
from vestnik.runtime.redaction import Redactor

SECRET = "hunter2-secret"
NASTY = "a\nb\rc\x1b[31md\x9be\u2028f\u2029g\x7fh\x00"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in ("asyncio", "alembic", "aiogram")}
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        if handler not in handlers:
            handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log" / "vestnik.log"


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line of the file, each JSON by itself."""
    flush()
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def flush() -> None:
    """What is not urgent is written a moment later."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def fail(message: str) -> None:
    raise ValueError(message)


def raise_and_log(message: str) -> None:
    try:
        fail(message)
    except ValueError:
        get_logger("vestnik.test").exception("it broke")


def test_ids_are_fields_of_the_line(file: Path) -> None:
    configure(LogSettings(file=file))
    with structlog.contextvars.bound_contextvars(channel="alerts", task=7):
        get_logger("vestnik.test").info("sent", message=1)
        logging.getLogger("a.library").warning("%s says %d", "it", 5)
    bound, foreign = lines(file)
    assert {"event": "sent", "message": 1, "channel": "alerts", "task": 7, "level": "info"}.items() <= bound.items()
    assert {"event": "it says 5", "channel": "alerts", "logger": "a.library", "level": "warning"}.items() <= (
        foreign.items()
    )
    assert bound["timestamp"].endswith("Z")
    assert not [name for name in (*bound, *foreign) if name.startswith("_")]


def test_extra_of_the_standard_library_is_a_field_too(file: Path) -> None:
    configure(LogSettings(file=file))
    logging.getLogger("a.library").warning("x", extra={"port": 5})
    assert lines(file)[0]["port"] == 5


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_value_starts_a_line_or_moves_the_cursor(form: Any, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format=form, file=file))
    get_logger("vestnik.test").warning("event " + NASTY, text=NASTY, things=[NASTY], error=ValueError(NASTY))
    logging.getLogger("a.library").warning("%s", NASTY)
    for written in (capsys.readouterr().err, file.read_text()):
        assert len(written.splitlines()) == 2
        assert all(line.isprintable() for line in written.splitlines())


def test_json_gives_back_what_was_put_in(file: Path) -> None:
    configure(LogSettings(file=file))
    get_logger("vestnik.test").warning("x", text=NASTY, russian="вестник")
    [line] = lines(file)
    assert line["text"] == NASTY
    assert "вестник" in file.read_text()


def test_a_traceback_cannot_be_taken_for_lines_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="console"))
    raise_and_log("first\n2026-11-21T00:00:00Z [info] forged\x1b[2J")
    first, *rest = capsys.readouterr().err.splitlines()
    assert "it broke" in first
    assert any("forged\\x1b[2J" in line for line in rest)
    assert all(line.startswith("    ") for line in rest)


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_taken_out_wherever_they_stand(form: Any, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format=form, file=file), redactor=Redactor([SECRET]))
    log = get_logger("vestnik.test")
    log.warning("event " + SECRET, text=SECRET, error=ValueError(SECRET), deep={"a": [SECRET, (SECRET,)]}, n=1)  # noqa: G003 - what a careless line does
    log.warning("positional %s", SECRET)
    logging.getLogger("a.library").error("%s", SECRET, extra={"url": f"http://x/{SECRET}"})
    raise_and_log(SECRET)
    try:
        fail(SECRET)
    except ValueError as error:
        logging.getLogger("a.library").error("with %s", error, exc_info=error)  # noqa: TRY400 - what libraries do
    flush()
    shown = capsys.readouterr().err + file.read_text()
    assert SECRET not in shown
    assert "hunter2" not in shown
    assert shown.count("[secret]") >= 18
    assert lines(file)[0]["n"] == 1


def test_a_cause_and_its_traceback_are_redacted(file: Path) -> None:
    configure(LogSettings(file=file), redactor=Redactor([SECRET]))
    try:
        try:
            fail(SECRET)
        except ValueError as cause:
            raise OSError("outer") from cause
    except OSError:
        logging.getLogger("a.library").exception("broke")
    [line] = lines(file)
    assert "ValueError: [secret]" in line["exception"]
    assert "OSError: outer" in line["exception"]


def test_files_are_rotated_and_so_many_kept(file: Path) -> None:
    configure(LogSettings(file=file, rotate=1024, keep=2))
    log = get_logger("vestnik.test")
    for number in range(60):
        log.info("line", number=number, filler="x" * 100)
    flush()
    names = sorted(path.name for path in file.parent.iterdir())
    assert names == ["vestnik.log", "vestnik.log.1", "vestnik.log.2"]
    assert all(path.stat().st_size <= 1024 for path in file.parent.iterdir())
    kept = [line["number"] for name in reversed(names) for line in lines(file.parent / name)]
    assert kept == list(range(kept[0], 60))


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(LogUnwritable, match=r"^log\.file: cannot write .*/taken/v\.log: "):
        configure(LogSettings(file=tmp_path / "taken" / "v.log"))


@pytest.mark.parametrize(
    ("verbosity", "debug", "ours", "theirs"),
    [(0, False, False, False), (1, False, True, False), (2, False, True, True), (0, True, True, True)],
)
def test_v_shows_our_debug_lines_and_vv_the_libraries(
    verbosity: int, debug: bool, ours: bool, theirs: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(LogSettings(), verbosity=verbosity, debug=debug)
    get_logger("vestnik.test").debug("our line")
    logging.getLogger("asyncio").debug("their line")
    flush()
    shown = capsys.readouterr().err
    assert ("our line" in shown) is ours
    assert ("their line" in shown) is theirs


def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(level="warning"))
    get_logger("vestnik.test").info("quiet")
    get_logger("vestnik.test").warning("loud")
    flush()
    shown = capsys.readouterr().err
    assert "quiet" not in shown
    assert "loud" in shown


def test_configuring_again_replaces_the_handlers(file: Path) -> None:
    configure(LogSettings(file=file))
    configure(LogSettings(file=file))
    assert [type(handler).__name__ for handler in logging.getLogger().handlers] == [
        "LineWriter",
        "RotatedFile",
    ]
    assert not sys.stderr.isatty()
