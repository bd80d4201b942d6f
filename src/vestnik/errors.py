"""The few kinds of error that a user can meet. Each prints subject and cause; bugs are left to be bugs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    BAD_USAGE = 2  # of the command or the configuration
    DAMAGED = 3
    ALREADY_RUNNING = 4


class VestnikError(Exception):
    """Base of all. `code` goes to programs, the text to people, `exit_code` to the shell."""

    code = "error"
    exit_code = ExitCode.FAILED


class DatabaseDamaged(VestnikError):
    code = "database_damaged"
    exit_code = ExitCode.DAMAGED


class AlreadyRunning(VestnikError):
    code = "already_running"
    exit_code = ExitCode.ALREADY_RUNNING


class StoreUnavailable(VestnikError):
    """The store cannot take more just now: locked, full, or its queue is. Nothing was written."""

    code = "store_unavailable"


class NotFound(VestnikError):
    code = "not_found"


class Conflict(VestnikError):
    """The state of the thing does not allow it."""

    code = "conflict"


class InvalidInput(VestnikError):
    """`fields` maps the name of each bad field to what it must be."""

    code = "invalid_input"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {problem}" for name, problem in fields.items()))
        self.fields = dict(fields)
