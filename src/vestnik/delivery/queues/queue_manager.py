"""What a queue manager promises (D8). One suite, `tests/conformance`, holds every implementation to it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from vestnik.delivery.model import Settlement, Task, TaskState
from vestnik.delivery.store.intake import NewMessage, OtherContent, Registered


class QueueManager(Protocol):
    """The queue of one channel. Callers: the registry puts, executors get and report back."""

    def put(self, message: NewMessage) -> asyncio.Future[Registered | OtherContent]:
        """Done when the message is kept as safely as this queue keeps anything.

        Begun at once, so that a request need not be a task to wait. Raises StoreUnavailable, or fails with it.
        """

    async def get(self) -> Task | None:
        """Wait for the next due task and claim it: it is the caller's until `done` or `give_back`.

        None is the terminating task: the executor that gets it ends.
        """

    def done(self, settlement: Settlement) -> asyncio.Future[TaskState | None]:
        """Write how the attempt ended; None when the task was no longer the caller's, and nothing changed.

        Else the state it is in now: what would have been tried again is canceled when that was asked for meanwhile.

        Begun at once, so that it shares its commit with the caller's next `get`. Fails with StoreUnavailable.
        """

    async def give_back(self, task: Task, wait: float) -> None:
        """Put back what was claimed but not begun; it is due again in `wait` seconds. No try is used up."""

    async def has_tasks(self) -> bool:
        """Whether any task is waiting, due or not."""

    async def hold(self, reason: str) -> None:
        """Hand nothing out until `resume` with the same reason. Returns when no claim is under way any more."""

    def resume(self, reason: str) -> None: ...

    def terminate(self, executors: int) -> None:
        """Put in terminating tasks, ahead of all others."""
