"""docs/quiz.md says what every rule does, as the table of rules does."""

from __future__ import annotations

import re
from pathlib import Path

from vestnik.quiz.screening.rules import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "quiz.md").read_text()


def test_the_page_names_every_rule_and_its_effect() -> None:
    rows = re.findall(r"^\| (\*?`R.+?`\*?) \| (repair|raw|refuse) \|", PAGE, re.MULTILINE)
    told = {name: effect for names, effect in rows for name in re.findall(r"`(R[^`]+)`", names)}
    assert told == {rule.name: rule.effect.value for rule in RULES}


def test_the_page_says_which_rules_cannot_be_switched_off() -> None:
    assert set(re.findall(r"\*`(R[^`]+)`\*", PAGE)) == {rule.name for rule in RULES if rule.always}
