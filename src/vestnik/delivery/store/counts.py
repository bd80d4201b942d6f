"""How many tasks a channel, and a mailing, has in each state, kept in the very transaction that changes the states."""

from __future__ import annotations

import re
from collections import defaultdict

from vestnik.delivery.model import ENDED
from vestnik.storage.database import Connection

_ADD = """
INSERT INTO task_count (channel, state, count) VALUES (?, ?, ?)
ON CONFLICT (channel, state) DO UPDATE SET count = count + excluded.count
"""
_ADD_TO_MAILING = """
INSERT INTO mailing_count (mailing_id, state, count) VALUES (?, ?, ?)
ON CONFLICT (mailing_id, state) DO UPDATE SET count = count + excluded.count
"""


_ADD_TO_HOUR = """
INSERT INTO mailing_hour (mailing_id, hour, state, count) VALUES (?, ?, ?, ?)
ON CONFLICT (mailing_id, hour, state) DO UPDATE SET count = count + excluded.count
"""
_DROP_EMPTY_HOUR = "DELETE FROM mailing_hour WHERE mailing_id = ? AND hour = ? AND state = ? AND count = 0"
_ADD_TO_REASON = """
INSERT INTO mailing_reason (mailing_id, reason, count) VALUES (
  :mailing,
  CASE WHEN EXISTS (SELECT 1 FROM mailing_reason WHERE mailing_id = :mailing AND reason = :reason)
    OR (SELECT count(*) FROM mailing_reason WHERE mailing_id = :mailing) < :most THEN :reason ELSE :others END,
  :count)
ON CONFLICT (mailing_id, reason) DO UPDATE SET count = count + excluded.count
"""
_HOUR = 3600
LONGEST_REASON = 200  # characters
MOST_REASONS = 50  # of one mailing; a far side can answer every time with other words
OTHER_REASONS = "other reasons"
_NUMBER = re.compile("[0-9]{4,}")  # an id, a phone: what makes the same reason look like another one


class Tally:
    """The differences that one transaction makes: collected task by task, written once."""

    # A Counter takes ten times as long to make, and each small commit makes two tallies.
    def __init__(self) -> None:
        self._channels: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._mailings: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._hours: defaultdict[tuple[int, int, str], int] = defaultdict(int)
        self._reasons: defaultdict[tuple[int, str], int] = defaultdict(int)

    def add(self, channel: str, state: str, by: int = 1, *, mailing_id: int | None = None) -> None:
        self._channels[channel, state] += by
        if mailing_id is not None:
            self._mailings[mailing_id, state] += by

    def moved(
        self,
        channel: str,
        old: str,
        new: str,
        *,
        mailing_id: int | None = None,
        at: float = 0.0,
        reason: str | None = None,
    ) -> None:
        """One task went from one state to another; if that is an end, `at` that time, and for that reason."""
        # What `add` does, written out: this is called for every claim and every end.
        self._channels[channel, old] -= 1
        self._channels[channel, new] += 1
        if mailing_id is not None:
            self._mailings[mailing_id, old] -= 1
            self._mailings[mailing_id, new] += 1
            self.ended(mailing_id, new, at, reason)

    def ended(self, mailing_id: int, state: str, at: float, reason: str | None = None) -> None:
        """Of a mailing's figures over time; a state that is no end has none."""
        if state in ENDED:
            self._hours[mailing_id, int(at // _HOUR) * _HOUR, state] += 1
        if reason is not None:
            self._reasons[mailing_id, _NUMBER.sub("…", reason)[:LONGEST_REASON]] += 1

    def reopened(self, mailing_id: int, state: str, ended_at: float) -> None:
        """An end is taken back in a mailing's figures over time."""
        self._hours[mailing_id, int(ended_at // _HOUR) * _HOUR, state] -= 1

    def forgotten(self, channel: str, state: str) -> None:
        """One task's row is gone. A mailing's figures outlive its rows."""
        self._channels[channel, state] -= 1

    def write(self, connection: Connection) -> None:
        connection.executemany(_ADD, [(*key, by) for key, by in self._channels.items() if by])
        if self._mailings:
            connection.executemany(_ADD_TO_MAILING, [(*key, by) for key, by in self._mailings.items() if by])
            connection.executemany(_ADD_TO_HOUR, [(*key, by) for key, by in self._hours.items() if by])
            connection.executemany(_DROP_EMPTY_HOUR, [key for key, by in self._hours.items() if by < 0])
            connection.executemany(_ADD_TO_REASON, [_reason(*key, by) for key, by in self._reasons.items()])


def _reason(mailing: int, reason: str, count: int) -> dict[str, object]:
    return {
        "mailing": mailing,
        "reason": reason,
        "count": count,
        "most": MOST_REASONS,
        "others": OTHER_REASONS,
    }


def all_counts(connection: Connection) -> dict[str, dict[str, int]]:
    """Channel to state to count; states that no task is in are left out."""
    counts: dict[str, dict[str, int]] = {}
    for channel, state, count in connection.execute("SELECT channel, state, count FROM task_count WHERE count > 0"):
        counts.setdefault(channel, {})[state] = count
    return counts


def of_mailing(connection: Connection, mailing_id: int) -> dict[str, int]:
    """State to count, also of tasks whose rows are gone."""
    rows = connection.execute(
        "SELECT state, count FROM mailing_count WHERE mailing_id = ? AND count > 0", (mailing_id,)
    )
    return {row["state"]: row["count"] for row in rows}
