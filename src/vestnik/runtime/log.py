"""Logging (D14): one line an event, to the console and to a rotated file, with the ids that are bound.

Everything goes through the standard library's loggers; structlog gives the lines their form. A line break or an escape
in a value cannot start a line of its own: control characters are escaped, and on the console a traceback is indented.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast

import structlog
from pydantic import AfterValidator, Field
from structlog.typing import EventDict, Processor, WrappedLogger

from vestnik.errors import VestnikError
from vestnik.runtime.log_lines import coloured_line, json_line, plain_line
from vestnik.runtime.log_writer import LineWriter, RotatedFile
from vestnik.runtime.redaction import Redactor
from vestnik.settings.values import Section, Size

Format = Literal["console", "json"]


def _no_folder(path: Path) -> Path:
    if os.path.isdir(path):  # noqa: PTH112  - Path.is_dir raises where one may not look
        raise ValueError("a file, and this is a folder")
    return path


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Format = "console"
    file: Annotated[Path, AfterValidator(_no_folder)] | None = None
    # With a zero the standard library never rotates; `rotate: 20` is a slip for 20MB and would keep a line a file.
    rotate: Annotated[Size, Field(ge=1024)] = 20 << 20
    keep: Annotated[int, Field(ge=1, le=10_000)] = 10


class LogUnwritable(VestnikError):
    code = "log_unwritable"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose keyword arguments become fields of the line: `log.info("resent", message=1)`.

    The standard library's own refuses a field called `message`.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            _complete,
            _as_record,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger.bind()  # itself, and not a stand-in that looks it up at each call


_IDS: ContextVar[Mapping[str, object]] = ContextVar("ids", default=MappingProxyType({}))


def bind_ids(**ids: object) -> None:
    """What every line of the running asyncio task bears from now on, also those of libraries; without ids, nothing.

    One context variable for all of them: structlog's own has one for each, at five times the price.
    """
    _IDS.set(ids)


def _merge_ids(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {**_IDS.get(), **event}


_completing: list[Processor] = []  # set by `configure`


def _complete(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Time, level, ids, without secrets: once a line, and not once for each handler."""
    for processor in _completing:
        event = cast(EventDict, processor(logger, name, event))  # none of these renders
    return event


def _as_record(_logger: WrappedLogger, _name: str, event: EventDict) -> tuple[tuple[EventDict], dict[str, Any]]:
    """The event is the record's message; `log_lines` renders it."""
    return (event,), {}


def complete_foreign(record: logging.LogRecord) -> EventDict:
    """A line of the standard library's loggers, as if it were ours."""
    extra = {key: value for key, value in record.__dict__.items() if key not in _RECORD}
    event: EventDict = {"event": record.getMessage(), **extra}
    if record.exc_info:
        event["exc_info"] = record.exc_info
    if record.stack_info:
        event["stack"] = record.stack_info
    return _complete(logging.getLogger(record.name), record.levelname.lower(), event)


_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def configure(
    settings: LogSettings, *, verbosity: int = 0, debug: bool = False, redactor: Redactor | None = None
) -> None:
    """`verbosity` counts the -v: one shows our debug lines, two the libraries' too. `debug` means -vv.

    Raises LogUnwritable.
    """
    level = logging.DEBUG if verbosity or debug else logging.getLevelNamesMapping()[settings.level.upper()]
    _save_what_nobody_reads()
    _completing[:] = _completing_processors(redactor or Redactor())
    handlers: list[logging.Handler] = [_console(settings.format)]
    if settings.file:
        handlers.append(_file(settings, settings.file))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    _quiet_libraries(everything=debug or verbosity > 1)


def _completing_processors(redactor: Redactor) -> list[Processor]:
    def redact(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {key: value if key.startswith("_") else _redacted(redactor, value) for key, value in event.items()}

    return [
        structlog.contextvars.merge_contextvars,
        _merge_ids,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]


def _redacted(redactor: Redactor, value: Any) -> Any:
    """Also inside of what is not text yet: an exception, a list, a path."""
    match value:
        case str():
            return redactor(value)
        case None | int() | float():
            return value
        case dict():
            return {str(name): _redacted(redactor, child) for name, child in value.items()}
        case list() | tuple() | set():
            return [_redacted(redactor, child) for child in value]
        case _:
            return redactor(str(value))


def _console(form: Format) -> logging.Handler:
    if form == "json":
        return LineWriter(sys.stderr, json_line, complete_foreign)
    return LineWriter(sys.stderr, coloured_line() if sys.stderr.isatty() else plain_line, complete_foreign)


def _file(settings: LogSettings, path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return RotatedFile(path, json_line, complete_foreign, most=settings.rotate, keep=settings.keep)
    except OSError as error:
        raise LogUnwritable(f"log.file: cannot write {path}: {error.strerror}") from error


def _save_what_nobody_reads() -> None:
    """What the standard library finds out for every record and we never show; the first costs a system call."""
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None  # so documented: "Optimization" in the logging HOWTO


def _quiet_libraries(*, everything: bool) -> None:
    for name in ("aiogram", "asyncio", "alembic", "mail.log", "aiohttp_apigami"):
        logging.getLogger(name).setLevel(logging.NOTSET if everything else logging.WARNING)
