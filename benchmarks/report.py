"""What a case finds, and how it reads in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """`why` is told when it was missed: the reason, as far as it is known."""

    what: str
    wanted: str
    measured: str
    met: bool
    why: str = ""


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        return "\n".join(_line(cells) for cells in (self.columns, ["---"] * len(self.columns), *self.rows))


@dataclass(frozen=True)
class Section:
    """One case. `parts` are paragraphs and tables in the order they are read."""

    title: str
    parts: Sequence[str | Table]
    goals: Sequence[Goal] = field(default_factory=tuple)
    failed: bool = False  # it could not be measured

    def __str__(self) -> str:
        missed = [f"**Missed: {goal.what}.** {goal.why}" for goal in self.goals if not goal.met and goal.why]
        prose = [str(part) if isinstance(part, Table) else wrapped(part) for part in self.parts]
        return _paragraphs([f"## {self.title}", *prose, *map(wrapped, missed)])


INTRODUCTION = """\
What each goal is, and what came out. Absolute figures may be compared within one table only: the machine is shared,
and its speed drifts by a factor of two within hours. Ratios are taken round by round, between runs that followed
each other directly; given is their median, and in brackets the lowest and the highest."""

DURABILITY = """\
Vestnik answers, and counts a task as executed, when SQLite has it on disk: WAL with `synchronous=FULL`, an fdatasync
in every commit. All databases of a run are on the disk named above. Servers run on the first core, load and far sides
on the last, unless a section says otherwise. The daemon is the real one, `vestnik serve`, with its log at `warning`."""


def document(
    facts: Mapping[str, str], sections: Sequence[Section], *, commands: Sequence[str], rounds: int, seconds: float
) -> str:
    took = f"{_counted(rounds, 'round')}; a measurement takes {_counted(seconds, 'second')}"
    return _paragraphs(
        [
            "# Results",
            f"Written by `{commands[0]}`: {took}.",
            wrapped(INTRODUCTION),
            str(summary(sections)),
            "## The machine",
            "\n".join(f"- {name}: {value}" for name, value in facts.items()),
            wrapped(DURABILITY),
            *map(str, sections),
            "## Again",
            "```\n" + "\n".join(commands) + "\n```",
        ]
    )


def summary(sections: Iterable[Section]) -> Table:
    rows = [
        [goal.what, goal.wanted, goal.measured, "yes" if goal.met else "**no**"]
        for section in sections
        for goal in section.goals
    ]
    return Table(["what", "goal", "measured", "met"], rows)


def wrapped(prose: str) -> str:
    return textwrap.fill(" ".join(prose.split()), 120, break_long_words=False, break_on_hyphens=False)


def _counted(number: float, unit: str) -> str:
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _paragraphs(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"
