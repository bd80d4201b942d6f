"""Lets one thing after another happen to a daemon, does the same to the books, and checks what the daemon answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from deliveries import NOW, SetClock
from happened import Happened, what_came
from invariants import Audit, Invariant, must
from runs import Run
from truth import CHANNELS, Books, MessageTruth, TaskTruth
from under_test import Answer, UnderTest

from vestnik.delivery.model import WAITING, Outcome, Priority, Task, TaskState
from vestnik.delivery.service import Send
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.intake import OtherContent, Registered

DAY = 86_400.0

_CANCELED = {
    Cancellation.CANCELED: Happened.CANCELED,
    Cancellation.TOO_LATE_TO_PROMISE: Happened.CANCEL_REQUESTED,
    Cancellation.ENDED: Happened.CANCEL_TOO_LATE,
}


class Bookkeeper:
    def __init__(self, daemon: UnderTest, clock: SetClock, run: Run) -> None:
        self.books = Books()
        self.live: dict[int, Task] = {}  # claims that their holders can still end
        self.lost: list[Task] = []  # claims that were ended, given back, or lost with their process
        self.paused: set[str] = set()
        self.in_maintenance = False
        self._daemon = daemon
        self._clock = clock
        self._run = run
        self._happened = run.happened
        self._audit = Audit(self.books)
        self._latest_accept = NOW
        self._restarted = False  # since the latest accept
        daemon.start()

    @property
    def now(self) -> float:
        return self._clock.now

    def compare(self) -> None:
        """Every row with the books."""
        self._run.comparisons += 1
        self._audit.check(self._daemon.rows(), self._daemon.owner)

    # -- messages

    def accept(self, sent: Sequence[Send], recipients: Sequence[str]) -> None:
        """All of them at once: of several with one key any may be the first."""
        answers = zip(sent, self._daemon.accept(sent, recipients), strict=True)
        for send, answer in sorted(answers, key=lambda found: not _is_new(found[1])):
            self._note_answer(send, answer, recipients)

    def _note_answer(self, send: Send, answer: Answer, recipients: Sequence[str]) -> None:
        known = self.books.key(send)
        if isinstance(answer, OtherContent):
            must(known is not None and not known.says(send), Invariant.I17, f"{send} is refused, {known} is known")
            self._happened[Happened.OTHER_CONTENT] += 1
        elif not answer.new:
            same = known is not None and known.says(send) and answer.id == known.message_id
            must(same, Invariant.I17, f"{send} is said to be {answer}, {known} is known")
            self._happened[Happened.REPEATED] += 1
            self._happened[Happened.REPEATED_AFTER_ALL] += answer.id not in self.books.messages
        else:
            must(known is None or not known.promised, Invariant.I17, f"{send} is new, though {known} is known")
            self._enter(answer.id, send, recipients)
            self._happened[Happened.KEY_OVER if known else Happened.ACCEPTED] += 1
            self._happened[Happened.SCHEDULED] += send.delay > 0
            self._note_time_of_accept()

    def _note_time_of_accept(self) -> None:
        if self.now >= self._latest_accept:
            self._latest_accept, self._restarted = self.now, False
        else:
            self._happened[Happened.ID_AFTER_CLOCK_BACK] += self._restarted

    def _enter(self, message_id: int, send: Send, recipients: Sequence[str], parent_id: int | None = None) -> None:
        """Put a message into the books, with the ids that the store gave it."""
        rows = self._daemon.rows()
        must(message_id in rows.messages, Invariant.I1, f"message {message_id} was accepted and is not there")
        tasks = [row for row in rows.tasks.values() if row["message_id"] == message_id]
        again = self.books.ids & {message_id, *(row["id"] for row in tasks)}
        must(not again, Invariant.I18, f"given out again: {again}")
        must([row["recipient"] for row in tasks] == list(recipients), Invariant.I1, [tuple(row) for row in tasks])
        of_mailing = any(row["mailing_id"] is not None for row in tasks)
        message = MessageTruth(
            id=message_id, send=send, created_at=self.now, parent_id=parent_id, of_mailing=of_mailing
        )
        message.tasks = [message.new_task(row["id"], row["recipient"]) for row in tasks]
        self.books.accepted(message)

    def cancel(self, message: MessageTruth) -> None:
        expected = message.cancel(self.now)
        got = self._daemon.cancel(message.id)
        must(got is expected, Invariant.STATES, f"canceling said {got}, not {expected}")
        self._happened[_CANCELED[got]] += 1

    def send_again(self, old: MessageTruth) -> None:
        send = Send(channel=old.send.channel, text=old.send.text, subject=old.send.subject)
        self._enter(self._daemon.resend(old.id, old.missed), send, old.missed, old.id)
        self._happened[Happened.RESENT] += 1

    # -- claims, and what becomes of them

    def claim(self, channel: str, limit: int) -> None:
        due = self.books.claimable(channel, self.now)
        expected = [] if self._is_held(channel, due) else due[:limit]
        tasks = self._daemon.claim(channel, limit)
        for task in tasks:
            self._check_claim(task)
        got, wanted = [task.id for task in tasks], [task.id for task in expected]
        must(got == wanted, Invariant.CLAIMS, f"{got} were handed out, not {wanted}")
        self._note_claim(tasks, due)
        for task in tasks:
            self.books.tasks[task.id].claimed(self.now)
            self.live[task.id] = task
        self.compare()

    def _is_held(self, channel: str, due: Sequence[TaskTruth]) -> bool:
        self._happened[Happened.HELD] += channel in self.paused and bool(due)
        self._happened[Happened.MAINTENANCE] += self.in_maintenance and bool(due)
        return self.in_maintenance or channel in self.paused

    def _check_claim(self, task: Task) -> None:
        must(task.id in self.books.tasks, Invariant.I1, f"{task} is not owed to anybody")
        now, truth = self.now, self.books.tasks[task.id]
        must(task.id not in self.live, Invariant.I4, f"{task} is claimed already")
        must(not truth.ended, Invariant.I3, f"{task} was claimed: {truth}")
        must(truth.due_at <= now, Invariant.I5, f"{task} was claimed at {now}, it is due at {truth.due_at}")
        in_time = truth.expires_at is None or now < truth.expires_at
        must(in_time, Invariant.I6, f"{task} was claimed at {now}, it expires at {truth.expires_at}")
        must(not self.in_maintenance and task.channel not in self.paused, Invariant.HELD, f"{task} was handed out")
        most = CHANNELS[task.channel].retry.attempts
        must(
            task.attempts == truth.attempts + 1 <= most, Invariant.I10, f"{task} is no. {truth.attempts + 1} of {most}"
        )
        must(task.epoch == truth.epoch + 1, Invariant.I8, f"{task} has the epoch of an earlier claim, {truth.epoch}")
        content = (task.message_id, task.recipient, task.expires_at, task.text)
        known = self.books.messages[truth.message_id]
        must(content == (known.id, truth.recipient, truth.expires_at, known.send.text), Invariant.I1, task)
        past = (task.ambiguous, task.crashes, task.cancel_requested)
        must(past == (truth.ambiguous, truth.crashes, truth.cancel_requested), Invariant.I15, f"{task}, not {truth}")

    def _note_claim(self, tasks: Sequence[Task], due: Sequence[TaskTruth]) -> None:
        self._happened[Happened.CLAIMED if tasks else Happened.NOT_DUE] += 1
        first, left = due[: len(tasks)], due[len(tasks) :]
        earliest = min((task.due_at for task in left), default=self.now)
        self._happened[Happened.OVERTAKEN] += any(
            task.priority is Priority.SINGLE and earliest < task.due_at for task in first
        )

    def end(self, ends: Sequence[tuple[Task, Outcome, bool]]) -> None:
        """All of them at once; each with whether a copy arrived, seen or not. A second end of a task comes late."""
        written = self._daemon.end([(task, outcome) for task, outcome, _ in ends])
        for (task, outcome, arrived), taken in zip(ends, written, strict=True):
            if task.id in self.live:
                must(taken, Invariant.I4, f"the end of {task} was not taken")
                self._ended(task, outcome, arrived=arrived)
            else:
                must(not taken, Invariant.I8, f"a second end of {task} was taken: {outcome}")
        self.compare()

    def _ended(self, task: Task, outcome: Outcome, *, arrived: bool) -> None:
        truth = self.books.tasks[task.id]
        early = truth.due_at > self.now + 200  # put off from now, it would come before its time
        truth.came_to(outcome, self.now, arrived=arrived)
        self.lost.append(self.live.pop(task.id))
        self._happened[what_came(truth, outcome)] += 1
        self._happened[Happened.PUT_OFF_EARLIER] += early and truth.state is TaskState.DEFERRED

    def give_back(self, task: Task, wait: float) -> None:
        self.books.tasks[task.id].given_back(wait, self.now)
        self._daemon.give_back(task, wait)
        self.lost.append(self.live.pop(task.id))
        self._happened[Happened.GIVEN_BACK_WAITING if wait else Happened.GIVEN_BACK] += 1

    def come_late(self, task: Task, outcome: Outcome | None) -> None:
        """With a claim that is lost; without an outcome it is given back."""
        before, written = _plain(self._daemon.rows().tasks.values()), False
        if outcome is None:
            self._daemon.give_back(task, 0.0)
            self._happened[Happened.LATE_GIVE_BACK] += 1
        else:
            [written] = self._daemon.end([(task, outcome)])
            self._happened[Happened.LATE_AND_RUNNING if task.id in self.live else Happened.LATE] += 1
        after = _plain(self._daemon.rows().tasks.values())
        must(not written and before == after, Invariant.I8, f"{task} came to {outcome}: {before} became {after}")

    # -- the process

    def crash(self, *, arrived: bool, set_back: float) -> None:
        """While it is down the clock may be set back."""
        running = self.books.in_state([TaskState.RUNNING])
        self._daemon.kill()
        self.pass_time(-set_back)
        for task in running:
            task.crashed(self.now, arrived=arrived)
            self._happened[Happened.CRASHED_FOR_GOOD if task.state is TaskState.FAILED else Happened.CRASHED] += 1
        self._happened[Happened.CRASHED_IDLE] += not running
        self._start()

    def restart(self, *, set_back: float) -> None:
        self._happened[Happened.RESTARTED] += bool(self.live)
        for task in list(self.live.values()):
            self.give_back(task, 0.0)
        self._daemon.stop()
        self.pass_time(-set_back)
        self._start()

    def _start(self) -> None:
        self.lost += self.live.values()
        self.live.clear()
        self.books.memory_lost()
        self._audit.memory_lost()
        self.in_maintenance = False
        self._restarted = True
        self._daemon.start()
        for channel in self.paused:
            self._happened[Happened.HELD_OVER_RESTART] += bool(self.books.claimable(channel, self.now))
            self.claim(channel, 1)

    def reopen(self) -> None:
        self._happened[Happened.REOPENED] += bool(self.live)
        self._daemon.reopen()

    # -- the operator

    def pause(self, channel: str) -> None:
        self._daemon.hold(channel)
        self.paused.add(channel)

    def maintain(self, *, on: bool) -> None:
        self._daemon.maintenance(on=on)
        self.in_maintenance = on

    def let_go(self) -> None:
        """Everything that is held."""
        if self.in_maintenance:
            self.maintain(on=False)
        for channel in list(self.paused):
            self._daemon.release(channel)
            self.paused.remove(channel)

    # -- time

    def set_clock(self, now: float) -> None:
        self._clock.now = now
        self.books.clock_seen(now)

    def pass_time(self, seconds: float) -> None:
        """Below zero where the clock is set back."""
        self.set_clock(self.now + seconds)
        self._happened[Happened.CLOCK_FORWARD] += seconds > DAY
        self._happened[Happened.CLOCK_BACK] += seconds < 0

    def follow_clock(self) -> None:
        self._happened[Happened.FOLLOWED_BACK] += self.books.follow_clock(self.now)
        self._daemon.follow_clock()

    def sweep(self) -> None:
        self._happened[Happened.EXPIRED] += bool(self.books.expire(self.now))
        self._daemon.sweep()

    def forget(self, keep: float) -> None:
        before = self.now - keep
        rows = self._daemon.rows()
        self._daemon.forget(keep)
        left = rows.messages.keys() - self._daemon.rows().messages.keys()
        may_leave, has_to = self.books.forgettable(before), self.books.forgotten_by(before, self.now)
        must(left <= may_leave, Invariant.I1, f"{left - may_leave} are gone")
        must(left >= has_to, Invariant.FORGOTTEN, f"{has_to - left} are still there")
        self._audit.left(rows, left)
        self.books.forget(left)
        self._happened[Happened.FORGOTTEN] += bool(left)

    def waiting(self) -> Sequence[TaskTruth]:
        """Those that were tried before, if there are any, so that some come to their last try."""
        return self.books.in_state([TaskState.DEFERRED]) or self.books.in_state(WAITING)


def _is_new(answer: Answer) -> bool:
    return isinstance(answer, Registered) and answer.new


def _plain(rows: Iterable[sqlite3.Row]) -> list[tuple[object, ...]]:
    return [tuple(row) for row in rows]
