"""How fast questions are taken in, and whether the daemon goes on answering meanwhile.

    python -m benchmarks.screening                                 # made-up questions
    python -m benchmarks.screening --collection FOLDER             # OpenTriviaQA's `#Q` files
    python -m benchmarks.screening --outcomes FOLDER               # what screening says of whole collections

One process does what the daemon does, an application with its routes and an intake on one SQLite file, on the first
core; another asks `GET /api/ping` a hundred times a second from the last one. A million hashes of past questions are
stored before, so that every look-up goes through an index of the size that years of service give it.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import multiprocessing
import os
import random
import resource
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from benchmarks.figures import percentile
from benchmarks.machine import LOAD_CORE, SERVER_CORE, WORK
from vestnik.delivery.build import ConfiguredChannel, DeliveryPart
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.workers.catalogue import find_worker
from vestnik.quiz.intake import Intake, TakeReport
from vestnik.quiz.model import Candidate, Origin
from vestnik.quiz.screening.rules import RULES
from vestnik.quiz.sources.formats.csv_rows import Shape
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.reading import read_file
from vestnik.quiz.sources.formats.record import FormatError, Pick, Plan
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.redaction import Redactor
from vestnik.storage.database import Connection, Database
from vestnik.storage.migrations.upgrade import upgrade
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, AuthSettings, Tokens

CHUNK = 1000  # candidates that a source hands over at a time
PING_EVERY = 0.01  # seconds
MOST = 1 << 30  # bytes of one file


def main() -> None:
    arguments = _arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.outcomes:
            asyncio.run(_outcomes(arguments.outcomes))
        else:
            _speed(arguments)
    finally:
        shutil.rmtree(WORK / "screening", ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.screening", description="How fast questions are taken in.")
    parser.add_argument(
        "--collection", type=Path, help="a folder of OpenTriviaQA's files; made-up questions without it"
    )
    parser.add_argument("--questions", type=int, default=50_000, help="how many are made up (50,000)")
    parser.add_argument("--hashes", type=int, default=1_000_000, help="of past questions, stored before (1,000,000)")
    parser.add_argument("--outcomes", type=Path, help="a folder of collections; prints the table of docs/quiz.md")
    return parser.parse_args()


# -- speed


@dataclass(frozen=True, slots=True)
class Taken:
    questions: int
    seconds: float
    report: TakeReport
    begin_mib: float  # resident, after the first tenth
    end_mib: float


def _speed(arguments: argparse.Namespace) -> None:
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, arguments), daemon=True)
    server.start()
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        port = here.recv()
        idle = _ping(port, until=lambda: False, seconds=3.0)
        here.send("go")
        busy = _ping(port, until=here.poll, seconds=600.0)
        taken: Taken = here.recv()
    finally:
        server.terminate()
        server.join()
    _print(arguments, taken, idle, busy)


def _print(arguments: argparse.Namespace, taken: Taken, idle: list[float], busy: list[float]) -> None:
    report = taken.report
    print(f"{taken.questions:,} questions beside {arguments.hashes:,} hashes: {taken.questions / taken.seconds:,.0f}/s")
    print(f"ready {report.ready:,}, raw {report.raw:,}, refused {report.refused:,}, repaired {report.fixed:,}")
    print(f"resident after the first tenth {taken.begin_mib:.0f} MiB, at the end {taken.end_mib:.0f} MiB")
    for name, times in (("idle", idle), ("meanwhile", busy)):
        ordered = sorted(times)
        figures = ", ".join(f"p{share * 100:g} {percentile(ordered, share) * 1000:.1f}" for share in (0.5, 0.9, 0.99))
        print(f"GET /api/ping, {name}: {len(ordered):,} times, in ms: {figures}, highest {ordered[-1] * 1000:.1f}")


def _ping(port: int, *, until: Any, seconds: float) -> list[float]:
    """Seconds that each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and not until():
        began = time.perf_counter()
        connection.request("GET", "/api/ping")
        response = connection.getresponse()
        response.read()
        times.append(time.perf_counter() - began)
        if response.status != 204:
            raise RuntimeError(f"ping was answered {response.status}")
        time.sleep(max(0.0, PING_EVERY - times[-1]))
    connection.close()
    return times


def _serve(pipe: Pipe, arguments: argparse.Namespace) -> None:
    os.sched_setaffinity(0, {SERVER_CORE})
    asyncio.run(_served(pipe, arguments))


async def _served(pipe: Pipe, arguments: argparse.Namespace) -> None:
    folder = WORK / "screening"
    folder.mkdir(exist_ok=True)
    database = Database(folder / "vestnik.db")
    await database.open()
    await database.maintain(upgrade)
    await database.maintain(lambda c: _fill(c, arguments.hashes))
    runner = web.AppRunner(_application(database, folder))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    await asyncio.to_thread(pipe.recv)
    pipe.send(await _take(database, arguments))
    await asyncio.sleep(60)  # until it is ended


def _fill(connection: Connection, count: int) -> None:
    connection.execute("BEGIN")
    rows = ((random.randbytes(32), f"source-{number % 7}", 1.7e9, str(number // 5)) for number in range(count))
    statement = (
        "INSERT INTO past_question (hash_version, hash, source, exported_at, batch_id) "
        "SELECT 1, column1, column2, column3, column4 FROM (VALUES (?, ?, ?, ?))"
    )
    connection.executemany(statement, rows)
    connection.execute("UPDATE question_count SET count = ? WHERE status = 'exported'", (count,))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _application(database: Database, folder: Path) -> web.Application:
    settings = AuthSettings()
    auth = Auth(settings, Tokens(settings.jwt, "x" * 64), KeyRing(database))
    nowhere = ConfiguredChannel(
        ChannelSettings.model_validate({"worker": "null"}), find_worker("null").Settings.model_validate({})
    )
    part = DeliveryPart(
        {"nowhere": nowhere},
        durable=database,
        memory=database,
        ceiling=0,
        maintenance=MaintenanceFlag(folder),
        auth=auth,
        redact=Redactor([]),
        keep=timedelta(days=1),
        metrics=CollectorRegistry(),
    )
    return build_application(auth, part.routes())


async def _take(database: Database, arguments: argparse.Namespace) -> Taken:
    given = await asyncio.to_thread(_given, arguments)
    report, intake = TakeReport(), Intake(database)
    origin = Origin(name="benchmark", language="en")
    began, begin_mib = time.perf_counter(), 0.0
    for start in range(0, len(given), CHUNK):
        report.add(await intake.take(origin, given[start : start + CHUNK]))
        if not begin_mib and start >= len(given) / 10:
            begin_mib = _resident_mib()
    return Taken(len(given), time.perf_counter() - began, report, begin_mib, _resident_mib())


def _given(arguments: argparse.Namespace) -> list[Candidate]:
    return list(_collection(arguments.collection) if arguments.collection else _made_up(arguments.questions))


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeiou"]


def _made_up(count: int) -> Iterator[Candidate]:
    """Questions of words that nobody knows, as long as real ones, every tenth with something for screening."""
    chance = random.Random(4)
    for number in range(count):
        words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4))) for _ in range(chance.randint(6, 20))]
        answers = [" ".join(chance.choices(words, k=2)).title() for _ in range(4)]
        if number % 10 == 0:
            answers[3] = "None of these"
        yield Candidate(
            text=f"Which {' '.join(words)}?", correct=(answers[0],), incorrect=tuple(answers[1:]), category="Made up"
        )


def _collection(folder: Path) -> Iterator[Candidate]:
    for path in sorted(folder.iterdir()):
        if not path.suffix and path.name != "LICENSE":
            yield from _candidates(Job(format="hash-q", path=str(path)))


def _candidates(job: Job) -> Iterable[Candidate]:
    return (found for found in read_file(job) if isinstance(found, Candidate))


# -- outcomes


@dataclass(frozen=True, slots=True)
class Collection:
    """Files of one source, in one of the formats that it comes in."""

    name: str
    pattern: str
    job: Job
    language: str | None = None


_QUIZ = {"text": Pick("question"), "explanation": Pick("anecdote")}
_ACCENTED = {**_QUIZ, "correct": Pick('"réponse"'), "options": Pick("propositions")}
_XML = {**_QUIZ, "correct": Pick("réponse"), "options": Pick("propositions/proposition")}
_ITEMS = "having(@, 'question')"
_ROW = ("text", "correct", "incorrect", "incorrect", "incorrect", "-", "explanation", "references")
_SHAPE = Shape(delimiter=";", quote=None, layouts={9: ("external_id", *_ROW), 10: ("external_id", "language", *_ROW)})
_RUBQ = {"text": Pick("question_text"), "correct": Pick("answer_text"), "external_id": Pick("uid")}

COLLECTIONS = (
    Collection("opentdb", "opentdb/*.json", Job(format="opentdb"), "en"),
    Collection("opentriviaqa", "opentriviaqa/[a-z]*", Job(format="hash-q"), "en"),
    Collection("openquizzdb csv", "openquizzdb/*.csv", Job(format="csv", shape=_SHAPE, plan=Plan({})), "fr"),
    Collection("openquizzdb txt", "openquizzdb/*.txt", Job(format="openquizzdb"), "fr"),
    Collection("openquizzdb json", "openquizzdb/*.json", Job(format="json", items=_ITEMS, plan=Plan(_ACCENTED)), "fr"),
    Collection("openquizzdb xml", "openquizzdb/*.xml", Job(format="xml", items=".//contenu", plan=Plan(_XML)), "fr"),
    Collection("openquizzdb yaml", "openquizzdb/*.yaml", Job(format="yaml", items=_ITEMS, plan=Plan(_ACCENTED)), "fr"),
    Collection("rubq", "RuBQ/*.json", Job(format="json", items="[]", plan=Plan(_RUBQ)), "ru"),
)
_COLUMNS = ("given", "unreadable", "ready", "of them repaired", "raw", "refused", "demoted")


async def _outcomes(folder: Path) -> None:
    """Each collection beside an empty database, then all of them one after another into the same."""
    rows, by_rule, everything, left_out = [], {}, [], 0
    for collection in COLLECTIONS:
        given, unreadable = _read(folder, collection)
        report = await _alone([(collection, given)])
        rows.append((collection.name, _figures(report, len(given), unreadable)))
        by_rule[collection.name] = report
        everything.append((collection, given))
        left_out += unreadable
    report = await _alone(everything)
    rows.append(("all, one after another", _figures(report, sum(len(given) for _, given in everything), left_out)))
    _print_outcomes(rows)
    _print_rules(by_rule)


def _read(folder: Path, collection: Collection) -> tuple[list[Candidate], int]:
    given: list[Candidate] = []
    unreadable = 0
    for path in sorted(folder.glob(collection.pattern)):
        try:
            for found in read_file(replace(collection.job, path=str(path), most_bytes=MOST)):
                if isinstance(found, Candidate):
                    given.append(found)
                else:
                    unreadable += 1
        except FormatError:
            unreadable += 1
    return given, unreadable


async def _alone(collections: list[tuple[Collection, list[Candidate]]]) -> TakeReport:
    database = Database(None)
    await database.open()
    await database.maintain(upgrade)
    report = TakeReport()
    for collection, given in collections:
        origin = Origin(name=collection.name, licence="CC-BY-SA-4.0", language=collection.language)
        report.add(await Intake(database).take(origin, given))
    await database.close()
    return report


def _figures(report: TakeReport, given: int, unreadable: int) -> tuple[int, ...]:
    return given, unreadable, report.ready, report.fixed, report.raw, report.refused, report.demoted


def _print_outcomes(rows: list[tuple[str, tuple[int, ...]]]) -> None:
    print("| collection |", " | ".join(_COLUMNS), "|\n| --- |", "--: |" * len(_COLUMNS))
    for name, figures in rows:
        print(f"| {name} |", " | ".join(f"{figure:,}" for figure in figures), "|")


def _print_rules(by_rule: dict[str, TakeReport]) -> None:
    print("\n| rule |", " | ".join(by_rule), "|\n| --- |", "--: |" * len(by_rule))
    for rule in RULES:
        figures = [
            found.get(rule.name, 0)
            for report in by_rule.values()
            for found in ({**report.refused_by_rule, **report.raw_by_rule, **report.fixed_by_rule},)
        ]
        if any(figures):
            print(f"| `{rule.name}` |", " | ".join(f"{figure:,}" if figure else "" for figure in figures), "|")


if __name__ == "__main__":
    main()
