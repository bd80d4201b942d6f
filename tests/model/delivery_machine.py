"""The machine: everything that can happen to delivery, in any order, with the books kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bookkeeper import DAY, Bookkeeper
from deliveries import SetClock
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from runs import Run
from truth import Books, TaskTruth
from under_test import UnderTest

from vestnik.delivery.model import WAITING, Deferred, Delivered, Outcome, Priority, RefusedForGood, Task
from vestnik.delivery.service import Send

T = TypeVar("T")

OUTCOMES: list[Outcome] = [
    Delivered("receipt"),
    Delivered(),
    RefusedForGood("no"),
    Deferred("down"),
    Deferred("down"),
    Deferred("slow down", retry_after=45.0, counts=False),
    Deferred("401", counts=False),
    Deferred("cut off", maybe_sent=True),
    Deferred("cut off", maybe_sent=True),
    Deferred("504", retry_after=200.0, maybe_sent=True, counts=False),
]
RECIPIENTS = ("a", "b", "c")
MOST_OPEN = 10  # tasks; more make steps slower, not richer

channels = st.sampled_from(["alerts", "alerts", "once", "quick"])
picks = st.integers(0, 1 << 16)
outcomes = st.sampled_from(OUTCOMES)
set_backs = st.sampled_from([0.0, 0.0, 1.0, 3600.0])
jumps = st.sampled_from([0.5, 30.0, 90.0, 3600.0, 3 * DAY, 3650 * DAY, -1.0, -300.0, -3 * DAY, -3650 * DAY])
sends = st.builds(
    Send,
    channel=channels,
    text=st.sampled_from(["x", "y"]),
    delay=st.sampled_from([0, 0, 0, 10, 3600]),
    expire=st.sampled_from([None, None, 1, 60, 4000]),
    subject=st.sampled_from([None, "S"]),
    sender=st.none(),
    idempotency_key=st.sampled_from([None, None, "k", "l"]),
    priority=st.sampled_from(Priority),
)


class DeliveryMachine(RuleBasedStateMachine):
    def __init__(self, make: Callable[[SetClock], UnderTest], run: Run) -> None:
        super().__init__()
        run.examples += 1
        clock = SetClock()
        self.daemon = make(clock)
        self.keeper = Bookkeeper(self.daemon, clock, run)

    @property
    def books(self) -> Books:
        return self.keeper.books

    def teardown(self) -> None:
        self.daemon.discard()

    @invariant()
    def the_store_agrees_with_the_books(self) -> None:
        self.keeper.compare()

    # -- messages come, are canceled, are sent again

    @precondition(lambda self: self.books.open_tasks() < MOST_OPEN)
    @rule(sent=st.lists(sends, min_size=1, max_size=3), recipients=st.integers(1, len(RECIPIENTS)), begun=st.booleans())
    def accept(self, sent: list[Send], recipients: int, begun: bool) -> None:
        """`begun`: an executor was waiting for work."""
        self.keeper.accept(sent, RECIPIENTS[:recipients])
        if begun:
            self.keeper.claim(sent[-1].channel, 2)

    @precondition(lambda self: self.books.keys)
    @rule(pick=picks, other=st.booleans())
    def repeat_a_key(self, pick: int, other: bool) -> None:
        send = _picked(pick, list(self.books.keys.values())).send
        if other:
            send = Send(channel=send.channel, text=f"not {send.text}", idempotency_key=send.idempotency_key)
        self.keeper.accept([send], RECIPIENTS[:1])

    @precondition(lambda self: self.books.messages)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        self.keeper.cancel(_picked(pick, list(self.books.messages.values())))

    @precondition(lambda self: self.keeper.live)
    @rule(pick=picks, outcome=outcomes | st.none())
    def cancel_what_has_begun(self, pick: int, outcome: Outcome | None) -> None:
        """It may end right after."""
        task = self._running(pick)
        self.keeper.cancel(self.books.messages[task.message_id])
        if outcome is not None:
            self.keeper.end([(task, outcome, False)])

    @precondition(lambda self: self.books.open_tasks() < MOST_OPEN and self.books.ended_messages())
    @rule(pick=picks)
    def send_again(self, pick: int) -> None:
        self.keeper.send_again(_picked(pick, self.books.ended_messages()))

    # -- tasks are claimed, and come to an end or not

    @precondition(lambda self: self.books.in_state(WAITING))
    @rule(pick=picks, limit=st.integers(1, 3), when_due=st.sampled_from([True, True, False]))
    def claim(self, pick: int, limit: int, when_due: bool) -> None:
        task = _picked(pick, self.keeper.waiting())
        if when_due:
            self.keeper.set_clock(max(self.keeper.now, task.due_at))
        self.keeper.claim(task.channel, limit)

    @precondition(lambda self: self.keeper.live)
    @rule(ends=st.lists(st.tuples(picks, outcomes, st.booleans()), min_size=1, max_size=3))
    def end(self, ends: list[tuple[int, Outcome, bool]]) -> None:
        """At once; one may come twice."""
        self.keeper.end([(self._running(pick), outcome, arrived) for pick, outcome, arrived in ends])

    @precondition(lambda self: self.keeper.live)
    @rule(pick=picks, outcome=outcomes, seconds=st.sampled_from([300.0, 3600.0]))
    def end_after_the_clock_was_set_back(self, pick: int, outcome: Outcome, seconds: float) -> None:
        self.keeper.pass_time(-seconds)
        self.keeper.end([(self._running(pick), outcome, False)])

    @precondition(lambda self: self.books.in_state(WAITING))
    @rule(ends=st.lists(st.tuples(picks, outcomes, st.booleans()), min_size=1, max_size=4))
    def some_go(self, ends: list[tuple[int, Outcome, bool]]) -> None:
        """Let go what is held, wait until a task is due, claim it and end it: the usual way, so that runs get far."""
        for pick, outcome, arrived in ends:
            if self.books.in_state(WAITING):
                self._goes(_picked(pick, self.keeper.waiting()), outcome, arrived=arrived)

    @precondition(lambda self: self.books.in_state(WAITING))
    @rule(pick=picks)
    def far_side_is_down(self, pick: int) -> None:
        """For all the tries that a task has."""
        task = _picked(pick, self.keeper.waiting())
        while task.may_be_claimed(max(self.keeper.now, task.due_at)):
            self._goes(task, Deferred("down"), arrived=False)

    def _goes(self, task: TaskTruth, outcome: Outcome, *, arrived: bool) -> None:
        self._claim_when_due(task)
        if task.id in self.keeper.live:
            self.keeper.end([(self.keeper.live[task.id], outcome, arrived)])

    def _claim_when_due(self, task: TaskTruth) -> None:
        self.keeper.let_go()
        self.keeper.set_clock(max(self.keeper.now, task.due_at))
        while task.may_be_claimed(self.keeper.now):  # others may go before it
            self.keeper.claim(task.channel, 1)

    @precondition(lambda self: self.keeper.live)
    @rule(pick=picks, wait=st.sampled_from([0.0, 7.5]))
    def give_back(self, pick: int, wait: float) -> None:
        self.keeper.give_back(self._running(pick), wait)

    @precondition(lambda self: self.keeper.lost)
    @rule(pick=picks, outcome=outcomes | st.none(), overtaken=st.booleans())
    def a_lost_claim_comes_late(self, pick: int, outcome: Outcome | None, overtaken: bool) -> None:
        """When the task is claimed again already, if it can be."""
        waiting = {task.id for task in self.books.in_state(WAITING)} if overtaken else set()
        task = _picked(pick, [task for task in self.keeper.lost if task.id in waiting] or self.keeper.lost)
        if task.id in waiting:
            self._claim_when_due(self.books.tasks[task.id])
        self.keeper.come_late(task, outcome)

    def _running(self, pick: int) -> Task:
        return _picked(pick, list(self.keeper.live.values()))

    # -- the process ends, and another one starts

    @precondition(lambda self: self.keeper.live)
    @rule(arrived=st.booleans(), set_back=set_backs, first=sends)
    def crash(self, arrived: bool, set_back: float, first: Send) -> None:
        """`first` comes after it."""
        self.keeper.crash(arrived=arrived, set_back=set_back)
        self.keeper.accept([first], RECIPIENTS[:1])

    @precondition(lambda self: self.books.messages)
    @rule(clean=st.booleans(), paused=st.booleans(), set_back=set_backs, first=sends)
    def restart(self, clean: bool, paused: bool, set_back: float, first: Send) -> None:
        """What waits may be paused before."""
        if paused and (waiting := self.keeper.waiting()):
            self.keeper.pause(waiting[0].channel)
        if clean or self.keeper.live:
            self.keeper.restart(set_back=set_back)
        else:
            self.keeper.crash(arrived=False, set_back=set_back)
        self.keeper.accept([first], RECIPIENTS[:1])

    @precondition(lambda self: self.keeper.live)
    @rule()
    def reopen(self) -> None:
        self.keeper.reopen()

    # -- the operator

    @precondition(lambda self: not self.keeper.paused and not self.keeper.in_maintenance)
    @rule(channel=st.none() | channels)
    def hold(self, channel: str | None) -> None:
        """A channel is paused, or maintenance begins."""
        if channel is None:
            self.keeper.maintain(on=True)
        else:
            self.keeper.pause(channel)

    @precondition(lambda self: self.keeper.paused or self.keeper.in_maintenance)
    @rule()
    def let_go(self) -> None:
        self.keeper.let_go()

    # -- time

    @rule(seconds=jumps)
    def time_passes(self, seconds: float) -> None:
        self.keeper.pass_time(seconds)

    @precondition(lambda self: self.books.expiries(self.keeper.now))
    @rule(pick=picks)
    def an_expiry_comes(self, pick: int) -> None:
        """To the very moment."""
        self.keeper.set_clock(_picked(pick, self.books.expiries(self.keeper.now)))

    @precondition(lambda self: self.books.due_later(self.keeper.now))
    @rule(set_back=set_backs)
    def the_clock_is_followed(self, set_back: float) -> None:
        self.keeper.pass_time(-set_back)
        self.keeper.follow_clock()

    @precondition(lambda self: self.books.messages)
    @rule()
    def sweep(self) -> None:
        self.keeper.sweep()

    @precondition(lambda self: self.books.ended_messages())
    @rule(keep=st.sampled_from([0.0, 3600.0, 2 * DAY]))
    def forget(self, keep: float) -> None:
        """Then the keys of what left come again."""
        self.keeper.forget(keep)
        left = [key.send for key in self.books.keys.values() if key.message_id not in self.books.messages]
        if left:
            self.keeper.accept(left, RECIPIENTS[:1])


def machine(make: Callable[[SetClock], UnderTest], run: Run) -> type[DeliveryMachine]:
    """`make` gives each example a store of its own."""

    class Machine(DeliveryMachine):
        def __init__(self) -> None:
            super().__init__(make, run)

    return Machine


def _picked(pick: int, among: Sequence[T]) -> T:
    return among[pick % len(among)]
