"""A million waiting tasks: accepting and claiming hardly slow down, a restart is quick, memory stays small."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import store
from benchmarks.cases.accepting import Server, load
from benchmarks.cases.delivering import NULL_CHANNEL
from benchmarks.daemon import Daemon, delivery_rate, first_delivery
from benchmarks.figures import Spread, ratios
from benchmarks.options import Options, folder
from benchmarks.report import Goal, Section, Table
from benchmarks.rounds import interleaved

NAME = "backlog"

FEW, MIDDLE, MANY = 1_000, 50_000, 1_000_000
CHANNEL = "nowhere"
CHANNELS = {CHANNEL: NULL_CHANNEL}
CLAIMS_OF, CLAIMS = 100, 10  # of a thousand, all are claimed
GOAL = 0.8
LONGEST_START, MOST_MEMORY = 5.0, 150.0  # seconds, MB

WHY_SPEED = (
    "The indexes of a large table no longer fit into SQLite's page cache, and each insert touches several of them."
)
WHY_START = "What is read at start grows with what is waiting, or the log of a killed daemon takes long to read back."
WHY_MEMORY = "Most of it is code and libraries: the difference to an idle daemon is in the table."


TEXT = """\
The same with {many:,} tasks waiting and with {few:,}. Accepting: two daemons side by side, whose channel is paused
so that the backlog stays. Claiming: the store alone, {claims} claims of {of} one after another, each in its own
commit. Delivering: from that backlog to the null worker, beside a backlog of {middle:,}. Then the daemon is killed
with SIGKILL in the middle of it and started again; the time runs from the start of the process to the first delivery
that is on disk."""


@dataclass(frozen=True)
class Memory:
    """Peaks, in MB, of daemons after accepting with few and with many waiting, and after delivering from many."""

    few: float
    many: float
    delivering: float


def run(options: Options) -> Section:
    sizes = {"few": FEW, "middle": options.tasks(MIDDLE), "many": options.tasks(MANY)}
    with folder(NAME) as place:
        templates = {name: place / f"{name}.db" for name in sizes}
        for name, path in templates.items():
            store.fill(path, channel=CHANNEL, count=sizes[name])
        accepting, few, many = _accepting(place, templates["few"], templates["many"], options)
        claiming = _claiming(place, templates["few"], templates["many"], options)
        delivering, restarts, peak = _delivering(templates["middle"], templates["many"], options)
    pairs = {"accepting, 64 connections": accepting, f"claiming {CLAIMS_OF} in a commit": claiming}
    return _section(sizes, pairs, delivering, Spread.of(restarts), Memory(few, many, peak))


Pair = tuple[list[float], list[float]]  # a rate with many waiting, and with few


def _accepting(place: Path, few: Path, many: Path, options: Options) -> tuple[Pair, float, float]:
    """The rates, and the two daemons' peaks of memory. The channel is paused, so that the backlog stays."""
    for template, name in ((few, "few"), (many, "many")):
        store.copy(template, place / name / "vestnik.db")
        store.pause(place / name / "vestnik.db", CHANNEL)
    with Daemon(place / "few", CHANNELS) as small, Daemon(place / "many", CHANNELS) as large:

        def accept(daemon: Daemon) -> float:
            return load(Server(daemon.port, daemon.process), 64, options.seconds).rate

        rates = interleaved(options.rounds, lambda: accept(large), lambda: accept(small))
        return rates, small.process.peak_memory(), large.process.peak_memory()


def _claiming(place: Path, few: Path, many: Path, options: Options) -> Pair:
    large = place / "claimed.db"
    store.copy(many, large)

    def claim_few() -> float:
        small = place / "claimed-few.db"
        store.copy(few, small)
        return claim(small)

    def claim(path: Path) -> float:
        return store.claim_rate(path, CHANNEL, claims_of=CLAIMS_OF, times=CLAIMS)

    def often(measure: Callable[[], float]) -> float:
        return statistics.median(measure() for _ in range(5))  # each takes a few milliseconds only

    return interleaved(options.rounds, lambda: often(lambda: claim(large)), lambda: often(claim_few))


def _delivering(middle: Path, many: Path, options: Options) -> tuple[Pair, list[float], float]:
    """The rates, the seconds from start to first delivery after a kill -9, the peak of memory."""
    restarts, peaks = [], []

    def deliver_many() -> float:
        with folder(f"{NAME}/delivered") as state:
            store.copy(many, state / "vestnik.db")
            with Daemon(state, CHANNELS) as daemon:
                rate = delivery_rate(daemon, seconds=options.seconds, total=options.tasks(MANY))
                daemon.process.kill()
                restarts.append(_restart(daemon))
                peaks.append(daemon.process.peak_memory())
        return rate

    def deliver_fewer() -> float:
        with folder(f"{NAME}/delivered-few") as state:
            store.copy(middle, state / "vestnik.db")
            with Daemon(state, CHANNELS) as daemon:
                return delivery_rate(daemon, seconds=options.seconds, total=options.tasks(MIDDLE))

    return interleaved(options.rounds, deliver_many, deliver_fewer), restarts, max(peaks)


def _restart(daemon: Daemon) -> float:
    began = time.perf_counter()
    daemon.start()
    return first_delivery(daemon).at - began


def _section(
    sizes: dict[str, int], pairs: dict[str, Pair], delivering: Pair, restart: Spread, memory: Memory
) -> Section:
    few, middle, many = (f"{sizes[name]:,}" for name in ("few", "middle", "many"))
    rows = [_row(f"{name}, beside {few}", pair) for name, pair in pairs.items()]
    rows.append(_row(f"delivering, beside {middle}", delivering))
    told = f"""\
From start to first delivery: {restart} s. Peak of memory: {memory.few:.0f} MB after accepting with {few} waiting,
{memory.many:.0f} MB with {many}, and {memory.delivering:.0f} MB after a restart and a delivery with {many}."""
    text = TEXT.format(**sizes, claims=CLAIMS, of=CLAIMS_OF)
    table = Table(["tasks/s", f"{many} waiting", "fewer", "ratio"], rows)
    speeds = [_speed_goal(f"{name}, {many} waiting × {few}", ratios(*pair)) for name, pair in pairs.items()]
    return Section("Backlog", [text, table, told], [*speeds, _start_goal(many, restart), _memory_goal(many, memory)])


def _row(name: str, pair: Pair) -> list[str]:
    of_many, of_fewer = pair
    return [name, Spread.of(of_many).whole(), Spread.of(of_fewer).whole(), str(ratios(of_many, of_fewer))]


def _speed_goal(what: str, ratio: Spread) -> Goal:
    return Goal(what, f"≥ {GOAL}", str(ratio), ratio.middle >= GOAL, WHY_SPEED)


def _start_goal(many: str, restart: Spread) -> Goal:
    what, wanted = f"first delivery after kill -9, {many} waiting", f"≤ {LONGEST_START:g} s"
    return Goal(what, wanted, f"{restart} s", restart.highest <= LONGEST_START, WHY_START)


def _memory_goal(many: str, memory: Memory) -> Goal:
    most = max(memory.many, memory.delivering)
    what, wanted = f"peak of memory, {many} waiting", f"≤ {MOST_MEMORY:g} MB"
    return Goal(what, wanted, f"{most:.0f} MB", most <= MOST_MEMORY, WHY_MEMORY)
