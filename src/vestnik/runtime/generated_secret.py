"""A secret that the daemon makes itself at its first start, readable by nobody else."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from vestnik.errors import VestnikError
from vestnik.runtime.folders import make_folder, sync_folder


class SecretUnreadable(VestnikError):
    code = "secret_unreadable"


def read_or_make(path: Path) -> str:
    """The secret in a file; a file that is not there is made, with 512 random bits and mode 0600.

    Raises SecretUnreadable, also when others may read the file.
    """
    try:
        make_folder(path.parent, 0o700)
        _make(path)
        if path.stat().st_mode & 0o077:
            raise SecretUnreadable(f"{path} can be read by others: chmod 600 {path}")
        found = path.read_text().strip()
    except OSError as error:
        raise SecretUnreadable(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SecretUnreadable(f"{path} is not UTF-8 text: remove it, and a new secret is made") from error
    if not found:
        raise SecretUnreadable(f"{path} is empty: remove it, and a new secret is made")
    return found


def _make(path: Path) -> None:
    if path.exists():
        return
    # Written aside and linked: of two that start at once, one wins, and none sees half a secret.
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(64) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    finally:
        new.unlink()
    sync_folder(path.parent)
