"""Settings in, running process out: the only file that knows every part. Reads like a contents page."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from vestnik.configuration import Configuration
from vestnik.delivery.build import DeliveryPart
from vestnik.delivery.store import intake
from vestnik.errors import ExitCode, VestnikError
from vestnik.mailings.build import MailingsPart
from vestnik.runtime.folders import make_folder
from vestnik.runtime.generated_secret import SecretUnreadable, read_or_make
from vestnik.runtime.instance import InstanceLock
from vestnik.runtime.listening import listening
from vestnik.runtime.log import get_logger
from vestnik.runtime.loop_lag import LoopLag
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.runtime.redaction import Redactor
from vestnik.scheduler.build import SchedulerPart
from vestnik.scheduler.state import Action
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade
from vestnik.web.api_keys import KeyRing
from vestnik.web.application import build_application
from vestnik.web.auth import Auth, Tokens, secret_problem
from vestnik.web.foreign_pages import ForeignPages
from vestnik.web.metrics import MetricsApi
from vestnik.web.openapi import PUBLIC_PREFIXES
from vestnik.web.plain_heads import PlainPost
from vestnik.web.serving import serve

if TYPE_CHECKING:
    from vestnik.quiz.settings import ConfiguredQuiz
    from vestnik.sandbox.settings import SandboxSettings

log = get_logger(__name__)

GRACE = 20.0  # seconds that deliveries and runs under way have at SIGTERM; the whole end takes at most 30
LAST_RESORT = 28.0  # seconds after SIGTERM: what hangs then is left hanging, the database is safe at any moment


def jwt_secret(configuration: Configuration) -> str:
    """The configured secret, or the daemon's own, made if need be. Raises SecretUnreadable."""
    configured = configuration.settings.auth.jwt.secret
    if configured is not None:
        return configured.get_secret_value()
    assert configuration.jwt_secret_file is not None  # noqa: S101 - `configuration.load` sees to it
    secret = read_or_make(configuration.jwt_secret_file)
    if weak := secret_problem(secret, configuration.settings.auth.jwt.algorithms):
        raise SecretUnreadable(f"{configuration.jwt_secret_file} {weak}: remove it, and a new secret is made")
    return secret


class Daemon:
    """Starts everything in order, waits for the signal, stops everything in reverse."""

    def __init__(self, configuration: Configuration, secret: str, redact: Redactor) -> None:
        self._configuration = configuration
        self._settings = configuration.settings
        self._secret = secret
        self._redact = redact
        self._ended = asyncio.Event()
        self._fatal: VestnikError | None = None

    async def run(self) -> None:
        """Until SIGTERM or SIGINT, or until the disk fails. Raises AlreadyRunning, CannotListen, DatabaseDamaged."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        async with AsyncExitStack() as stack:
            try:
                await self._start(stack)
                log.info("in service", listen=str(self._settings.service.listen), pid=os.getpid())
                await self._ended.wait()
                log.info("stopping")
            finally:  # a start that fails has to end, too
                self._end_at_last(LAST_RESORT)
        if self._fatal:
            raise self._fatal
        log.info("stopped")

    async def _start(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        self._lock(stack)
        durable = await self._database(stack, Database(self._configuration.database, on_fatal=self._fail))
        memory = await self._database(stack, Database(None))
        if settings.sandbox:
            await self._start_sandbox(stack, settings.sandbox)
        registry = _process_metrics()
        auth = self._auth(durable)
        maintenance = MaintenanceFlag(settings.service.state_dir)
        delivery = DeliveryPart(
            self._configuration.channels,
            durable=durable,
            memory=memory,
            ceiling=await durable.read(intake.ceiling),
            maintenance=maintenance,
            auth=auth,
            redact=self._redact,
            metrics=registry,
            keep=settings.retention,
        )
        scheduler = SchedulerPart(database=durable, maintenance=maintenance, metrics=registry, redact=self._redact)
        mailings = MailingsPart(
            settings.mailings,
            database=durable,
            delivery=delivery.service,
            maintenance=maintenance,
            metrics=registry,
            clock_in_doubt=delivery.clock_in_doubt,
        )
        scheduler.add(mailings.jobs())
        routes = [*delivery.routes(), *scheduler.routes(), *mailings.routes(), *MetricsApi(registry).routes()]
        if self._configuration.quiz:
            routes += await _start_quiz(stack, self._configuration.quiz, durable, registry, scheduler)
        stack.push_async_callback(self._stop, delivery, scheduler)  # first: one channel may deliver when the next fails
        await delivery.start()
        stack.push_async_callback(mailings.stop)
        await mailings.start()
        await scheduler.start()
        await self._listen(stack, build_application(auth, routes), delivery.plain_posts())
        lag = LoopLag(registry)
        lag.start()
        stack.push_async_callback(lag.stop)
        _freeze_what_stays()

    def _lock(self, stack: AsyncExitStack) -> None:
        state_dir, database = self._settings.service.state_dir, self._configuration.database
        for lock in (InstanceLock(state_dir), InstanceLock.of_database(database)):
            lock.acquire()
            stack.callback(lock.release)

    async def _start_sandbox(self, stack: AsyncExitStack, settings: SandboxSettings) -> None:
        from vestnik.sandbox.sandbox import Sandbox  # noqa: PLC0415 - in production nothing of it is loaded

        sandbox = Sandbox(settings, examples=self._examples())
        await sandbox.start()
        stack.push_async_callback(sandbox.stop)

    def _auth(self, database: Database) -> Auth:
        settings = self._settings
        return Auth(
            settings.auth,
            Tokens(settings.auth.jwt, self._secret),
            KeyRing(database),
            metrics_open=settings.service.metrics == "open",
            public_prefixes=PUBLIC_PREFIXES,
            foreign_pages=ForeignPages(self._settings.service.keyless_hosts()),
        )

    async def _stop(self, delivery: DeliveryPart, scheduler: SchedulerPart) -> None:
        # With the store gone no end of a delivery or a run can be written, and there is none to wait for.
        grace = 0.0 if self._fatal else GRACE
        await asyncio.gather(delivery.stop(grace), scheduler.stop(grace))

    def _examples(self) -> list[str]:
        """A command for each channel, for the empty inbox."""
        url = f"http://{self._settings.service.listen}/api/send"
        return [f"curl -i -d 'message=Hello' {url}/{name}" for name in self._settings.channels]

    async def _database(self, stack: AsyncExitStack, database: Database) -> Database:
        if database.path:
            make_folder(database.path.parent)
        await database.open(alone=True)
        stack.push_async_callback(database.close)
        await database.maintain(upgrade)
        return database

    async def _listen(self, stack: AsyncExitStack, app: web.Application, plain: Mapping[str, PlainPost]) -> None:
        listen = self._settings.service.listen
        with listening("service.listen", listen):
            server = await serve(app, listen, plain)
        stack.push_async_callback(server.cleanup)

    def _end_at_last(self, seconds: float) -> None:
        """A second way out: a part that hangs while stopping must not keep the process alive."""
        loop = asyncio.get_running_loop()
        began = time.monotonic()

        def leave() -> None:
            log.error("something did not stop, leaving it", after=round(time.monotonic() - began, 1))
            # Not 0 after a failure: the supervisor would take it for the end that was asked for.
            asked_for = ExitCode.DONE if self._ended.is_set() else ExitCode.FAILED
            os._exit(self._fatal.exit_code if self._fatal else asked_for)

        loop.call_later(seconds, leave)

    def _fail(self, error: VestnikError) -> None:
        """The disk failed: nothing can be promised any more, so end, and let the supervisor see it."""
        self._fatal = error
        self._ended.set()


async def _start_quiz(
    stack: AsyncExitStack,
    configured: ConfiguredQuiz,
    database: Database,
    registry: CollectorRegistry,
    scheduler: SchedulerPart,
) -> list[web.RouteDef]:
    """Returns its routes. Its jobs are the scheduler's to run."""
    from vestnik.quiz.build import QuizPart  # noqa: PLC0415 - a daemon without a quiz loads none of it

    async def stop_job(name: str) -> None:
        await scheduler.scheduler.act(name, Action.STOP)

    quiz = QuizPart(configured, database=database, metrics=registry, stop_job=stop_job)
    scheduler.add(quiz.jobs())
    await quiz.start()
    stack.push_async_callback(quiz.stop)
    return quiz.routes()


def _process_metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _freeze_what_stays() -> None:
    """What start-up made lives as long as the process: the collector need not walk it again and again.

    Nor look for cycles after every 700 objects: hundreds of requests and deliveries under way are no garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
