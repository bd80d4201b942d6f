"""What tests of delivery are made of: messages, a clock that is set, a worker that notes its calls."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from aiohttp import web
from aiohttp.test_utils import TestClient

from vestnik.delivery.build import DeliveryPart
from vestnik.delivery.model import (
    Delivered,
    MessageId,
    Outcome,
    Priority,
    RetryPolicy,
    Settlement,
    Task,
    TaskId,
    settle,
)
from vestnik.delivery.store import claims, intake
from vestnik.delivery.store.intake import NewMessage
from vestnik.delivery.workers.worker import Worker, WorkerSettings
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.storage.database import Connection, Database
from vestnik.web import api_keys
from vestnik.web.auth import JwtSettings, Tokens

Client = TestClient[web.Request, web.Application]

NOW = 1_800_000_000.0
POLICY = RetryPolicy()

_ids = itertools.count(1000)


class SetClock:
    """Stands still until it is told otherwise."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def message(
    channel: str = "alerts", *, recipients: Sequence[str] = ("",), due_at: float = NOW, **fields: Any
) -> NewMessage:
    """A new one with ids of its own."""
    values: dict[str, Any] = {
        "id": MessageId(next(_ids)),
        "text": "Hello",
        "subject": None,
        "sender": None,
        "created_at": NOW,
        "expires_at": None,
        "priority": Priority.SINGLE,
        **fields,
    }
    tasks = [(TaskId(next(_ids)), recipient) for recipient in recipients]
    return NewMessage(channel=channel, due_at=due_at, recipients=tasks, **values)


def stored(connection: Connection, channel: str = "alerts", **fields: Any) -> NewMessage:
    new = message(channel, **fields)
    intake.register(connection, new)
    return new


def claimed(connection: Connection, channel: str = "alerts", *, now: float = NOW) -> Task:
    """The one task that is claimed."""
    [task] = claims.claim(connection, channel, "owner", now, 1).tasks
    return task


def ended(task: Task, outcome: Outcome | None = None, *, now: float = NOW) -> Settlement:
    return settle(task, outcome or Delivered(), POLICY, now)


def row(connection: Connection, task: Task | TaskId) -> sqlite3.Row:
    task_id = task.id if isinstance(task, Task) else task
    found: sqlite3.Row = connection.execute("SELECT * FROM task WHERE id = ?", (task_id,)).fetchone()
    return found


def states(connection: Connection, new: NewMessage) -> list[str]:
    rows = connection.execute("SELECT state FROM task WHERE message_id = ? ORDER BY id", (new.id,))
    return [row["state"] for row in rows]


def counts_agree(connection: Connection) -> bool:
    """Whether the kept counts are what counting the rows gives, none of them below zero."""
    kept = {(r[0], r[1]): r[2] for r in connection.execute("SELECT channel, state, count FROM task_count") if r[2]}
    real = {(r[0], r[1]): r[2] for r in connection.execute("SELECT channel, state, count(*) FROM task GROUP BY 1, 2")}
    return kept == real and _mailing_counts_agree(connection)


def _mailing_counts_agree(connection: Connection) -> bool:
    kept = connection.execute("SELECT mailing_id, state, count FROM mailing_count WHERE count <> 0 ORDER BY 1, 2")
    real = connection.execute(
        "SELECT mailing_id, state, count(*) FROM task WHERE mailing_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return [tuple(r) for r in kept] == [tuple(r) for r in real] and _hours_agree(connection)


def _hours_agree(connection: Connection) -> bool:
    kept = connection.execute("SELECT mailing_id, hour, state, count FROM mailing_hour ORDER BY 1, 2, 3")
    real = connection.execute(
        "SELECT mailing_id, CAST(finished_at / 3600 AS INTEGER) * 3600, state, count(*) FROM task "
        "WHERE mailing_id IS NOT NULL AND finished_at IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [tuple(r) for r in kept] == [tuple(r) for r in real]


class RecordingSettings(WorkerSettings):
    recipients: tuple[str, ...] = ("",)


class RecordingWorker(Worker):
    """Notes the tasks it gets. Its failures are fields: what `raises` holds is raised, one by one."""

    Settings: ClassVar[type[WorkerSettings]] = RecordingSettings
    takes_subject = True

    def __init__(self, settings: RecordingSettings | None = None, channel: str = "alerts") -> None:
        self.to = (settings or RecordingSettings()).recipients
        self.tasks: list[Task] = []
        self.raises: list[BaseException] = []
        self.receipt: Any = None
        self.gate = asyncio.Event()  # deliveries wait for it
        self.gate.set()
        self.called = asyncio.Event()
        self.started = 0
        self.stopped = 0
        self.stop_raises: Exception | None = None

    def recipients(self) -> Sequence[str]:
        return self.to

    async def deliver(self, task: Task) -> str | None:
        self.tasks.append(task)
        self.called.set()
        await self.gate.wait()
        if self.raises:
            raise self.raises.pop(0)
        found: str | None = self.receipt
        return found

    async def start(self) -> None:
        self.started += 1

    async def stop(self) -> None:
        self.stopped += 1
        if self.stop_raises:
            raise self.stop_raises


class Watching:
    """An Observer that lets a test wait for the ends of attempts."""

    def __init__(self) -> None:
        self.begun: list[Task] = []
        self.ends: asyncio.Queue[Settlement] = asyncio.Queue()
        self.losses: asyncio.Queue[Task] = asyncio.Queue()
        self.raises: list[Exception] = []

    def started(self, task: Task) -> None:
        self.begun.append(task)

    def ended(self, settlement: Settlement, seconds: float) -> None:
        self.ends.put_nowait(settlement)
        if self.raises:
            raise self.raises.pop(0)

    def lost(self, task: Task) -> None:
        self.losses.put_nowait(task)

    async def end(self) -> Settlement:
        async with asyncio.timeout(60):
            return await self.ends.get()


class Locked:
    """Another process that holds the write lock of a database. As a context it lets go at the end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> None:
        await self._database.maintain(lambda c: c.execute("PRAGMA busy_timeout = 20"))
        assert self._database.path
        self._other = sqlite3.connect(self._database.path, isolation_level=None)
        self._other.execute("BEGIN IMMEDIATE")

    async def __aexit__(self, *_: object) -> None:
        self._other.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


JWT_SECRET = "q9Yx2Lr7Zk4Wb8Nv3Tc6Hd1Jm5Pf0Sgu"


class Served:
    """Delivery as the daemon runs it, behind aiohttp's test client."""

    def __init__(
        self, part: DeliveryPart, client: Client, flag: MaintenanceFlag, databases: Sequence[Database]
    ) -> None:
        self.part = part
        self.client = client
        self.flag = flag
        self.durable, self.memory = databases
        self._tokens = Tokens(JwtSettings(), JWT_SECRET)

    def token(self, role: str = "admin") -> dict[str, str]:
        signed = self._tokens.sign(role=role, subject="test", lifetime=timedelta(minutes=5))
        return {"Authorization": f"Bearer {signed}"}

    async def key(self, name: str) -> dict[str, str]:
        _, key = await self.durable.write(lambda c: api_keys.create(c, name, NOW))
        return {"X-API-Key": key}

    async def send(self, channel: str = "held", **fields: Any) -> int:
        """The id of a message that was taken."""
        headers = fields.pop("headers", {})
        async with self.client.post(f"/api/send/{channel}", data={"message": "Hello", **fields}, headers=headers) as r:
            assert r.status == 204, await r.text()
            return int(r.headers["X-Message-Id"])

    async def shown(self, message_id: int) -> dict[str, Any]:
        async with self.client.get(f"/api/messages/{message_id}", headers=self.token()) as response:
            found: dict[str, Any] = await response.json()
            return found

    async def reaches(self, message_id: int, state: str) -> dict[str, Any]:
        """Wait until the message is in a state."""
        async with asyncio.timeout(60):
            while (found := await self.shown(message_id))["state"] != state:
                await asyncio.sleep(0.01)
        return found


#: Starts delivery with its routes.
Serve = Callable[..., Awaitable[Served]]
