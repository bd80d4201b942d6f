"""The job that sends the daily report through a channel: once for each day, however often it runs."""

from __future__ import annotations

from datetime import time

from vestnik.delivery.service import Delivery, Send
from vestnik.errors import InvalidInput
from vestnik.mailings.report import Content, Line, day_of, write
from vestnik.mailings.settings import ReportSettings
from vestnik.mailings.store import figures
from vestnik.mailings.zones import zone
from vestnik.runtime.clock import Clock
from vestnik.runtime.log import get_logger
from vestnik.scheduler.job import JobDefinition, JobRun, Start
from vestnik.scheduler.triggers import Cron
from vestnik.storage.database import Connection, Database

log = get_logger(__name__)

JOB = "mailings-report"
SENDER = "mailings"  # whose idempotency keys the reports have
DAY = 86_400.0
MOST = 200  # mailings that it names


class DailyReport:
    def __init__(self, settings: ReportSettings, database: Database, delivery: Delivery, clock: Clock) -> None:
        self._settings = settings
        self._zone = zone(settings.timezone)
        self._at = time.fromisoformat(settings.at)
        self._database = database
        self._delivery = delivery
        self._clock = clock

    def job(self) -> JobDefinition:
        schedule = f"{self._at.minute} {self._at.hour} * * *"
        return JobDefinition(name=JOB, trigger=Cron(schedule, self._settings.timezone), run=self.run)

    async def run(self, run: JobRun) -> None:
        """One that somebody asked for goes out in any case."""
        now = self._clock()
        day = day_of(now, self._at, self._zone)
        report = write(await self._database.read(lambda c: _content(c, now)), day, self._zone, now)
        key = None if run.start is Start.BY_HAND else day.isoformat()
        send = Send(
            self._settings.channel,
            report.text,
            subject=report.subject,
            html=report.html,
            sender=SENDER,
            idempotency_key=key,
        )
        run.report({"day": day.isoformat(), "message": await self._send(send)})

    async def _send(self, send: Send) -> int | None:
        """None when the day's report is on its way already."""
        try:
            registered = await self._delivery.send(send)
        except InvalidInput:  # the figures have changed since: that one stays the report of the day
            registered = None
        if registered is None or not registered.new:
            log.info("the day's report was sent before")
            return None
        return registered.id


def _content(connection: Connection, now: float) -> Content:
    mailings, totals = figures.of_all(connection)
    found = figures.lately(connection, now - DAY, now)
    lines = [Line(mailing, figures.of_mailing(connection, mailing.id).by_status) for mailing in found[:MOST]]
    return Content(mailings, totals.by_status, lines, max(0, len(found) - MOST))
