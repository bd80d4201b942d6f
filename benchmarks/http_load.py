"""The load generator: kept connections, each with one request on its way, every latency recorded.

    python -m benchmarks.http_load PORT PATH BODY CONNECTIONS SECONDS [numbered]

`numbered` gives each request a header field that no other has.
Prints requests a second, percentiles in milliseconds, and how busy its own core was. An answer is anything that begins
with `HTTP/1.1 204` and ends with an empty line; anything else ends the run. A bare protocol, so that it is several
times faster than what it loads.
"""

from __future__ import annotations

import array
import asyncio
import json
import sys
import time

import uvloop

from benchmarks.figures import percentile

WARM_UP = 0.3  # seconds at the beginning that are not counted
_PATIENCE = 30.0


class Load:
    """What all connections share: when to stop, and what was measured."""

    def __init__(self, request: bytes, seconds: float, *, numbered: bool) -> None:
        self._request = request
        self._line, _, self._rest = request.partition(b"\r\n")
        self._numbered = numbered
        self._number = 0
        self.counted_from = time.perf_counter() + WARM_UP
        self.until = self.counted_from + seconds
        self.latencies = array.array("d")
        self.error: str | None = None

    def request(self) -> bytes:
        if not self._numbered:
            return self._request
        self._number += 1
        return b"%b\r\nX-Request-Id: %016d\r\n%b" % (self._line, self._number, self._rest)


class Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load = load
        self._answer = b""
        self._began = 0.0
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._load.request())  # type: ignore[attr-defined] # uvloop's are none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(b"\r\n\r\n"):
            return
        now, load = time.perf_counter(), self._load
        if not self._answer.startswith(b"HTTP/1.1 204"):
            load.error = load.error or self._answer.decode(errors="replace")
            load.until = now
        if self._began >= load.counted_from:
            load.latencies.append(now - self._began)
        self._answer = b""
        if now < load.until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._load.until:
            self._load.error = self._load.error or f"the connection was lost: {exc}"
        if not self.ended.done():
            self.ended.set_result(None)


async def run(
    port: int, path: str, body: bytes, connections: int, seconds: float, *, numbered: bool
) -> dict[str, float]:
    """Raises RuntimeError with the first answer that was not 204."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    load, loop = Load(head.encode() + body, seconds, numbered=numbered), asyncio.get_running_loop()
    made = await asyncio.gather(
        *(loop.create_connection(lambda: Connection(load), "127.0.0.1", port) for _ in range(connections))
    )
    began, busy = time.perf_counter(), time.process_time()
    async with asyncio.timeout(seconds + _PATIENCE):
        await asyncio.gather(*(connection.ended for _, connection in made))
    if load.error:
        raise RuntimeError(load.error.splitlines()[0])
    latencies = sorted(load.latencies)
    return {
        "rate": len(latencies) / seconds,
        "p50": percentile(latencies, 0.50) * 1000,
        "p99": percentile(latencies, 0.99) * 1000,
        "longest": latencies[-1] * 1000,
        "elapsed": (elapsed := time.perf_counter() - began),
        "busy": (time.process_time() - busy) / elapsed,
    }


if __name__ == "__main__":
    _, port, path, body, connections, seconds, *more = sys.argv
    uvloop.install()
    loaded = run(int(port), path, body.encode(), int(connections), float(seconds), numbered="numbered" in more)
    print(json.dumps(asyncio.run(loaded)))
