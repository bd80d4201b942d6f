"""Every rule of screening by its name: what it does, and how it reads for a moderator (Q3).

docs/quiz.md shows what each finds in real collections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    REPAIR = "repair"  # put right, and the question passes
    RAW = "raw"  # a moderator decides
    REFUSE = "refuse"  # not stored


@dataclass(frozen=True, slots=True)
class Rule:
    code: str
    word: str
    effect: Effect
    description: str
    always: bool = False  # cannot be switched off

    @property
    def name(self) -> str:
        return f"{self.code}-{self.word}"


EMPTY = Rule("R01", "empty", Effect.REFUSE, "The question has no letter, digit or symbol.", always=True)
NO_ANSWER = Rule("R02", "no-answer", Effect.REFUSE, "There is no correct answer.", always=True)
SYMBOLS_ONLY = Rule("R02b", "symbols-only", Effect.RAW, "The answer has no letter or digit.")
REPEATED_OPTION = Rule("R03", "repeated-option", Effect.RAW, "Two wrong options are the same.")
CORRECT_AMONG_INCORRECT = Rule(
    "R04", "correct-among-incorrect", Effect.RAW, "The correct answer is among the wrong options as well."
)
EMPTY_OPTION = Rule("R05", "empty-option", Effect.RAW, "An option was empty and has been left out.")
FEW_OPTIONS = Rule("R06", "few-options", Effect.RAW, "There are fewer than three wrong options.")
MANY_OPTIONS = Rule("R06b", "many-options", Effect.RAW, "There are more than three wrong options.")
NOT_TRUE_OR_FALSE = Rule(
    "R07", "not-true-or-false", Effect.RAW, "It is said to be a true-or-false question, but its answers are others."
)
ALL_OF_THE_ABOVE = Rule(
    "R08", "all-of-the-above", Effect.RAW, "An option speaks of the other options, whose order will change."
)
SEVERAL_CORRECT = Rule(
    "R09", "several-correct", Effect.RAW, "More than one option is correct; a question with options should have one."
)
ENTITIES = Rule("R10", "entities", Effect.REPAIR, "HTML entities were decoded.")
MARKUP = Rule("R11", "markup", Effect.RAW, "HTML markup was taken out of a text.")
MOJIBAKE = Rule("R12", "mojibake", Effect.RAW, "A text looks as if it was read in a wrong encoding.")
CONTROL_CHARACTERS = Rule("R12b", "control-characters", Effect.RAW, "Control characters were taken out of a text.")
INVISIBLE = Rule("R12c", "invisible-characters", Effect.REPAIR, "Invisible characters were taken out.")
LOST_LETTER = Rule("R12d", "lost-letter", Effect.RAW, "A question mark stands where a letter seems to be lost.")
CP1252 = Rule("R12e", "cp1252", Effect.REPAIR, "Characters of Windows-1252 that were read as Latin-1 were put right.")
MEDIA = Rule("R13", "media", Effect.REFUSE, "The question needs a picture, a sound or a handout.")
URL_IN_QUESTION = Rule("R13b", "url", Effect.RAW, "There is an address in the question.")
HOST_NOTES = Rule("R14", "host-notes", Effect.RAW, "There are notes for the host in the question.")
OPTIONS_MISSING = Rule(
    "R15", "options-missing", Effect.RAW, "The question speaks of options to choose from, and there are none."
)
LONG = Rule("R16", "long", Effect.RAW, "The question is longer than 300 characters.")
TOO_LONG = Rule(
    "R16b", "too-long", Effect.REFUSE, "The question is longer than 1000 characters, or all of it together than 20,000."
)
SHORT = Rule("R17", "short", Effect.RAW, "The question is shorter than 12 characters.")
LONG_ANSWER = Rule("R18", "long-answer", Effect.RAW, "The answer is longer than 100 characters.")
LONG_OPTION = Rule("R18b", "long-option", Effect.RAW, "A wrong option is longer than 100 characters.")
ANSWER_IN_QUESTION = Rule("R20", "answer-in-question", Effect.RAW, "The answer occurs in the question.")
TIME_DEPENDENT = Rule("R21", "time-dependent", Effect.RAW, "What is right may change with time.")
INDECENT = Rule("R22", "indecent", Effect.RAW, "There is a word that may offend.")
WRONG_SCRIPT = Rule("R23", "wrong-script", Effect.RAW, "The letters are not those of the question's language.")
MIXED_ALPHABETS = Rule(
    "R24", "mixed-alphabets", Effect.REPAIR, "Latin and Cyrillic letters inside one word were made one alphabet."
)
SHOUTING = Rule("R25", "shouting", Effect.RAW, "The question is in capitals.")
TITLE_CASE = Rule("R25b", "title-case", Effect.REPAIR, "Every Word Had A Capital; the Small Words Have None Now.")
WHITESPACE = Rule("R26", "whitespace", Effect.REPAIR, "Stray spaces and line breaks were joined.")
FINAL_PERIOD = Rule("R26b", "final-period", Effect.REPAIR, "The period at the end of an answer was taken off.")
SEVERAL_QUESTIONS = Rule("R27", "several-questions", Effect.RAW, "There are several questions in one.")
UNKNOWN_LANGUAGE = Rule("R28", "unknown-language", Effect.RAW, "Neither the question nor its source says its language.")
WITHDRAWN = Rule("R29", "withdrawn", Effect.REFUSE, "The source has withdrawn the question.")
DUPLICATE = Rule("R30", "duplicate", Effect.REFUSE, "The question is known already.", always=True)
NEAR_DUPLICATE = Rule(
    "R31", "near-duplicate", Effect.RAW, "Another question has almost the same words and the same answer."
)
OTHER_ANSWER = Rule("R32", "other-answer", Effect.RAW, "The same question came again with another answer.")
LICENCE = Rule("R33", "licence", Effect.RAW, "The licence forbids commercial use or changes: may it be sent on?")
REFUSED_BY_SERVER = Rule(
    "R40", "refused-by-server", Effect.RAW, "The main server called the question invalid.", always=True
)

RULES = tuple(value for value in globals().values() if isinstance(value, Rule))
BY_CODE = {rule.code: rule for rule in RULES}
_BY_NAME = {**BY_CODE, **{rule.name: rule for rule in RULES}}


def find(name: str) -> Rule | None:
    """By name ("R08-all-of-the-above") or code ("R08")."""
    return _BY_NAME.get(name)


def not_switchable(names: Iterable[str]) -> list[str]:
    """Those names that are no rule, or a rule that must stay on."""
    return [name for name in names if (rule := find(name)) is None or rule.always]


def switched_off(switches: Mapping[str, bool]) -> frozenset[Rule]:
    """The rules that do not apply. Names that mean nothing are ignored: configuration has refused them."""
    found = (find(name) for name, on in switches.items() if not on)
    return frozenset(rule for rule in found if rule is not None and not rule.always)
