"""An address that cannot be listened on, told to an operator: by which key, why, and what can be done."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from vestnik.errors import VestnikError
from vestnik.settings.values import Address

_WHY = {
    errno.EADDRINUSE: "is in use: stop the program that listens there (`ss -ltnp` shows it), or choose another port",
    errno.EADDRNOTAVAIL: "is no address of this machine: choose one that `ip address` shows, or 0.0.0.0 for all",
    errno.EACCES: "is not for everybody: choose a port from 1024 on",
    errno.EPERM: "is not for everybody: choose a port from 1024 on",
}


class CannotListen(VestnikError):
    code = "cannot_listen"


@contextmanager
def listening(key: str, address: Address) -> Iterator[None]:
    """Around what listens on an address of the configuration. Raises CannotListen for an OSError."""
    try:
        yield
    except socket.gaierror as error:
        raise CannotListen(f"{key}: {address.host} is not the name of any address: {error.strerror}") from error
    except OSError as error:
        why = _WHY.get(error.errno or 0) or f"cannot be listened on: {error.strerror or error}"
        raise CannotListen(f"{key}: {address} {why}") from error
