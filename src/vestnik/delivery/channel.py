"""A virtual channel (D6): a configured pair of one queue and one worker, with a name; and the registry of all (D7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from vestnik.delivery.execution import Executor, Observer
from vestnik.delivery.model import Settlement, Task, TaskState
from vestnik.delivery.queues.durable import DurableQueue
from vestnik.delivery.rates import Limiter
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.store.intake import NewMessage, OtherContent, Registered
from vestnik.delivery.workers.worker import Worker
from vestnik.errors import NotFound
from vestnik.runtime.log import get_logger
from vestnik.runtime.redaction import Redactor
from vestnik.storage.database import Database

log = get_logger(__name__)

PAUSED = "paused"
MAINTENANCE = "maintenance"
LAST_WRITES = 2.0  # seconds that ends of deliveries have to be written when a channel stops


class Channel:
    """Built stopped; `activate` starts its executors, `deactivate` ends them."""

    def __init__(
        self,
        name: str,
        settings: ChannelSettings,
        worker: Worker,
        *,
        database: Database,
        queue: DurableQueue,
        observer: Observer,
        redact: Redactor,
        pause: Callable[[str, str], Awaitable[None]],
    ) -> None:
        """`pause(channel, reason)` pauses it so that it stays paused over a restart."""
        self.name = name
        self.settings = settings
        self.worker = worker
        self.database = database
        self.queue = queue
        self.paused: str | None = None  # the reason, while it is
        self.last_error: str | None = None
        self.last_error_at: float | None = None
        self._observer = observer
        self._redact = redact
        self._pause = pause
        self._active = False
        self._running: list[tuple[Executor, asyncio.Task[None]]] = []

    async def activate(self) -> None:
        """Open the worker and start the executors."""
        rate = self.settings.rate
        limiter = Limiter(rate.total, rate.per_recipient)
        self._active = True
        await self.worker.start()
        self.queue.start()
        for number in range(self.settings.executors):
            executor = self._executor(limiter)
            task = asyncio.create_task(self._run(executor), name=f"executor {number} of {self.name}")
            self._running.append((executor, task))

    async def deactivate(self, grace: float) -> None:
        """Put in the terminating tasks, let deliveries end for `grace` seconds, then break them off."""
        if not self._active:  # one before it did not come up
            return
        self._active = False
        self.queue.terminate(len(self._running))
        tasks = [task for _, task in self._running]
        idle = [task for executor, task in self._running if not executor.busy]
        if idle:  # those wait for a rate or a task, and the terminating one may be far
            await asyncio.wait(idle, timeout=0.1)
        for executor, task in self._running:
            if not executor.busy:
                task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                log.warning("broke off a delivery that did not end", channel=self.name)
                task.cancel()
        await self._written()
        self._running.clear()
        await self.queue.stop()
        try:
            await self.worker.stop()
        except Exception:
            log.exception("the worker did not stop cleanly", channel=self.name)

    async def _written(self) -> None:
        """Wait for the last ends to be written; not for ever, as the database may be out of reach."""
        ends = [task for _, task in self._running]
        ends += [asyncio.create_task(executor.settled()) for executor, _ in self._running]
        if not ends:
            return
        done, late = await asyncio.wait(ends, timeout=LAST_WRITES)
        for task in done:
            if not task.cancelled() and (error := task.exception()):
                log.error("an executor failed at its end", channel=self.name, exc_info=error)
        for task in late:
            task.cancel()
        if late:
            log.error("could not write how deliveries ended: they count as possibly sent", channel=self.name)

    def started(self, task: Task) -> None:
        self._observer.started(task)

    def ended(self, settlement: Settlement, seconds: float) -> None:
        if settlement.state is not TaskState.DELIVERED:
            self.last_error, self.last_error_at = settlement.error, time.time()
        self._observer.ended(settlement, seconds)

    def lost(self, task: Task) -> None:
        self._observer.lost(task)

    def _executor(self, limiter: Limiter) -> Executor:
        return Executor(
            self.queue,
            self.worker,
            policy=self.settings.policy(),
            limiter=limiter,
            timeout=self.settings.timeout.total_seconds(),
            observer=self,
            pause_channel=lambda reason: self._pause(self.name, reason),
            redact=self._redact,
        )

    async def _run(self, executor: Executor) -> None:
        """An executor must not die of an error: it starts again, and the log has the traceback."""
        while True:
            try:
                await executor.run()
            except Exception:
                log.exception("an executor failed", channel=self.name)
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    return  # it failed while it was being stopped
                await asyncio.sleep(1.0)
            else:
                return


class ChannelRegistry:
    """All channels by name. Fixed once the daemon runs."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels.values())

    def register(self, channel: Channel) -> None:
        if channel.name in self._channels:
            raise ValueError(f"a channel {channel.name!r} is registered already")
        self._channels[channel.name] = channel

    def exists(self, name: str) -> bool:
        return name in self._channels

    def get(self, name: str) -> Channel:
        """Raises NotFound."""
        if name not in self._channels:
            raise NotFound(f"there is no channel {name!r}")
        return self._channels[name]

    async def activate(self, name: str) -> None:
        await self.get(name).activate()

    async def deactivate(self, name: str, grace: float) -> None:
        await self.get(name).deactivate(grace)

    def create_task(self, message: NewMessage) -> asyncio.Future[Registered | OtherContent]:
        """Put a message into its channel's queue. Raises NotFound; the rest as `QueueManager.put`."""
        return self.get(message.channel).queue.put(message)
