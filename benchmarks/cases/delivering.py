"""Delivering a backlog: from waiting on disk to settled on disk, against the libraries that the workers stand on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.bare_clients import PHONE, RECIPIENT, SENDER, SUBJECT
from benchmarks.cases.accepting import far_side
from benchmarks.daemon import Daemon, delivery_rate
from benchmarks.figures import Spread, ratios
from benchmarks.machine import LOAD_CORE, SERVER_CORE
from benchmarks.options import Options, folder
from benchmarks.processes import HOST, answer_of, module
from benchmarks.report import Goal, Section, Table
from benchmarks.rounds import interleaved

NAME = "delivering"

BACKLOG = 100_000
NULL_EXECUTORS = 256
LEVELS = ("warning", "info")  # the latter is as shipped, and writes two lines for each delivery
NULL_CHANNEL = {"worker": "null", "executors": NULL_EXECUTORS}

TEXT = """\
A backlog of {backlog:,} tasks, one message each, is there when the daemon starts. Counted are tasks whose end is on
disk, with claim, journal row and counters, from the first look that sees one until the last. The far sides are lean
servers on loopback that say yes at once. The baselines deliver the same requests and mails with the libraries that
the workers use, as many at once, on the same core and event loop, and keep nothing: aiohttp's client over one
session, and aiosmtplib's `sendmail(bytes)` over connections opened before. The null worker has no baseline here; the
section on peers has one."""


@dataclass(frozen=True)
class Way:
    """A way out. `far_side` names the server and the bare client; `goal` is the least share of that client's rate."""

    name: str
    far_side: str
    at_once: int
    recipient: str
    goal: float
    why: str

    def channel(self, port: int) -> Mapping[str, Any]:
        params = _SMS if self.far_side == "gateway" else _MAIL
        where = {"url": f"http://{HOST}:{port}/cgi-bin/sendsms"} if self.far_side == "gateway" else {"port": port}
        worker = "sms" if self.far_side == "gateway" else "email"
        return {"worker": worker, "executors": self.at_once, "params": {**params, **where}}


_SMS = {"gateway": "kannel", "username": "bench", "password": "bench", "from": "Duty", "to": [PHONE]}
_MAIL = {"host": HOST, "tls": "none", "from": SENDER, "to": [RECIPIENT], "subject": SUBJECT, "helo": "localhost"}

_MAIL_SERVER = "mail server (email), {} connections, × bare aiosmtplib"
_COMPOSED = """\
Beside the conversation itself, each mail is composed, and the final dot is sent apart, so that a connection lost before
it is known to have taken no mail along."""

WAYS = (
    Way(
        "HTTP gateway (sms, kannel), 32 at once, × bare aiohttp client",
        "gateway",
        32,
        PHONE,
        0.6,
        """\
Beside the request itself, each task is claimed and settled on disk. As no more is claimed than executors wait, 32 of
them share at most 32 tasks a commit, and each waits for the commit of its claim before it can send.""",
    ),
    Way(_MAIL_SERVER.format(32), "mail", 32, RECIPIENT, 0.8, _COMPOSED),
    Way(
        _MAIL_SERVER.format(8),
        "mail",
        8,
        RECIPIENT,
        0.8,
        f"""\
{_COMPOSED} As no more is claimed than executors wait, few of 8 share a commit, which costs as much for a few as for
many; each waits for the commit of its claim before it can send. The row with 32 shows what more of them do: a channel
whose server allows more connections is to be given them.""",
    ),
)


def run(options: Options) -> Section:
    with folder(NAME) as place:
        template = place / "null.db"
        store.fill(template, channel="out", count=options.tasks(BACKLOG))
        null = {
            level: [_drained(template, NULL_CHANNEL, options, level) for _ in range(options.rounds)] for level in LEVELS
        }
        pairs = {way: _compare(way, place / f"{way.far_side}-{way.at_once}", options) for way in WAYS}
    name = f"null, {NULL_EXECUTORS} executors, log at"
    rows = [[f"{name} {level}", Spread.of(rates).whole(), "–", "–"] for level, rates in null.items()]
    rows += [_row(way, *found) for way, found in pairs.items()]
    table = Table(["way out", "vestnik/s", "bare client/s", "ratio"], rows)
    return Section("Delivering", [TEXT.format(backlog=options.tasks(BACKLOG)), table], _goals(pairs))


def _drained(template: Path, channel: Mapping[str, Any], options: Options, log_level: str = "warning") -> float:
    with folder(f"{NAME}/daemon") as state:
        store.copy(template, state / "vestnik.db")
        with Daemon(state, {"out": channel}, log_level=log_level) as daemon:
            return delivery_rate(daemon, seconds=options.seconds, total=options.tasks(BACKLOG))


Rates = tuple[list[float], list[float]]  # ours, the bare client's


def _compare(way: Way, place: Path, options: Options) -> Rates:
    place.mkdir()
    template = place / "template.db"
    store.fill(template, channel="out", recipient=way.recipient, count=options.tasks(BACKLOG))
    with ExitStack() as stack:
        sink = far_side(stack, place, way.far_side, LOAD_CORE)
        channel = way.channel(sink.port)
        command = module("bare_clients", way.far_side, sink.port, way.at_once, options.seconds)

        def bare() -> float:
            rate: float = answer_of(command, core=SERVER_CORE, patience=60.0)["rate"]
            return rate

        return interleaved(options.rounds, lambda: _drained(template, channel, options), bare)


def _row(way: Way, ours: list[float], bare: list[float]) -> list[str]:
    return [way.name, Spread.of(ours).whole(), Spread.of(bare).whole(), str(ratios(ours, bare))]


def _goals(pairs: Mapping[Way, Rates]) -> list[Goal]:
    return [
        Goal(way.name, f"≥ {way.goal:g}", str(ratio := ratios(*found)), ratio.middle >= way.goal, way.why)
        for way, found in pairs.items()
    ]
