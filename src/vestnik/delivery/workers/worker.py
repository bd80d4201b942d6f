"""What a worker is. This module is all that a worker, ours or from another package, needs to import.

A worker knows one way out: its settings, the texts it can carry, and how to hand one task over. The loop, retries,
rates, journal and maintenance are the daemon's (`delivery.execution`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from vestnik.delivery.model import Task

__all__ = ["Refused", "Task", "Unavailable", "Worker", "WorkerSettings"]


class Unavailable(Exception):
    """Later: the task is deferred and tried again.

    `retry_after`: seconds the far side asked us to wait; the whole channel waits, and no try is used up.
    `maybe_sent`: we handed the message over and did not see the end; the task is marked, and retried at most once.
    `unauthorised`: our own credentials were refused; the channel is paused, an alarm logged, no try used up.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        maybe_sent: bool = False,
        unauthorised: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.maybe_sent = maybe_sent
        self.unauthorised = unauthorised


class Refused(Exception):
    """Never: the far side does not take this message for this recipient, and will not later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WorkerSettings(BaseModel):
    """Base of every worker's `params`: frozen, unknown keys are errors, secrets are `pydantic.SecretStr`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Worker(ABC):
    """One way out. Built once per channel; `deliver` runs in as many executors at once as the channel has.

    The daemon calls `start` before the first `deliver`, `stop` after the last. `stop` must not raise.
    """

    #: Type of the channel's `params`. Subclasses narrow it, and annotate `settings` in `__init__` alike.
    Settings: ClassVar[type[WorkerSettings]]

    #: D5: the whole text has to match, or the send is answered 422 with `text_rule`.
    text_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[^\x00]+", re.DOTALL)
    #: Completes the sentence "message must be …".
    text_rule: ClassVar[str] = "a text without NUL characters"

    #: False: a `subject` given with a send is answered 422.
    takes_subject: ClassVar[bool] = False

    #: True: `deliver` reaches any phone number that a task names (79991234567), so mailings can use the channel.
    reaches_phones: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, settings: WorkerSettings, channel: str) -> None: ...

    @abstractmethod
    def recipients(self) -> Sequence[str]:
        """Whom a message goes to, each once: one task is stored for each. `("",)` where that has no meaning."""

    @abstractmethod
    async def deliver(self, task: Task) -> str | None:
        """Hand the task over; return what the far side called it, if anything.

        Raises `Refused` or `Unavailable`. Anything else raised counts as `Unavailable(maybe_sent=True)`: after a bug
        nobody knows how far it came. No secret may stand in a reason (the daemon removes those of `Settings`, too).
        """

    def text_problem(self, text: str) -> str | None:
        """What is wrong with a text, completing "message must be …"; None when it can be carried."""
        return None if self.text_pattern.fullmatch(text) else self.text_rule

    async def start(self) -> None:
        """Open what is kept open. The far side may be down: never raise for that, `deliver` will."""

    async def stop(self) -> None:
        """Close what `start` or `deliver` opened."""
