"""Accepting and delivering at once on one core: neither may starve the other, and the event loop stays responsive."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import store
from benchmarks.cases.accepting import PATH, Server, load
from benchmarks.cases.delivering import NULL_CHANNEL
from benchmarks.daemon import Daemon, Metrics, delivery_rate, rate_between
from benchmarks.figures import Spread, ratios
from benchmarks.http_load import WARM_UP
from benchmarks.machine import LOAD_CORE
from benchmarks.options import Options, folder
from benchmarks.processes import Question, module
from benchmarks.report import Goal, Section, Table

NAME = "both"

BACKLOG = 300_000
CONNECTIONS = 64
CHANNELS = {"nowhere": NULL_CHANNEL}
DUE, LATER = "message=Hello%2C+world&delay=0", "message=Hello%2C+world&delay=3600"
FAIR = 0.25  # of its speed alone, at least; half a core each would be 0.5
LAG = "vestnik_event_loop_lag_seconds"
LAG_GOAL = 0.05  # seconds

TEXT = f"""\
Three measurements after another, on one core: accepting alone ({CONNECTIONS} connections, nothing due), delivering
alone (null worker, from a backlog), and both at once, when what is accepted is due at once and queues behind the
backlog. As they share a core, half of each alone is a fair share; less than a quarter counts as starved. The event
loop's lag is the daemon's own metric `{LAG}`, over the time of both."""


@dataclass(frozen=True)
class Round:
    accepting_alone: float
    delivering_alone: float
    accepting: float
    delivering: float
    p99: float  # milliseconds, of accepting while delivering
    lag: float | None  # seconds, the 99th percentile; None: no such metric


def run(options: Options) -> Section:
    with folder(NAME) as place:
        template = place / "backlog.db"
        store.fill(template, channel="nowhere", count=options.tasks(BACKLOG))
        rounds = [_round(template, options) for _ in range(options.rounds)]
    return _section(rounds)


def _round(template: Path, options: Options) -> Round:
    with folder(f"{NAME}/alone") as state, Daemon(state, CHANNELS) as daemon:
        alone = load(Server(daemon.port, daemon.process), CONNECTIONS, options.seconds, body=LATER).rate
    with folder(f"{NAME}/together") as state:
        store.copy(template, state / "vestnik.db")
        with Daemon(state, CHANNELS) as daemon:
            return _together(daemon, alone, options)


def _together(daemon: Daemon, alone: float, options: Options) -> Round:
    delivering_alone = delivery_rate(daemon, seconds=options.seconds / 2, total=options.tasks(BACKLOG))
    command = module("http_load", daemon.port, PATH, DUE, CONNECTIONS, options.seconds)
    with Question(command, core=LOAD_CORE) as loading:
        time.sleep(2 * WARM_UP)
        before = daemon.metrics()
        time.sleep(options.seconds - 2 * WARM_UP)
        after = daemon.metrics()
        found = loading.answer(60.0)
    lag = _lag(before, after)
    return Round(alone, delivering_alone, found["rate"], rate_between(before, after), found["p99"], lag)


def _lag(before: Metrics, after: Metrics) -> float | None:
    """The upper bound of the bucket in which the 99th percentile of what was observed in between lies."""
    earlier = before.buckets(LAG)
    counts = {bound: count - earlier.get(bound, 0.0) for bound, count in after.buckets(LAG).items()}
    if not counts or not max(counts.values()):
        return None
    return min(bound for bound, count in counts.items() if count >= 0.99 * max(counts.values()))


def _section(rounds: list[Round]) -> Section:
    accepting = ratios([r.accepting for r in rounds], [r.accepting_alone for r in rounds])
    delivering = ratios([r.delivering for r in rounds], [r.delivering_alone for r in rounds])
    rows = [
        ["accepting/s", *_columns([r.accepting for r in rounds], [r.accepting_alone for r in rounds]), str(accepting)],
        [
            "delivering/s",
            *_columns([r.delivering for r in rounds], [r.delivering_alone for r in rounds]),
            str(delivering),
        ],
    ]
    tail = f"While delivering, the 99th percentile of accepting was {Spread.of([r.p99 for r in rounds])} ms."
    starved = Goal(
        "accepting and delivering at once, each × alone",
        f"≥ {FAIR}",
        f"{accepting.middle:.2f} and {delivering.middle:.2f}",
        min(accepting.middle, delivering.middle) >= FAIR,
        "One of them takes more than its share of the core: see the table for which.",
    )
    return Section(
        "Both at once",
        [TEXT, Table(["", "both at once", "alone", "ratio"], rows), tail],
        [starved, _lag_goal([r.lag for r in rounds])],
    )


def _columns(together: list[float], alone: list[float]) -> list[str]:
    return [Spread.of(together).whole(), Spread.of(alone).whole()]


def _lag_goal(lags: list[float | None]) -> Goal:
    seen = [lag for lag in lags if lag is not None]
    what, wanted = "event loop lag under both, p99", f"≤ {LAG_GOAL * 1000:.0f} ms"
    if not seen:
        return Goal(what, wanted, "not measured", met=False, why=f"The daemon has no metric `{LAG}`.")
    worst = max(seen)
    return Goal(
        what, wanted, f"≤ {worst * 1000:g} ms in every round", worst <= LAG_GOAL, "Something holds the loop too long."
    )
