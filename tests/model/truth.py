"""What must be true of every message: the picture of docs/states.md in plain Python, without a database.

The machine does the same to these books and to the store, and compares them after every step. Beside what the store
keeps stands what only the world knows: which copies arrived, and who said yes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from vestnik.delivery.model import ENDED, WAITING, Deferred, Delivered, Outcome, Priority, RefusedForGood, TaskState
from vestnik.delivery.service import Send
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.intake import IDEMPOTENCY_KEPT

_RETRY = {"delay": "30s", "factor": "2", "max_delay": "100s"}
_WAITS = (30.0, 60.0, 100.0)  # seconds, after one try, two, and any more
CHANNELS = {
    "alerts": ChannelSettings.model_validate({"worker": "null", "retry": {**_RETRY, "attempts": 3}}),
    "once": ChannelSettings.model_validate(
        {"worker": "null", "retry": {**_RETRY, "attempts": 2}, "on_ambiguous": "stop"}
    ),
    "quick": ChannelSettings.model_validate({"worker": "null", "retry": {**_RETRY, "attempts": 3}, "queue": "memory"}),
}


#: Bulk sends to one recipient belong to a mailing; each database has one.
MAILING_ON_DISK, MAILING_IN_MEMORY = 1, 2


def kept_in_memory(channel: str) -> bool:
    return CHANNELS[channel].queue == "memory"


@dataclass(slots=True, kw_only=True)
class TaskTruth:
    id: int
    message_id: int
    channel: str
    recipient: str
    priority: Priority
    expires_at: float | None
    due_at: float
    state: TaskState
    attempts: int = 0
    ambiguous: int = 0
    crashes: int = 0
    epoch: int = 0
    cancel_requested: bool = False
    maybe_sent: bool = False
    said_yes: bool = False  # the far side
    started_at: float | None = None  # the latest try
    try_ended_at: float | None = None
    finished_at: float | None = None
    copies: int = 0  # that the far side got
    unseen: int = 0  # attempts whose end nobody saw
    journal: list[tuple[int, str]] = field(default_factory=list)  # epoch and outcome of every attempt

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def may_be_claimed(self, now: float) -> bool:
        in_time = self.expires_at is None or now < self.expires_at
        return self.state in WAITING and self.due_at <= now and in_time

    def claimed(self, now: float) -> None:
        self.state = TaskState.RUNNING
        self.started_at, self.try_ended_at = now, None
        self.attempts += 1
        self.epoch += 1

    def over(self, state: TaskState, now: float) -> None:
        self.state = state
        self.finished_at = now

    def clock_was_ahead(self, now: float) -> None:
        """Its latest try was not later than now."""
        if self.started_at is not None:
            self.started_at = min(self.started_at, now)
        if self.try_ended_at is not None:
            self.try_ended_at = min(self.try_ended_at, now)

    def given_back(self, wait: float, now: float) -> None:
        tried_before = self.attempts > 1
        self.attempts -= 1
        if wait:
            self.due_at = max(self.due_at, now + wait)
        if self.cancel_requested:
            self.over(TaskState.CANCELED, now)
        else:
            self.state = TaskState.DEFERRED if wait or tried_before else TaskState.QUEUED

    def came_to(self, outcome: Outcome, now: float, *, arrived: bool) -> None:
        """`arrived`: the far side got a copy, whether or not we know."""
        match outcome:
            case Delivered():
                self.said_yes = True
                self.copies += 1
                self._ended("delivered", TaskState.DELIVERED, now)
            case RefusedForGood():
                self._ended("refused", TaskState.FAILED, now)
            case Deferred(maybe_sent=True, retry_after=asked):
                self._unseen(now, asked, arrived=arrived)
            case Deferred(counts=False, retry_after=asked):
                self.attempts -= 1
                self._put_off("deferred", now, asked or _wait(self.attempts))
            case Deferred() if self.attempts >= CHANNELS[self.channel].retry.attempts:
                self._ended("deferred", TaskState.FAILED, now)
            case Deferred():
                self._put_off("deferred", now, _wait(self.attempts))

    def crashed(self, now: float, *, arrived: bool) -> None:
        self.crashes += 1
        self._unseen(now, None, arrived=arrived)

    def _unseen(self, now: float, asked: float | None, *, arrived: bool) -> None:
        settings = CHANNELS[self.channel]
        self.unseen += 1
        self.ambiguous += 1
        self.copies += arrived
        self.maybe_sent = True
        if settings.on_ambiguous == "stop" or self.ambiguous >= 2 or self.attempts >= settings.retry.attempts:
            self._ended("ambiguous", TaskState.FAILED, now)
        else:
            self._put_off("ambiguous", now, max(_wait(self.attempts), asked or 0.0))

    def _put_off(self, outcome: str, now: float, wait: float) -> None:
        """What was to be canceled meanwhile is, instead of being put off."""
        if self.cancel_requested:
            self._ended(outcome, TaskState.CANCELED, now)
        else:
            self.due_at = max(self.due_at, now + wait)
            self.state = TaskState.DEFERRED
            self.try_ended_at = now
            self.journal.append((self.epoch, outcome))

    def _ended(self, outcome: str, state: TaskState, now: float) -> None:
        self.journal.append((self.epoch, outcome))
        self.over(state, now)


def _wait(attempts: int) -> float:
    return _WAITS[min(max(attempts, 1), len(_WAITS)) - 1]


@dataclass(slots=True, kw_only=True)
class MessageTruth:
    id: int
    send: Send
    created_at: float
    parent_id: int | None
    of_mailing: bool = False  # then its times are times of the clock, not seconds to wait
    tasks: list[TaskTruth] = field(default_factory=list)

    def new_task(self, task_id: int, recipient: str) -> TaskTruth:
        return TaskTruth(
            id=task_id,
            message_id=self.id,
            channel=self.send.channel,
            recipient=recipient,
            priority=self.send.priority,
            expires_at=self.expires_at,
            due_at=self.due_at,
            state=TaskState.SCHEDULED if self.send.delay else TaskState.QUEUED,
        )

    @property
    def due_at(self) -> float:
        return self.created_at + self.send.delay

    @property
    def expires_at(self) -> float | None:
        return None if self.send.expire is None else self.due_at + self.send.expire

    @property
    def ended(self) -> bool:
        return all(task.ended for task in self.tasks)

    @property
    def missed(self) -> list[str]:
        """Who gets a copy when it is sent again: those who did not get it, or all when all did."""
        missed = [task.recipient for task in self.tasks if task.state is not TaskState.DELIVERED]
        return missed or [task.recipient for task in self.tasks]

    def ended_before(self, time: float) -> bool:
        """A running mailing keeps its own for longer, but nobody runs those that are here (see `tests/mailings`)."""
        return all(task.finished_at is not None and task.finished_at < time for task in self.tasks)

    def follow_clock(self, task: TaskTruth, now: float) -> None:
        if self.of_mailing:
            return
        if task.state is TaskState.RUNNING:
            task.due_at = min(task.due_at, now)
            self._expire_from(task, now)
        elif task.state in WAITING and task.due_at > now:
            tried_at = max((time for time in (task.started_at, task.try_ended_at) if time is not None), default=None)
            if tried_at is not None and tried_at > now:
                task.due_at = min(task.due_at, now + max(0.0, task.due_at - tried_at))
            elif tried_at is None and self.created_at > now:
                task.due_at = min(task.due_at, now + self.send.delay)
            self._expire_from(task, now)
        else:
            return
        task.clock_was_ahead(now)

    def _expire_from(self, task: TaskTruth, now: float) -> None:
        if self.created_at > now and task.expires_at is not None and self.send.expire is not None:
            task.expires_at = min(task.expires_at, now + self.send.delay + self.send.expire)

    def cancel(self, now: float) -> Cancellation:
        running = [task for task in self.tasks if task.state is TaskState.RUNNING]
        waiting = [task for task in self.tasks if task.state in WAITING]
        for task in waiting:
            task.over(TaskState.CANCELED, now)
        for task in running:
            task.cancel_requested = True
        if running:
            return Cancellation.TOO_LATE_TO_PROMISE
        return Cancellation.CANCELED if waiting else Cancellation.ENDED


@dataclass(slots=True)
class KeyTruth:
    """An idempotency key, and the first send that came with it."""

    send: Send
    message_id: int
    kept_until: float
    promised: bool = True  # False once a clock has been seen at which its time was over

    def says(self, send: Send) -> bool:
        """Whether a send is the same one."""
        return _content(send) == _content(self.send)


class Books:
    """Every message that was accepted and is still owed, every key, and every id that was ever given out."""

    def __init__(self) -> None:
        self.messages: dict[int, MessageTruth] = {}
        self.tasks: dict[int, TaskTruth] = {}
        self.keys: dict[tuple[bool, str], KeyTruth] = {}
        self.ids: set[int] = set()

    def accepted(self, message: MessageTruth) -> None:
        self.messages[message.id] = message
        self.tasks |= {task.id: task for task in message.tasks}
        self.ids |= {message.id, *(task.id for task in message.tasks)}
        if message.send.idempotency_key is not None and message.parent_id is None:
            until = message.created_at + IDEMPOTENCY_KEPT
            self.keys[_slot(message.send)] = KeyTruth(message.send, message.id, until)

    def key(self, send: Send) -> KeyTruth | None:
        """What the key of a send stands for."""
        return None if send.idempotency_key is None else self.keys.get(_slot(send))

    def clock_seen(self, now: float) -> None:
        for key in self.keys.values():
            key.promised = key.promised and now < key.kept_until

    def claimable(self, channel: str, now: float) -> list[TaskTruth]:
        """In the order in which they go: single sends before bulk, then by the time they are due."""
        found = [task for task in self.tasks.values() if task.channel == channel and task.may_be_claimed(now)]
        return sorted(found, key=lambda task: (task.priority, task.due_at, task.id))

    def expire(self, now: float) -> list[TaskTruth]:
        over = [
            t for t in self.tasks.values() if t.state in WAITING and t.expires_at is not None and t.expires_at <= now
        ]
        for task in over:
            task.over(TaskState.EXPIRED, now)
        return over

    def forgettable(self, before: float) -> set[int]:
        """What may leave: it came and ended before a time."""
        messages = self.messages.values()
        return {m.id for m in messages if m.created_at < before and m.ended_before(before)}

    def forgotten_by(self, before: float, now: float) -> set[int]:
        """What has to leave: looked for from the oldest on, until one came lately; not later than now."""
        found: set[int] = set()
        for in_memory in (False, True):
            for message in sorted(self.messages.values(), key=lambda message: message.id):
                if kept_in_memory(message.send.channel) is in_memory:
                    if before <= message.created_at <= now:
                        break
                    found.add(message.id)
        return found & self.forgettable(before)

    def follow_clock(self, now: float) -> bool:
        """What lies ahead by the old time is as if it had happened now; whether there was any."""
        before = [(task.due_at, task.expires_at, task.started_at) for task in self.tasks.values()]
        for task in self.tasks.values():
            self.messages[task.message_id].follow_clock(task, now)
        return before != [(task.due_at, task.expires_at, task.started_at) for task in self.tasks.values()]

    def memory_lost(self) -> None:
        """The process ended: what was kept in memory only is owed no longer."""
        self.forget([message.id for message in self.messages.values() if kept_in_memory(message.send.channel)])
        self.keys = {slot: key for slot, key in self.keys.items() if not slot[0]}

    def forget(self, messages: Collection[int]) -> None:
        for message_id in messages:
            for task in self.messages.pop(message_id).tasks:
                del self.tasks[task.id]

    def ended_messages(self) -> list[MessageTruth]:
        return [message for message in self.messages.values() if message.ended]

    def open_tasks(self) -> int:
        return sum(not task.ended for task in self.tasks.values())

    def expiries(self, now: float) -> list[float]:
        """Of what is open, those to come."""
        times = {task.expires_at for task in self.tasks.values() if not task.ended and task.expires_at is not None}
        return sorted(time for time in times if time > now)

    def due_later(self, now: float) -> bool:
        return any(task.due_at > now for task in self.tasks.values() if not task.ended)

    def in_state(self, states: Collection[TaskState]) -> Sequence[TaskTruth]:
        return [task for task in self.tasks.values() if task.state in states]


def _content(send: Send) -> tuple[object, ...]:
    return send.channel, send.text, send.subject, send.delay, send.expire


def _slot(send: Send) -> tuple[bool, str]:
    """Keys are kept with the messages: one that came for a channel in memory says nothing about those on disk."""
    return kept_in_memory(send.channel), send.idempotency_key or ""
