"""Accepting durably over HTTP, against the plainest aiohttp handler that stores nothing."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.daemon import Daemon
from benchmarks.figures import Spread, ratios
from benchmarks.machine import LOAD_CORE, SERVER_CORE
from benchmarks.options import Options, folder
from benchmarks.processes import Child, answer_of, free_port, module, wait_until_listening
from benchmarks.report import Goal, Section, Table
from benchmarks.rounds import interleaved

NAME = "accepting"

CONNECTIONS = (64, 1, 8, 256)
PATH = "/api/send/nowhere"
BODY = "message=Hello%2C+world&delay=3600"  # nothing becomes due meanwhile: this is about accepting alone
CHANNELS = {"nowhere": {"worker": "null", "executors": 16}}

TEXT = f"""\
`POST {PATH}` with the form `{BODY}` over kept connections, one request at a time on each. Vestnik validates, makes
ids, counts, and answers 204 when the row is on disk. The baseline is an aiohttp handler that does `await
request.post()` and answers 204: a dynamic route, uvloop, no access log, nothing stored. Both parse HTTP with
aiohttp; a head that comes again, byte for byte the same, Vestnik does not parse again. In the row “each head another”
every request has a header field of its own, so that none does. The row “log at info” is the shipped log level, with a
line for each request in the log file and on the console."""


@dataclass(frozen=True)
class Loaded:
    """One measurement: requests a second, latencies in milliseconds, shares of a core."""

    rate: float
    p50: float
    p99: float
    busy: float  # the load's own core
    served: float  # the server's


@dataclass(frozen=True)
class Server:
    port: int
    process: Child


def load(server: Server, connections: int, seconds: float, *, body: str = BODY, numbered: bool = False) -> Loaded:
    cpu = server.process.cpu_seconds()
    more = ["numbered"] if numbered else []
    command = module("http_load", server.port, PATH, body, connections, seconds, *more)
    found = answer_of(command, core=LOAD_CORE, patience=seconds + 60.0)
    served = (server.process.cpu_seconds() - cpu) / found["elapsed"]
    return Loaded(found["rate"], found["p50"], found["p99"], found["busy"], served)


def far_side(stack: ExitStack, place: Path, name: str, core: int) -> Server:
    """A server of `benchmarks.far_sides`, running until the stack ends."""
    port = free_port()
    process = stack.enter_context(Child(module("far_sides", name, port), log=place / f"{name}.log", core=core))
    wait_until_listening(port, process)
    return Server(port, process)


def daemon(stack: ExitStack, place: Path, log_level: str = "warning") -> Server:
    running = stack.enter_context(Daemon(place, CHANNELS, log_level=log_level))
    return Server(running.port, running.process)


def run(options: Options) -> Section:
    with folder(NAME) as place, ExitStack() as stack:
        plain = far_side(stack, place, "plain", SERVER_CORE)
        ours = daemon(stack, place / "vestnik")
        ceiling = load(far_side(stack, place, "nothing", SERVER_CORE), 64, options.seconds)
        rows = {f"{count}": measure(options, ours, plain, count) for count in CONNECTIONS}
        rows["64, each head another"] = measure(options, ours, plain, 64, numbered=True)
        talking = daemon(stack, place / "talking", log_level="info")
        rows["64, log at info"] = measure(options, talking, plain, 64)
    return section(rows, ceiling)


Pairs = tuple[list[Loaded], list[Loaded]]  # Vestnik's, the plain handler's


def measure(options: Options, ours: Server, plain: Server, connections: int, *, numbered: bool = False) -> Pairs:
    return interleaved(
        options.rounds,
        lambda: load(ours, connections, options.seconds, numbered=numbered),
        lambda: load(plain, connections, options.seconds, numbered=numbered),
    )


def section(rows: dict[str, Pairs], ceiling: Loaded) -> Section:
    columns = ["connections", "vestnik/s", "plain/s", "ratio", "vestnik p50, p99 (ms)", "plain p50, p99", "p99 ratio"]
    table = Table([*columns, "cores: server, load"], [_row(name, pairs) for name, pairs in rows.items()])
    note = (
        f"Against a server that parses nothing the load generator itself makes {ceiling.rate:,.0f} requests a second."
    )
    throughput, tail = _throughput(rows["64"]), _tail(rows["64"])
    return Section(
        "Accepting",
        [TEXT, table, note],
        [
            Goal("accepting, 64 connections, × plain aiohttp", "≥ 1.0", str(throughput), throughput.middle >= 1.0, WHY),
            Goal("accepting, p99 × plain aiohttp's", "≤ 3", str(tail), tail.middle <= 3.0),
        ],
    )


WHY = """\
On the same core Vestnik does what the plain handler does, checks the fields, makes ids, and writes two rows and two
counters in a transaction that it shares with the others. What it saves on the way is less than that costs."""


def _throughput(pairs: Pairs) -> Spread:
    ours, plain = pairs
    return ratios([one.rate for one in ours], [one.rate for one in plain])


def _tail(pairs: Pairs) -> Spread:
    ours, plain = pairs
    return ratios([one.p99 for one in ours], [one.p99 for one in plain])


def _row(name: str, pairs: Pairs) -> list[str]:
    ours, plain = pairs
    return [
        name,
        _middle([one.rate for one in ours], ",.0f"),
        _middle([one.rate for one in plain], ",.0f"),
        str(_throughput(pairs)),
        f"{_middle([one.p50 for one in ours])}, {_middle([one.p99 for one in ours])}",
        f"{_middle([one.p50 for one in plain])}, {_middle([one.p99 for one in plain])}",
        str(_tail(pairs)),
        f"{_middle([one.served for one in ours], '.0%')}, {_middle([one.busy for one in ours], '.0%')}",
    ]


def _middle(values: list[float], form: str = ".2f") -> str:
    return format(Spread.of(values).middle, form)
