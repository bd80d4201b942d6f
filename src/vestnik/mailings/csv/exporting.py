"""Clients to CSV, as `rows` reads it back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from vestnik.mailings.csv.rows import COLUMNS
from vestnik.mailings.model import Client

HEADER = ",".join(COLUMNS).encode() + b"\r\n"

#: What a spreadsheet takes for a formula, were it the beginning of a cell; and what is shielded already.
_FORMULA = re.compile(r"'*[=+\-@]")


def lines(clients: Iterable[Client]) -> bytes:
    """Without the header."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows((client.phone, client.operator_code, _shielded(client.tag), client.timezone) for client in clients)
    return text.getvalue().encode()


def _shielded(tag: str) -> str:
    return f"'{tag}" if _FORMULA.match(tag) else tag
