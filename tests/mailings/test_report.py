from __future__ import annotations

from datetime import date, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from administering import Administered, at
from deliveries import NOW
from mailing_steps import claim, clients, end, settled

from vestnik.mailings.report import day_of
from vestnik.mailings.reporting import JOB, DailyReport
from vestnik.mailings.settings import ReportSettings
from vestnik.runtime.clock import instant
from vestnik.scheduler.job import JobRun, Start

DAY = 86_400.0
SETTINGS = ReportSettings(channel="office-mail", at="09:00", timezone="Europe/Moscow")


@pytest.fixture
def report(admin: Administered) -> DailyReport:
    return DailyReport(SETTINGS, admin.database, admin.delivery.service, admin.clock)


async def ran(report: DailyReport, start: Start = Start.PLANNED) -> int | None:
    """The message it sent."""
    run = JobRun(JOB, start, started_at=0.0, ending=lambda: False)
    await report.run(run)
    assert run.result is not None
    sent: int | None = run.result["message"]
    return sent


async def message(admin: Administered, message_id: int | None) -> Any:
    query = "SELECT * FROM message WHERE id = ?"
    return await admin.database.read(lambda c: c.execute(query, (message_id,)).fetchone())


async def test_it_tells_of_all_mailings_in_text_and_html(admin: Administered, report: DailyReport) -> None:
    await clients(admin, 3)
    old = await admin.mailing(end_at=at(NOW + 10))
    await settled(admin)
    admin.clock.now += DAY + 11
    mailing = await admin.mailing()
    await settled(admin)
    [task, *_] = await claim(admin)
    await end(admin, task)
    sent = await message(admin, await ran(report))
    assert (sent["channel"], sent["subject"]) == ("office-mail", "Mailings on 2027-01-16")
    assert "Mailings: 2. Messages: 6 (3 queued, 2 running, 1 delivered)." in sent["text"]
    [line] = [line for line in sent["text"].splitlines() if "running  2027-" in line]
    assert line.split() == [
        *(str(mailing["id"]), "running", "2027-01-16", "11:00", "2027-01-16", "12:00"),
        *("3", "1", "0", "0", "0", "2"),
    ]
    assert f"<tr><td>{mailing['id']}</td><td>running</td>" in sent["html"]
    assert f"<tr><td>{old['id']}</td>" not in sent["html"], "it ended more than a day ago"


async def test_without_mailings_it_says_so(admin: Administered, report: DailyReport) -> None:
    sent = await message(admin, await ran(report))
    assert sent["text"].startswith("Mailings: 0. Messages: 0 (none yet).")
    assert "<p>none</p>" in sent["html"]


async def test_it_goes_out_once_a_day_over_restarts(admin: Administered, report: DailyReport) -> None:
    assert await ran(report)
    await admin.mailing()
    again = DailyReport(SETTINGS, admin.database, admin.delivery.service, admin.clock)
    assert await ran(again) is None, "also when the figures have changed"
    assert await ran(again, Start.BY_HAND), "who asks for one gets one"
    admin.clock.now += DAY
    assert await ran(again)


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-03-28T23:59:00+01:00", "2026-03-28"),
        ("2026-03-29T00:30:00+01:00", "2026-03-28"),  # made up after midnight: still the evening's
        ("2026-03-29T03:00:00+02:00", "2026-03-29"),  # 02:30 is left out that night
        ("2026-10-25T02:30:00+02:00", "2026-10-25"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25"),  # and comes twice that one
    ],
)
def test_a_day_has_one_report_also_when_clocks_change(now: str, day: str) -> None:
    moment = instant(now)
    assert moment is not None
    assert day_of(moment, time(2, 30), ZoneInfo("Europe/Berlin")) == date.fromisoformat(day)


def test_it_is_a_job_of_its_own_time(report: DailyReport) -> None:
    job = report.job()
    assert job.trigger.next_after(NOW) == instant("2027-01-16T09:00:00+03:00")
