from __future__ import annotations

import errno
import os
import socket

import pytest

from vestnik.errors import ExitCode
from vestnik.runtime.listening import CannotListen, listening
from vestnik.settings.values import Address


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("raised", "address", "told"),
    [
        (os_error(errno.EADDRINUSE), Address("::1", 8080), "k: [::1]:8080 is in use: stop the program"),
        (os_error(errno.EADDRNOTAVAIL), Address("192.0.2.1", 80), "k: 192.0.2.1:80 is no address of this machine:"),
        (os_error(errno.EACCES), Address("::1", 80), "k: [::1]:80 is not for everybody: choose a port from 1024 on"),
        (os_error(errno.EMFILE), Address("a", 80), "k: a:80 cannot be listened on: Too many open files"),
        (OSError("a reason"), Address("a", 80), "k: a:80 cannot be listened on: a reason"),
        (socket.gaierror(-2, "Name or service not known"), Address("no.such", 80), "k: no.such is not the name of any"),
    ],
)
def test_an_address_that_cannot_be_had_is_told_with_its_key_and_a_cure(
    raised: OSError, address: Address, told: str
) -> None:
    with pytest.raises(CannotListen) as found, listening("k", address):
        raise raised
    assert str(found.value).startswith(told)
    assert found.value.exit_code == ExitCode.FAILED


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError), listening("k", Address("a", 1)):
        raise RuntimeError
