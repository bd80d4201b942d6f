"""Runs the cases one after another, and writes what they found. `make bench` sets up what is needed and calls this.

Everything it starts ends with it, also when it is interrupted; nothing is kept but the report.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from benchmarks import machine
from benchmarks.cases import accepting, backlog, both, delivering, peers
from benchmarks.options import Options
from benchmarks.processes import Failed
from benchmarks.report import Goal, Section, document

CASES = {case.NAME: case for case in (accepting, delivering, both, backlog, peers)}
RESULTS = Path(__file__).parent / "RESULTS.md"
LONGEST = 75 * 60  # seconds; nothing should ever take so long, and nobody should find it running the next day


def main() -> int:
    arguments = _arguments()
    options = Options(rounds=arguments.rounds or (2 if arguments.quick else 5), quick=arguments.quick)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _leave)
    signal.alarm(LONGEST)
    try:
        facts = machine.description()
        sections = [_run(name, options) for name in arguments.only or CASES]
    finally:
        shutil.rmtree(machine.WORK, ignore_errors=True)
    text = document(facts, sections, commands=_commands(), rounds=options.rounds, seconds=options.seconds)
    if arguments.out or not (arguments.quick or arguments.only):
        (arguments.out or RESULTS).write_text(text)
    else:
        print(text)
    return int(any(section.failed for section in sections))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="How fast Vestnik is, beside what it is built on.")
    parser.add_argument("--only", action="append", choices=CASES, metavar="CASE", help=f"one of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, choices=range(1, 101), metavar="N", help="of each comparison (5)")
    parser.add_argument("--quick", action="store_true", help="two rounds, a second each, a tenth of the tasks")
    parser.add_argument("--out", type=Path, help="where to write; a whole run goes to RESULTS.md, any other is printed")
    return parser.parse_args()


def _commands() -> list[str]:
    """The one that was given, then those for each case."""
    given = shlex.join(sys.argv[1:])
    return [
        f"make bench BENCH='{given}'" if given else "make bench",
        *(f"make bench BENCH='--only {name}'" for name in CASES),
    ]


def _run(name: str, options: Options) -> Section:
    """A case that fails is told in the report, and the others go on: a whole run takes long."""
    began = time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        section: Section = CASES[name].run(options)
    except Exception as error:
        if not isinstance(error, Failed):
            traceback.print_exc()
        said = f"{error}" if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        section = Section(name.capitalize(), [f"Not measured: {said}"], [Goal(name, "measured", said, met=False)], True)
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return section


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


if __name__ == "__main__":
    sys.exit(main())
