"""The same work as the peers': enqueue durable tasks that do nothing, and execute them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import store
from benchmarks.cases.accepting import BODY, daemon, load
from benchmarks.cases.delivering import BACKLOG, NULL_CHANNEL, NULL_EXECUTORS
from benchmarks.contenders import PEERS, Peer
from benchmarks.daemon import Daemon, delivery_rate
from benchmarks.figures import Spread, ratios
from benchmarks.options import Options, folder
from benchmarks.processes import Failed, answer_of, module
from benchmarks.report import Goal, Section, Table

NAME = "peers"

IN_PROCESS, OVER_HTTP, EXECUTING = "Vestnik, in process", "Vestnik, over HTTP", "Vestnik, the daemon"
TIMES = 10.0

TEXT = f"""\
Everybody enqueues a task with a short text for some seconds, then its own worker, started anew, executes what was
enqueued; the task does nothing. One task an enqueue: what some offer for many at once is not used, nor is it by
Vestnik. Enqueued counts when the call returns; executed when the peer's task has run (it writes one byte to be
counted), for Vestnik when the end is on disk. Nobody is pinned to a core here: workers and services share both.
Vestnik in process is its delivery service without HTTP, 64 coroutines; over HTTP it is `POST /api/send` with
`{BODY}`, 64 connections; executing is the daemon with {NULL_EXECUTORS} executors of the null worker and a backlog of
{BACKLOG:,}."""

WHY = """\
The faster peers share a sync among all who wait for one, as Vestnik's commits do, so the disk limits nobody much, and
what counts is the work for each task. Vestnik's is larger: a message and a task with recipient, times and state in
indexed tables, counters, and an attempt in the journal, all of which can be looked up; and it is done in Python in one
process, while their services are written in C or Erlang and their workers use both cores."""


@dataclass
class Found:
    """Tasks a second, by contender and round; and why a contender could not be measured."""

    enqueued: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    executed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    problems: dict[str, str] = field(default_factory=dict)


def run(options: Options) -> Section:
    found = Found()
    with folder(f"{NAME}-backlog") as place:
        backlog = place / "vestnik.db"
        store.fill(backlog, channel="nowhere", count=options.tasks(BACKLOG))
        for _ in range(options.rounds):
            for peer in PEERS:
                _measure(peer, found, options.seconds)
            found.enqueued[IN_PROCESS].append(_enqueue_in_process(options.seconds))
            found.enqueued[OVER_HTTP].append(_enqueue_over_http(options.seconds))
            found.executed[EXECUTING].append(_execute(backlog, options))
    return _section(found)


def _measure(peer: Peer, found: Found, seconds: float) -> None:
    """One that cannot be measured is left out from then on, and the report says why."""
    if peer.name in found.problems:
        return
    try:
        with folder(NAME) as place:
            enqueued, executed = peer.measure(place, seconds)
    except Failed as error:
        found.problems[peer.name] = str(error)
        found.enqueued.pop(peer.name, None)
        found.executed.pop(peer.name, None)
        return
    found.enqueued[peer.name].append(enqueued)
    found.executed[peer.name].append(executed)


def _enqueue_in_process(seconds: float) -> float:
    with folder(NAME) as place:
        command = module("vestnik_inside", place / "vestnik.db", seconds)
        rate: float = answer_of(command, patience=seconds + 60.0)["rate"]
        return rate


def _enqueue_over_http(seconds: float) -> float:
    with folder(NAME) as place, ExitStack() as stack:
        return load(daemon(stack, place), 64, seconds).rate


def _execute(backlog: Path, options: Options) -> float:
    with folder(NAME) as place:
        store.copy(backlog, place / "vestnik.db")
        with Daemon(place, {"nowhere": NULL_CHANNEL}, core=None) as running:
            return delivery_rate(running, seconds=options.seconds, total=options.tasks(BACKLOG))


def _section(found: Found) -> Section:
    rows = [_row(name, found) for name in (IN_PROCESS, OVER_HTTP, EXECUTING, *(peer.name for peer in PEERS))]
    settings = [[p.name, p.durability, p.enqueueing, p.executing] for p in PEERS if p.name not in found.problems]
    return Section(
        "Peers",
        [
            TEXT,
            Table(["", "enqueued/s", "executed/s"], rows),
            Table(["peer", "durability", "enqueueing", "executing"], settings),
        ],
        [
            _goal("enqueueing in process", found.enqueued, IN_PROCESS, TIMES),
            _goal("enqueueing over HTTP", found.enqueued, OVER_HTTP, 1.0),
            _goal("executing", found.executed, EXECUTING, TIMES),
        ],
    )


def _row(name: str, found: Found) -> list[str]:
    if name in found.problems:
        return [name, f"not measured: {found.problems[name]}", ""]
    columns = (found.enqueued.get(name), found.executed.get(name))
    return [name, *("–" if rates is None else Spread.of(rates).whole() for rates in columns)]


def _goal(what: str, rates: dict[str, list[float]], ours: str, times: float) -> Goal:
    measured = {peer.name: rates[peer.name] for peer in PEERS if peer.name in rates}
    if not measured:
        return Goal(what, f"≥ {times:g} × the best peer", "no peer could be measured", met=False)
    best = max(measured, key=lambda name: statistics.median(measured[name]))
    ratio = ratios(rates[ours], measured[best])
    return Goal(f"{what} × the best peer ({best})", f"≥ {times:g}", str(ratio), ratio.middle >= times, WHY)
