"""The daily report's words (M7), in text and in HTML. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from html import escape
from zoneinfo import ZoneInfo

from vestnik.delivery.model import TaskState
from vestnik.mailings.model import Mailing, Timestamp

_WAITING = (TaskState.QUEUED, TaskState.SCHEDULED, TaskState.DEFERRED, TaskState.RUNNING)
_ENDS = (TaskState.DELIVERED, TaskState.FAILED, TaskState.EXPIRED, TaskState.CANCELED)
_HEAD = ("mailing", "state", "from", "to", "messages", *(state.value for state in _ENDS), "waiting")


@dataclass(frozen=True, slots=True)
class Line:
    """A mailing, and its messages by status."""

    mailing: Mailing
    by_status: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Content:
    """`lines` are the mailings of the last day, `left_out` how many more there were."""

    mailings: int
    by_status: Mapping[str, int]
    lines: Sequence[Line]
    left_out: int


@dataclass(frozen=True, slots=True)
class Report:
    subject: str
    text: str
    html: str


def day_of(now: Timestamp, at: time, zone: ZoneInfo) -> date:
    """The day whose report is the latest one due: one that is made up after midnight is still yesterday's."""
    local = datetime.fromtimestamp(now, zone)
    return local.date() if local.time() >= at else local.date() - timedelta(days=1)


def write(content: Content, day: date, zone: ZoneInfo, now: Timestamp) -> Report:
    subject = f"Mailings on {day.isoformat()}"
    rows = [_row(line, zone, now) for line in content.lines]
    messages = f"{sum(content.by_status.values())} ({_by_status(content.by_status)})"
    intro = f"Mailings: {content.mailings}. Messages: {messages}."
    scope = f"Mailings that ran in the 24 hours before {_shown(now, zone)} ({zone.key}):"
    more = f"… and {content.left_out} more." if content.left_out else ""
    return Report(subject, _text(intro, scope, rows, more), _html(subject, intro, scope, rows, more))


def _by_status(by_status: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in by_status.items() if count) or "none yet"


def _row(line: Line, zone: ZoneInfo, now: Timestamp) -> tuple[str, ...]:
    mailing, by_status = line.mailing, line.by_status
    ends = (str(by_status.get(state, 0)) for state in _ENDS)
    waiting = sum(by_status.get(state, 0) for state in _WAITING)
    times = (_shown(mailing.start_at, zone), _shown(mailing.end_at, zone))
    return (str(mailing.id), mailing.state(now).value, *times, str(sum(by_status.values())), *ends, str(waiting))


def _shown(moment: Timestamp, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(moment, zone):%Y-%m-%d %H:%M}"


def _text(intro: str, scope: str, rows: Sequence[tuple[str, ...]], more: str) -> str:
    return "\n".join([intro, "", scope, "", *(_columns([_HEAD, *rows]) if rows else ["none"]), more]).rstrip() + "\n"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _html(subject: str, intro: str, scope: str, rows: Sequence[tuple[str, ...]], more: str) -> str:
    head = _cells("th", _HEAD)
    body = "\n".join(_cells("td", row) for row in rows)
    table = f'<table border="1" cellpadding="4">\n{head}\n{body}\n</table>' if rows else "<p>none</p>"
    return (
        f"<!doctype html>\n<html><head><title>{escape(subject)}</title></head><body>\n<p>{escape(intro)}</p>\n"
        f"<p>{escape(scope)}</p>\n{table}\n<p>{escape(more)}</p>\n</body></html>\n"
    )


def _cells(kind: str, row: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in row) + "</tr>"
