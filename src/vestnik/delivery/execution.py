"""The loop round a worker (D9), written once for all of them: reserve, get, deliver, settle.

One executor is one such loop; a channel has as many as its settings say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from vestnik.delivery.model import (
    Deferred,
    Delivered,
    Outcome,
    RefusedForGood,
    RetryPolicy,
    Settlement,
    Task,
    TaskState,
    settle,
)
from vestnik.delivery.queues.queue_manager import QueueManager
from vestnik.delivery.rates import Limiter
from vestnik.delivery.workers.worker import Refused, Unavailable, Worker
from vestnik.runtime import retry_after
from vestnik.runtime.clock import Clock, wall
from vestnik.runtime.deadlines import Deadlines, TimeLimit
from vestnik.runtime.log import bind_ids, get_logger
from vestnik.runtime.redaction import Redactor

log = get_logger(__name__)

SHORT_WAIT = 0.1  # seconds; for less it is not worth giving a task back
LONGEST_TEXT = 2_000  # characters kept of a reason or a receipt


class Observer(Protocol):
    """Who wants to know of attempts: the metrics, and the channel for its last error."""

    def started(self, task: Task) -> None: ...

    def ended(self, settlement: Settlement, seconds: float) -> None:
        """And so it is written."""

    def lost(self, task: Task) -> None:
        """It ended, but the row tells something else: this end counts for nothing."""


class Executor:
    """Takes tasks from a queue to a worker, one after another."""

    def __init__(
        self,
        queue: QueueManager,
        worker: Worker,
        *,
        policy: RetryPolicy,
        limiter: Limiter,
        timeout: float,
        observer: Observer,
        pause_channel: Callable[[str], Awaitable[None]],
        redact: Redactor,
        clock: Clock = wall,
    ) -> None:
        self._queue = queue
        self._worker = worker
        self._policy = policy
        self._limiter = limiter
        self._timeout = timeout
        self._observer = observer
        self._pause_channel = pause_channel
        self._redact = redact
        self._clock = clock
        self._busy = False
        self._settling: asyncio.Future[Any] | None = None
        self._deadlines = Deadlines()

    @property
    def busy(self) -> bool:
        """Whether a delivery is under way."""
        return self._busy

    async def run(self) -> None:
        """Until the terminating task comes."""
        try:
            while await self._round():
                pass
            await self.settled()
        finally:
            self._deadlines.close()

    async def _round(self) -> bool:
        await self._limiter.reserve()
        task = await self._next()
        if task is None:
            self._limiter.cancel()
            return False
        if not await self._may_start(task):
            return True
        bind_ids(channel=task.channel, message=task.message_id, task=task.id, attempt=task.attempts)
        try:
            await self._deliver(task)
        finally:
            bind_ids()
        return True

    async def _may_start(self, task: Task) -> bool:
        """Whether it goes now; if not, it has been given back."""
        wait: float | None = 0.0
        try:
            wait = await self._turn(task)
        finally:  # also when stopped: neither the place nor the task may be lost
            if wait is not None:
                self._limiter.cancel()
                await asyncio.shield(self._queue.give_back(task, wait))
        return wait is None

    async def _turn(self, task: Task) -> float | None:
        """None when it has come; else how long the task is to wait in the queue: 0 keeps its place there."""
        while not self._limiter.held() and (task.expires_at is None or self._clock() < task.expires_at):
            wait = self._limiter.start(task)
            if wait == 0:
                return None
            if wait > SHORT_WAIT:
                return wait
            await asyncio.sleep(wait)  # a rate has no event to wait for
        return 0.0

    async def _next(self) -> Task | None:
        """The next task. The last one is written down meanwhile, in the same commit as this claim."""
        task = None
        try:
            task = await self._queue.get()
            await self.settled()
        except BaseException:  # stopped, or a bug of ours: neither the place nor the task may be lost
            self._limiter.cancel()
            if task:
                await asyncio.shield(self._queue.give_back(task, 0.0))
            raise
        return task

    async def settled(self) -> None:
        """Return when the last attempt's end is written."""
        while settling := self._settling:
            if not settling.done():
                await asyncio.wait([settling])
            if settling.cancelled() or settling.exception():
                await asyncio.sleep(0)  # its callback begins another try
            if self._settling is settling:
                self._settling = None
                settling.result()

    async def _deliver(self, task: Task) -> None:
        began = self._clock()
        self._busy = True
        self._observe(lambda: self._observer.started(task))
        try:
            outcome = await self._attempt(task)
        except asyncio.CancelledError:
            # The daemon stops and cannot wait longer: the far side may have it already.
            self._settle(task, Deferred("the daemon stopped in the middle of this try", maybe_sent=True), began)
            await asyncio.shield(self.settled())
            raise
        finally:
            self._busy = False
        self._settle(task, outcome, began)

    async def _attempt(self, task: Task) -> Outcome:
        limit = TimeLimit(self._deadlines, self._timeout)
        try:
            with limit:
                receipt = await self._worker.deliver(task)
            return Delivered(None if receipt is None else self._kept(receipt))
        except Refused as error:
            return RefusedForGood(self._kept(error.reason))
        except Unavailable as error:
            return await self._unavailable(error)
        except asyncio.CancelledError as error:
            if _being_stopped():
                raise
            return self._bug(error)  # of something inside the worker: the executor goes on
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired:
                return Deferred(f"no end within {self._timeout:g} s", maybe_sent=True)
            return self._bug(error)

    def _bug(self, error: BaseException) -> Deferred:
        """In a worker: nobody knows how far it came, so the task counts as possibly sent."""
        log.error("the worker failed", exc_info=error)
        return Deferred(self._kept(f"{type(error).__name__}: {error}"), maybe_sent=True)

    async def _unavailable(self, error: Unavailable) -> Deferred:
        reason, wait = self._kept(error.reason), error.retry_after
        if wait is not None:
            # At least a moment, or a far side that says 0 would be asked again without end, as no try is used up.
            wait = min(max(retry_after.SHORTEST, wait), retry_after.LONGEST)
            self._limiter.hold(wait)
        if error.unauthorised:
            await self._pause(reason)
        return Deferred(reason, wait, error.maybe_sent, counts=wait is None and not error.unauthorised)

    async def _pause(self, reason: str) -> None:
        try:
            await self._pause_channel(reason)
        except Exception as error:  # the outcome of the attempt must not be lost with it
            log.error("the pause will not outlive a restart: %s", error)  # noqa: TRY400 - not a bug of ours

    def _kept(self, text: object) -> str:
        """What a far side or a worker said, as it can be stored: no secrets, any length, whatever the encoding was."""
        return self._redact(str(text)).encode("utf-8", "backslashreplace").decode()[:LONGEST_TEXT]

    def _settle(self, task: Task, outcome: Outcome, began: float) -> None:
        """Begin to write how it ended; `settled` waits for that."""
        now = self._clock()
        settlement = settle(task, outcome, self._policy, now)
        writing = self._queue.done(settlement)
        self._settling = writing
        # The callback runs in this context, so its lines bear the same ids.
        writing.add_done_callback(lambda _: self._written(writing, settlement, now - began))

    def _written(self, writing: asyncio.Future[TaskState | None], settlement: Settlement, seconds: float) -> None:
        if writing.cancelled():
            self._tell_lost(settlement, "broken off")
        elif (error := writing.exception()) is not None:
            self._settling = asyncio.create_task(self._write_again(settlement, seconds, error))
        else:
            self._tell(settlement, writing.result(), seconds)

    async def _write_again(self, settlement: Settlement, seconds: float, error: BaseException) -> None:
        """Until it is written: an end that is not on disk would be tried again after a restart."""
        pause = 0.5
        while True:
            log.error("cannot write how it ended, trying again: %s", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
            try:
                state = await self._queue.done(settlement)
            except Exception as again:
                error = again
            else:
                self._tell(settlement, state, seconds)
                return

    def _tell(self, settlement: Settlement, state: TaskState | None, seconds: float) -> None:
        """What the row says now, which need not be what was decided before it was written."""
        if state is None:
            self._tell_lost(settlement, "the task is not this executor's any more")
            return
        if state is not settlement.state:
            settlement = settlement._replace(state=state, due_at=None)
        self._observe(lambda: self._observer.ended(settlement, seconds))
        _log(settlement)

    def _tell_lost(self, settlement: Settlement, why: str) -> None:
        self._observe(lambda: self._observer.lost(settlement.task))
        log.warning("how it ended is not written", reason=why, state=settlement.state.value)

    def _observe(self, told: Callable[[], None]) -> None:
        """Whoever watches may fail; the task goes its way."""
        try:
            told()
        except Exception:
            log.exception("an observer of deliveries failed")


def _being_stopped() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _log(settlement: Settlement) -> None:
    match settlement.outcome:
        case Delivered(receipt):
            if log.isEnabledFor(logging.INFO):  # asked first: it is the line of every message
                log.info("delivered", **({"receipt": receipt} if receipt else {}))
        case RefusedForGood(reason):
            log.error("refused", reason=reason)
        case Deferred(reason):
            expected = settlement.state in (TaskState.DEFERRED, TaskState.CANCELED)
            level = logging.WARNING if expected else logging.ERROR
            log.log(level, settlement.state.value, reason=reason, maybe_sent=settlement.maybe_sent)
