"""Takes secrets out of text that leaves the process: logs, stored errors, answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

SHORTEST = 4  # a shorter secret would blank out ordinary words
MARK = "[secret]"


class Redactor:
    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Each is found as it is and as it stands in a URL."""
        forms = {form for s in secrets if len(s) >= SHORTEST for form in (s, quote(s, safe=""), quote_plus(s))}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(MARK, text) if self._pattern else text
