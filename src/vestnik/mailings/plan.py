"""When a client's message is due, and how it follows a change of its mailing. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from vestnik.delivery.model import MAILING_ENDED, TaskState
from vestnik.mailings.model import Client, Mailing, Timestamp
from vestnik.mailings.windows import window
from vestnik.mailings.zones import zone

NO_WINDOW = "the client's next window opens after the end of the mailing"
NOT_MEANT = "the mailing was changed, and is not for this client any more"
DELETED = "the mailing was deleted"


@dataclass(frozen=True, slots=True)
class Plan:
    """Due at `due_at`, and not handed over at or after `closes_at` but in a later window."""

    due_at: Timestamp
    closes_at: Timestamp | None = None

    def misses(self, mailing: Mailing) -> bool:
        """Whether it cannot go before the mailing ends."""
        return self.due_at >= mailing.end_at


#: The plan for clients in a time zone.
Planner = Callable[[str], Plan]


def why_missed(mailing: Mailing, now: Timestamp) -> str:
    """Where a plan misses its mailing: the reason."""
    return MAILING_ENDED if mailing.interval is None or mailing.end_at <= now else NO_WINDOW


def planner(mailing: Mailing, moment: Timestamp) -> Planner:
    """For what may go at `moment` or after it. Computes each zone once."""
    begin, interval = max(moment, mailing.start_at), mailing.interval
    if interval is None:
        plan = Plan(begin)
        return lambda _: plan

    @cache
    def in_zone(name: str) -> Plan:
        found = window(begin, interval, zone(name))
        return Plan(found.opens_at, found.closes_at)

    return in_zone


@dataclass(frozen=True, slots=True)
class Open:
    """What a task that has not ended has to say when its mailing was changed."""

    state: TaskState
    due_at: Timestamp


@dataclass(frozen=True, slots=True)
class Follows:
    """`state` RUNNING: the try under way ends as it does, and then this holds."""

    state: TaskState
    plan: Plan


@dataclass(frozen=True, slots=True)
class Ends:
    """As soon as no try is under way."""

    state: TaskState  # CANCELED or EXPIRED
    reason: str
    plan: Plan | None = None  # the one that misses the end


def follow(task: Open, client: Client | None, mailing: Mailing, now: Timestamp, at_once: Planner) -> Follows | Ends:
    """What becomes of an open task. `at_once` is `planner(mailing, now)`; `client` None: there is none any more."""
    if mailing.deleted_at is not None:
        return Ends(TaskState.CANCELED, DELETED)
    if client is None or not mailing.audience.holds(client):
        return Ends(TaskState.CANCELED, NOT_MEANT)
    # A far side that failed a moment ago is not asked again before its time; all else is planned anew.
    tried = task.state is TaskState.DEFERRED and task.due_at > now
    plan = planner(mailing, task.due_at)(client.timezone) if tried else at_once(client.timezone)
    if plan.misses(mailing):
        return Ends(TaskState.EXPIRED, why_missed(mailing, now), plan)
    retried = task.state is TaskState.DEFERRED and plan.due_at <= max(now, task.due_at)
    if task.state is TaskState.RUNNING or retried:
        return Follows(task.state, plan)
    return Follows(TaskState.SCHEDULED if plan.due_at > now else TaskState.QUEUED, plan)
