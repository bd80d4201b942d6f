"""Clients and mailings (M1, M2). Nothing here does I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vestnik.mailings.windows import LocalInterval

#: Seconds since the epoch, UTC.
Timestamp = float


class MailingState(StrEnum):
    SCHEDULED = "scheduled"
    RUNNING = "running"
    ENDED = "ended"
    DELETED = "deleted"  # its figures stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    id: int
    phone: str  # 7XXXXXXXXXX
    operator_code: str
    tag: str = ""
    timezone: str  # IANA


@dataclass(frozen=True, slots=True)
class Audience:
    """Who matches: an empty tuple matches everybody, both must match."""

    operator_codes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def holds(self, client: Client) -> bool:
        return (not self.operator_codes or client.operator_code in self.operator_codes) and (
            not self.tags or client.tag in self.tags
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    id: int
    channel: str
    text: str
    start_at: Timestamp
    end_at: Timestamp  # nothing is handed over at or after it
    audience: Audience = Audience()
    interval: LocalInterval | None = None  # by the clock of each client; None: at any hour
    expanded_to: int = 0  # id of the last client that was looked at: each is, once, in the order of ids
    created_at: Timestamp = 0.0
    changed_at: Timestamp = 0.0
    deleted_at: Timestamp | None = None

    def state(self, now: Timestamp) -> MailingState:
        if self.deleted_at is not None:
            return MailingState.DELETED
        if now < self.start_at:
            return MailingState.SCHEDULED
        return MailingState.RUNNING if now < self.end_at else MailingState.ENDED
