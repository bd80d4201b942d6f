"""One run of the exporter: batch after batch to the main server, until nothing is ready (Q10, Q11).

A batch is on disk before its first byte is sent, and a question is forgotten only in the transaction that writes down
the server's yes. Between the two nothing can be lost; and as every try is the same bytes under the same key, whatever
ended it, the server can tell that it has the batch already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

from vestnik.errors import VestnikError
from vestnik.quiz.export import batches
from vestnik.quiz.export.answers import Denied, Later, Refused, Taken
from vestnik.quiz.export.batches import STUCK, Batch, Settled
from vestnik.quiz.export.main_server import MainServer
from vestnik.quiz.export.metrics import ExportMetrics
from vestnik.quiz.export.pace import Early, Pace
from vestnik.quiz.export.settings import ExportSettings
from vestnik.quiz.export.streaks import Streaks
from vestnik.quiz.store import sending
from vestnik.runtime.clock import Clock, monotonic, wall
from vestnik.runtime.log import get_logger
from vestnik.scheduler.job import Start, Wish
from vestnik.storage.database import Database

log = get_logger(__name__)

JOB = "export"  # its jobId


class PutOff(VestnikError):
    """The rest is sent later."""

    code = "export_put_off"


class ExportStopped(VestnikError):
    """Somebody has to look before anything more is sent."""

    code = "export_stopped"


@dataclass(slots=True)
class Sent:
    """What a run did."""

    batches: int = 0  # requests, each try counted
    taken: int = 0  # questions that the main server has
    invalid: int = 0  # questions that went back to the moderators


class Exporter:
    def __init__(
        self,
        settings: ExportSettings,
        database: Database,
        server: MainServer,
        metrics: ExportMetrics,
        *,
        clock: Clock = monotonic,
    ) -> None:
        self._settings = settings
        self._database = database
        self._server = server
        self._metrics = metrics
        self._clock = clock
        self._streaks = Streaks()
        self.sent = Sent()  # by the run under way, or the last one
        self.pace = Pace(settings.retry_delay.total_seconds(), settings.max_retry_delay.total_seconds())

    async def early(self) -> Wish | None:
        """Why a run should begin before its time (Q10); None when it need not."""
        backlog = await self._database.read(batches.backlog)
        reason = self.pace.early(backlog, self._settings.threshold, self._clock())
        if reason is None:
            return None
        return Wish(reason.value, Start.EARLY if reason is Early.MANY_READY else Start.RETRY)

    async def run(self, ending: Callable[[], bool]) -> None:
        """Returns when nothing is left to send, or no more may be: `ending` is asked before each batch.

        Raises PutOff, ExportStopped, StoreUnavailable.
        """
        self.sent = Sent()
        try:
            self._wait_as_asked()
            await self._send_all(ending)
        except PutOff:  # has its own delay
            raise
        except Exception as error:
            self.pace = self.pace.put_off(Later(str(error)), sends=1, now=self._clock())
            raise
        self.pace = self.pace.went_well()

    def _wait_as_asked(self) -> None:
        left = self.pace.asked_until - self._clock()
        if left > 0:
            raise PutOff(f"the main server asked to be left alone for {left:.0f} s more")

    async def _send_all(self, ending: Callable[[], bool]) -> None:
        aside: dict[str, Batch] = {}
        trouble: Later | None = None
        while not ending():
            batch = await self._take_up(aside)
            if batch is None:
                break
            found = await self._send(batch)
            self._watch(batch, found)
            if found is None:
                continue
            if not (found.of_batch and batch.sends >= STUCK):
                self.pace = self.pace.put_off(found, batch.sends, self._clock())
                raise PutOff(self._described(found))
            aside[batch.id], trouble = batch, found
        if trouble:
            self._leave_stuck(list(aside.values()), trouble)

    def _leave_stuck(self, stuck: list[Batch], trouble: Later) -> None:
        self.pace = self.pace.set_aside(min(batch.sends for batch in stuck), self._clock())
        ids = ", ".join(batch.id for batch in stuck)
        raise PutOff(f"everything else is sent, but not the batches {ids}: {self._described(trouble)}")

    async def _take_up(self, aside: dict[str, Batch]) -> Batch | None:
        work = partial(
            batches.take_up, new_id=str(uuid4()), size=self._settings.batch, aside=frozenset(aside), now=wall()
        )
        return await self._database.write(work)

    async def _send(self, batch: Batch) -> Later | None:
        """One try, and what followed from it written down; None when the batch is closed."""
        verdict = await self._server.post(batch)
        self.sent.batches += 1
        self._metrics.answered(verdict)
        match verdict:
            case Taken():
                return await self._settle(batch, verdict)
            case Refused(reason):
                await self._take_apart(batch, reason)
                return None
            case Denied(reason):
                await self._keep(batch, reason)
                raise self._stopped(reason)
            case Later(reason):
                await self._keep(batch, reason)
                log.warning("batch put off", batch=batch.id, tries=batch.sends, unclear=verdict.unclear, reason=reason)
                return verdict

    async def _settle(self, batch: Batch, taken: Taken) -> Later | None:
        settled = await self._database.write(partial(batches.settle, batch=batch, taken=taken, now=wall()))
        log.info("batch sent", batch=batch.id, taken=settled.gone, invalid=len(settled.refused), tries=batch.sends)
        await self._count(settled, next(iter(taken.invalid.values()), ""))
        if not settled.left:
            return None
        reason = (
            f"the main server did not say what became of {settled.left} of {len(batch.members)} questions: {taken.said}"
        )
        await self._keep(batch, reason)
        return Later(reason, unclear=True, of_batch=True)

    async def _take_apart(self, batch: Batch, reason: str) -> None:
        new_ids = (str(uuid4()), str(uuid4()))
        work = partial(batches.take_apart, batch=batch, reason=reason, new_ids=new_ids, now=wall())
        settled = await self._database.write(work)
        log.warning("batch refused", batch=batch.id, questions=len(batch.members), reason=reason)
        await self._count(settled, reason)

    async def _keep(self, batch: Batch, reason: str) -> None:
        await self._database.write(partial(batches.keep, batch=batch, error=reason))

    async def _count(self, settled: Settled, reason: str) -> None:
        """Raises ExportStopped when the server takes nothing any more: a wrong address, a changed interface."""
        self._metrics.settled(settled)
        self.sent.taken += settled.gone
        self.sent.invalid += len(settled.refused)
        if settled.gone:
            self._metrics.stopped.set(0)
        self._streaks = self._streaks.settled(settled)
        if self._streaks.refuses_everything:
            raise self._stopped(f"{await self._take_back_refusals()}, the last with: {reason}")

    async def _take_back_refusals(self) -> str:
        """It was not for what is in the questions: they are ready again. Returns what to say about it."""
        refused = self._streaks.refused
        count = await self._database.write(partial(sending.take_back_refusals, ids=refused))
        self._streaks = replace(self._streaks, refused=())
        self._metrics.taken_back(count)
        self.sent.invalid = max(0, self.sent.invalid - count)
        return f"the main server refused {len(refused)} questions in a row ({count} of them are ready again)"

    def _watch(self, batch: Batch, later: Later | None) -> None:
        self._streaks = self._streaks.tried(later)
        self._metrics.unclear.set(self._streaks.unclear)
        if later and later.unclear and self._streaks.is_not_understood:
            log.error("export unclear", tries=self._streaks.unclear, batch=batch.id, reason=later.reason)

    def _described(self, later: Later) -> str:
        if not (later.unclear and self._streaks.is_not_understood):
            return later.reason
        return f"{later.reason}; {self._streaks.unclear} tries in a row ended unclear, everything is kept"

    def _stopped(self, reason: str) -> ExportStopped:
        self._metrics.stopped.set(1)
        log.error("export stopped", reason=reason)
        return ExportStopped(reason)
