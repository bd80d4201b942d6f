"""A server in threads: it can do something while the event loop is kept from noticing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

PATIENCE = 60.0  # seconds for anything that is to happen


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: Server, sock: socket.socket, number: int) -> None:
        self.number = number  # from 1
        self.server = server
        self._socket = sock
        self.stream = sock.makefile("rb")

    def say(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def read_to_the_end(self) -> None:
        """Until the client hangs up."""
        while self.stream.read(1 << 16):
            pass

    def hang_up(self, *, reset: bool = False) -> None:
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.close()
        self._socket.close()


class Server:
    """Every connection is a thread that does what `script` says, and hangs up at its end."""

    def __init__(self, script: Callable[[Peer], None], tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[tuple[int, bytes]] = []  # what scripts put there, with the number of the connection
        self.connections = 0
        self.ended = threading.Event()  # some script has come to its end, and its connection is closed
        self._script = script
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            # Else a second small answer waits until the first is acknowledged, some 40 ms (Nagle, RFC 1122, 4.2.3.2).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            peer = Peer(self, self._tls.wrap_socket(sock, server_side=True) if self._tls else sock, number)
            try:
                self._script(peer)
            finally:
                peer.hang_up()
        self.ended.set()


@contextlib.contextmanager
def serving(script: Callable[[Peer], None], tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(script, tls)
    try:
        yield server
    finally:
        server.close()


def wait(event: threading.Event) -> None:
    """Keeps the event loop from noticing anything meanwhile."""
    assert event.wait(PATIENCE)


async def wait_politely(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE)
