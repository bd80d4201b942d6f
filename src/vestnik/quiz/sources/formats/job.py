"""What there is to read: the format, where things stand in it, how it is encoded. Crosses to the reader as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vestnik.quiz.sources.formats.csv_rows import Shape
from vestnik.quiz.sources.formats.record import Pick, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An answer when `path` is None, else a file."""

    format: str  # a key of reading.ANSWERS, or of reading.FILES
    items: str = ""
    plan: Plan = field(default_factory=lambda: Plan({}))
    next: str | None = None
    encoding: str | None = None  # the operator's word
    claimed: str | None = None  # the far side's
    strings: str = "entities"  # how Open Trivia DB encodes its texts
    asked: int = 0  # questions, of Open Trivia DB: an answer with more is refused
    shape: Shape = field(default_factory=Shape)
    path: str | None = None
    category: str | None = None  # of all, where the format has none
    most_bytes: int = 0  # of a file that is read as a whole

    def of_answer(self, claimed: str | None) -> Job:
        return replace(self, claimed=claimed)

    def of_file(self, path: str) -> Job:
        return replace(self, path=path)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def from_json(values: Mapping[str, Any]) -> Job:
    plan, shape = values["plan"], values["shape"]
    fields = {name: Pick(**{**pick, "select": _select(pick["select"])}) for name, pick in plan["fields"].items()}
    layouts = shape["layouts"] and {int(width): layout for width, layout in shape["layouts"].items()}
    return Job(**{**values, "plan": Plan(fields, plan["values"]), "shape": Shape(**{**shape, "layouts": layouts})})


def _select(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
