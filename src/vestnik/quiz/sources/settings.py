"""What an operator writes about every source, whatever its kind."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from vestnik.quiz.model import Origin
from vestnik.quiz.screening import rules
from vestnik.quiz.sources.formats.decoding import known_encoding
from vestnik.quiz.sources.formats.record import FIELDS, Plan
from vestnik.scheduler.settings import ScheduleSettings
from vestnik.settings.problems import did_you_mean
from vestnik.settings.values import Duration, Switch


def _spdx(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.+-]{2,64}", value):
        raise ValueError("an SPDX id such as CC-BY-SA-4.0")
    return value


def _language(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}", value):
        raise ValueError("a language such as en or ru (ISO 639)")
    return value


def _encoding(value: str) -> str:
    name = known_encoding(value)
    if name is None:
        raise ValueError("an encoding such as utf-8, windows-1251 or koi8-r")
    return name


Language = Annotated[str, AfterValidator(_language)]
Encoding = Annotated[str, AfterValidator(_encoding)]


class SourceSettings(ScheduleSettings):
    """Base of every kind's section: when it runs, and what is true of all its questions."""

    kind: str
    url: str
    time_limit: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(hours=1)  # of one run
    licence: Annotated[str, AfterValidator(_spdx)] | None = None
    attribution: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    language: Language | None = None  # of the questions that do not say
    encoding: Encoding | None = None  # for far sides and files that say the wrong one, or none
    entities: Switch = True  # false: `&amp;` in its texts is meant, and stays
    screening: dict[str, Switch] = Field(default_factory=dict)  # rules by name or code; false switches off
    values: dict[str, dict[str, str]] = Field(default_factory=dict)  # by field: what is found, and what it means

    @field_validator("screening")
    @classmethod
    def _known_rules(cls, switches: dict[str, bool]) -> dict[str, bool]:
        for name in rules.not_switchable(switches):
            if rules.find(name) is not None:
                raise ValueError(f"rules that can be switched off; {name} cannot")
            known = [rule.name for rule in rules.RULES if not rule.always]
            raise ValueError(f"names of rules such as R08-all-of-the-above; {name} is none{did_you_mean(name, known)}")
        return switches

    @field_validator("values")
    @classmethod
    def _known_fields(cls, values: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for name in values:
            if name not in FIELDS:
                raise ValueError(f"fields of a question; {name} is none{did_you_mean(name, FIELDS)}")
        return values

    def origin(self, name: str) -> Origin:
        switches = dict(self.screening)
        if not self.entities:
            switches.setdefault(rules.ENTITIES.code, False)
        return Origin(
            name=name,
            url=self.url,
            licence=self.licence,
            attribution=self.attribution,
            language=self.language,
            screening=switches,
        )

    def plan(self) -> Plan:
        """Kinds whose questions stand at places that the operator names add the fields."""
        return Plan({}, self.values)
