"""Bugs that queues like this one have had, each put into the store on purpose: the machine must catch every one.

Without them nobody would notice that the machine has stopped looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from invariants import Invariant
from service_under_test import ServiceUnderTest
from under_test import StoreUnderTest

from vestnik.delivery.channel import PAUSED
from vestnik.delivery.model import ENDED, Deferred, MessageId, Outcome, Settlement, Task, TaskState
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.service import Delivery
from vestnik.delivery.store.cancellation import Cancellation
from vestnik.delivery.store.intake import NewMessage
from vestnik.storage.database import Connection


class SendExpired(StoreUnderTest):
    """A claim does not look at the expiry."""

    def claim_on(self, connection: Connection, channel: str, limit: int) -> list[Task]:
        over = connection.execute("SELECT expires_at, id FROM task WHERE expires_at <= ?", (self.clock.now,)).fetchall()
        connection.executemany("UPDATE task SET expires_at = NULL WHERE id = ?", [(row["id"],) for row in over])
        tasks = super().claim_on(connection, channel, limit)
        connection.executemany("UPDATE task SET expires_at = ? WHERE id = ?", over)
        return tasks


class CountOnFinish(StoreUnderTest):
    """An attempt counts when it ends: one that takes the daemon down counts never."""

    def claim_on(self, connection: Connection, channel: str, limit: int) -> list[Task]:
        tasks = super().claim_on(connection, channel, limit)
        connection.executemany("UPDATE task SET attempts = attempts - 1 WHERE id = ?", [(task.id,) for task in tasks])
        return tasks


class NoFence(StoreUnderTest):
    """An end is written whoever holds the task by now."""

    def end_on(self, connection: Connection, ends: Sequence[Settlement]) -> list[bool]:
        written = super().end_on(connection, ends)
        late = [(end.state, end.task.id) for end, done in zip(ends, written, strict=True) if not done]
        connection.executemany("UPDATE task SET state = ?, owner = NULL WHERE id = ?", late)
        return [True] * len(ends)


class AmbiguousAsSafe(StoreUnderTest):
    """A connection that broke after the hand-over counts as one that was never made."""

    def settlement(self, task: Task, outcome: Outcome) -> Settlement:
        if isinstance(outcome, Deferred) and not task.ambiguous:
            outcome = replace(outcome, maybe_sent=False)
        return super().settlement(task, outcome)


class ExpireRunning(StoreUnderTest):
    """The sweeper ends what is running, too."""

    def expire_on(self, connection: Connection) -> None:
        super().expire_on(connection)
        connection.execute(
            "UPDATE task SET state = 'expired', owner = NULL WHERE state = 'running' AND expires_at <= ?",
            (self.clock.now,),
        )


class RescueForever(StoreUnderTest):
    """What was running when the daemon died is taken up again, however often that has happened."""

    def recover_on(self, connection: Connection) -> None:
        connection.execute("UPDATE task SET state = 'deferred', owner = NULL, maybe_sent = 1 WHERE state = 'running'")


class CancelTerminal(StoreUnderTest):
    """A cancel does not look at the state."""

    def cancel_on(self, connection: Connection, message_id: MessageId) -> Cancellation:
        answer = super().cancel_on(connection, message_id)
        connection.execute(
            "UPDATE task SET state = 'canceled' WHERE message_id = ? AND state <> 'running'", (message_id,)
        )
        return answer


class DeleteFirst(StoreUnderTest):
    """A task leaves the store when it is handed out."""

    def claim_on(self, connection: Connection, channel: str, limit: int) -> list[Task]:
        tasks = super().claim_on(connection, channel, limit)
        connection.executemany("DELETE FROM task WHERE id = ?", [(task.id,) for task in tasks])
        return tasks


class KeyDiesWithRow(StoreUnderTest):
    """An idempotency key is forgotten as soon as its message has ended."""

    def end_on(self, connection: Connection, ends: Sequence[Settlement]) -> list[bool]:
        ended = [(end.task.message_id,) for end in ends if end.state in ENDED]
        connection.executemany("DELETE FROM idempotency WHERE message_id = ?", ended)
        return super().end_on(connection, ends)


class RowidReuse(StoreUnderTest):
    """A new id is one above the highest that is left."""

    def highest_id(self, connection: Connection) -> int:
        return int(connection.execute("SELECT coalesce(max(id), 0) FROM task").fetchone()[0])


class DueReset(StoreUnderTest):
    """A wait counts from now, also when the clock was set back meanwhile."""

    def end_on(self, connection: Connection, ends: Sequence[Settlement]) -> list[bool]:
        written = super().end_on(connection, ends)
        put_off = [
            (end.due_at, end.task.id)
            for end, done in zip(ends, written, strict=True)
            if done and end.state is TaskState.DEFERRED
        ]
        connection.executemany("UPDATE task SET due_at = ? WHERE id = ?", put_off)
        return written


# -- further ones, for the invariants that the eleven above leave alone


class IdsOfMemoryAgain(StoreUnderTest):
    """The ceiling of ids does not cover what is kept in memory."""

    def keep_ids(self, messages: Sequence[NewMessage]) -> None:
        pass


class DeliveredByCrash(StoreUnderTest):
    """Whose end was not seen counts as delivered."""

    def recover_on(self, connection: Connection) -> None:
        connection.execute(
            "UPDATE task SET state = 'delivered', owner = NULL, maybe_sent = 1, crashes = crashes + 1"
            " WHERE state = 'running'"
        )


class HandedOutTwice(StoreUnderTest):
    """A claim that finds too little hands out what is running already."""

    _latest: Task | None = None

    def claim_on(self, connection: Connection, channel: str, limit: int) -> list[Task]:
        tasks = super().claim_on(connection, channel, limit)
        if self._latest and len(tasks) < limit:
            still = "SELECT 1 FROM task WHERE id = ? AND epoch = ? AND state = 'running'"
            if connection.execute(still, (self._latest.id, self._latest.epoch)).fetchone():
                return [*tasks, self._latest]
        self._latest = tasks[-1] if tasks else self._latest
        return tasks


class LeftRunning(StoreUnderTest):
    """Nobody takes up what the last daemon left."""

    def recover_on(self, connection: Connection) -> None:
        pass


class MarkWipedByYes(StoreUnderTest):
    """A later yes hides that there may be two copies."""

    def end_on(self, connection: Connection, ends: Sequence[Settlement]) -> list[bool]:
        written = super().end_on(connection, ends)
        connection.execute("UPDATE task SET maybe_sent = 0 WHERE state = 'delivered'")
        return written


class ThirdCopy(StoreUnderTest):
    """Ends that nobody saw are not counted."""

    def settlement(self, task: Task, outcome: Outcome) -> Settlement:
        return super().settlement(task._replace(ambiguous=0), outcome)


class OwnerKept(StoreUnderTest):
    """What is given back keeps its owner."""

    def give_back_on(self, connection: Connection, task: Task, due: float) -> bool:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        written = super().give_back_on(connection, task, due)
        if written:
            connection.execute("UPDATE task SET owner = ? WHERE id = ?", (self.owner, task.id))
        return written


class PauseForgotten(StoreUnderTest):
    """A restart lets everything go."""

    def pauses_on(self, connection: Connection) -> set[str]:
        return set()


class CountsDrift(StoreUnderTest):
    """A cancel changes the state and not the counts."""

    def cancel_on(self, connection: Connection, message_id: MessageId) -> Cancellation:
        before = connection.execute("SELECT count, channel, state FROM task_count").fetchall()
        answer = super().cancel_on(connection, message_id)
        connection.executemany("UPDATE task_count SET count = ? WHERE channel = ? AND state = ?", before)
        return answer


class JournalGaps(StoreUnderTest):
    """Only the last attempt is kept."""

    def end_on(self, connection: Connection, ends: Sequence[Settlement]) -> list[bool]:
        connection.executemany("DELETE FROM attempt WHERE task_id = ?", [(end.task.id,) for end in ends])
        return super().end_on(connection, ends)


class BulkFirst(StoreUnderTest):
    """A mailing goes before a single send."""

    def claim_on(self, connection: Connection, channel: str, limit: int) -> list[Task]:
        connection.execute("UPDATE task SET priority = 1 - priority")
        tasks = super().claim_on(connection, channel, limit)
        connection.execute("UPDATE task SET priority = 1 - priority")
        return tasks


class CancelForgotten(StoreUnderTest):
    """A cancel that came while a task was running is lost when the try fails."""

    def end_on(self, connection: Connection, ends: Sequence[Settlement]) -> list[bool]:
        forget = "UPDATE task SET cancel_requested = 0 WHERE id = ? AND epoch = ? AND state = 'running'"
        connection.executemany(forget, [(end.task.id, end.task.epoch) for end in ends])
        return super().end_on(connection, ends)


class ForgetOpen(StoreUnderTest):
    """What came long ago is deleted, whether or not it has ended."""

    def forget_on(self, connection: Connection, before: float, after: int) -> int | None:
        connection.execute(
            "DELETE FROM task WHERE finished_at IS NULL"
            " AND message_id IN (SELECT id FROM message WHERE created_at < ?)",
            (before,),
        )
        return super().forget_on(connection, before, after)


class JournalStays(StoreUnderTest):
    """Messages leave, and their attempts do not."""

    def forget_on(self, connection: Connection, before: float, after: int) -> int | None:
        attempts = connection.execute("SELECT * FROM attempt").fetchall()
        after_that = super().forget_on(connection, before, after)
        connection.executemany("INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, ?, ?, ?)", map(tuple, attempts))
        return after_that


class NothingForgotten(StoreUnderTest):
    """Nothing ever leaves."""

    def forget_on(self, connection: Connection, before: float, after: int) -> int | None:
        return None


class ForgetfulService(Delivery):
    async def _keep_ids(self, highest: int) -> None:
        pass


class IdsOfMemoryAgainInService(ServiceUnderTest):
    """As `IdsOfMemoryAgain`, whole."""

    service_class = ForgetfulService


class DeafQueue(DurableQueue):
    async def hold(self, reason: str) -> None:
        if reason != PAUSED:
            await super().hold(reason)


class PauseIgnored(ServiceUnderTest):
    """A paused channel hands out what it has."""

    queue_class = DeafQueue


SEEDED_BUGS: dict[type[StoreUnderTest] | type[ServiceUnderTest], Invariant] = {
    SendExpired: Invariant.I6,
    CountOnFinish: Invariant.I10,
    NoFence: Invariant.I8,
    AmbiguousAsSafe: Invariant.I14,
    ExpireRunning: Invariant.I9,
    RescueForever: Invariant.I11,
    CancelTerminal: Invariant.I3,
    DeleteFirst: Invariant.I1,
    KeyDiesWithRow: Invariant.I17,
    RowidReuse: Invariant.I18,
    DueReset: Invariant.I5,
    IdsOfMemoryAgain: Invariant.I18,
    DeliveredByCrash: Invariant.I2,
    HandedOutTwice: Invariant.I4,
    LeftRunning: Invariant.I7,
    MarkWipedByYes: Invariant.I13,
    ThirdCopy: Invariant.I15,
    OwnerKept: Invariant.I16,
    PauseForgotten: Invariant.HELD,
    CountsDrift: Invariant.COUNTS,
    JournalGaps: Invariant.JOURNAL,
    BulkFirst: Invariant.CLAIMS,
    CancelForgotten: Invariant.STATES,
    ForgetOpen: Invariant.I1,
    JournalStays: Invariant.JOURNAL,
    NothingForgotten: Invariant.FORGOTTEN,
    IdsOfMemoryAgainInService: Invariant.I18,
    PauseIgnored: Invariant.HELD,
}
