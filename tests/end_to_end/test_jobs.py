"""Jobs of the real daemon, over HTTP and by the command line, over restarts and kills."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import CHANNELS, PATIENCE, QUIZ, RunningDaemon


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[RunningDaemon]:
    async with RunningDaemon(tmp_path, channels=CHANNELS + QUIZ) as running:
        yield running


class Jobs:
    """The jobs' routes, asked with one token."""

    def __init__(self, daemon: RunningDaemon, headers: dict[str, str]) -> None:
        self._daemon = daemon
        self._headers = headers

    async def all(self) -> dict[str, dict[str, Any]]:
        """By name."""
        async with self._daemon.http.get(f"{self._daemon.url}/jobs", headers=self._headers) as response:
            return {job["name"]: job for job in (await response.json())["jobs"]}

    async def put(self, path: str, body: dict[str, Any]) -> None:
        async with self._daemon.http.put(
            f"{self._daemon.url}/jobs/{path}", json=body, headers=self._headers
        ) as response:
            assert response.status == 200, await response.text()

    async def when(self, name: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while not condition(found := (await self.all())[name]):
                await asyncio.sleep(0.02)
        return found


@pytest.fixture
async def jobs(daemon: RunningDaemon) -> Jobs:
    return Jobs(daemon, await daemon.token())


def over(job: dict[str, Any]) -> bool:
    return job["lastOutcome"] is not None and not job["running"]


async def test_the_sources_and_the_export_are_jobs_that_one_lists_and_runs(daemon: RunningDaemon, jobs: Jobs) -> None:
    listed = {job["name"]: job for job in json.loads(await daemon.do("jobs", "list", "--json"))}
    assert {name: (job["mode"], job.get("schedule"), job.get("interval")) for name, job in listed.items()} == {
        "opentdb": ("TIMER", None, 3600000),
        "nightly": ("CRON", "30 2 * * *", None),
        "export": ("CRON", "0 */6 * * *", None),
    }
    assert await daemon.do("jobs", "run", "opentdb") == "opentdb has begun to run\n"
    found = await jobs.when("opentdb", over)
    assert (found["lastOutcome"], found["lastError"], found["lastResult"]["fetched"]) == ("succeeded", None, 2)
    lines = (await daemon.do("jobs", "list")).splitlines()
    assert lines[0].split() == ["name", "state", "runs", "next_run_at", "last_run_at", "last_outcome", "last_error"]
    assert lines[1].startswith("opentdb  WORKING  every 3600000 ms ")
    assert lines[2].startswith("nightly  WORKING  30 2 * * * (Europe/Berlin)  ")
    async with daemon.http.get(f"{daemon.url}/metrics") as response:
        metrics = await response.text()
    assert 'vestnik_job_runs_total{job="opentdb",outcome="succeeded"} 1.0' in metrics


async def test_what_is_changed_outlives_a_kill_until_it_is_reset(daemon: RunningDaemon, jobs: Jobs) -> None:
    await jobs.put("opentdb/mode", {"mode": "CRON", "schedule": "0 3 * * *", "timezone": "Asia/Kathmandu"})
    paused = await daemon.do("jobs", "pause", "export", "--start-at", "2031-01-01T00:00:00Z")
    assert paused.startswith("export is PAUSED until 2031-01-01T00:00:00.000Z, 0 */6 * * * (UTC), next run at 2031-")
    assert await daemon.do("jobs", "stop", "opentdb") == "opentdb is STOPED, 0 3 * * * (Asia/Kathmandu) *\n"
    before = await jobs.all()
    await daemon.kill()
    written = daemon.config.read_text().replace("3600000", "7200000").replace("30 2 * * *", "45 2 * * *")
    daemon.config.write_text(written)
    await daemon.start()
    after = await jobs.all()
    assert (after["opentdb"], after["export"]) == (before["opentdb"], before["export"])
    assert after["nightly"]["schedule"] == "45 2 * * *"  # nobody had changed it
    assert (await daemon.do("jobs", "reset", "opentdb")).startswith("opentdb is WORKING, every 7200000 ms, next run at")
    code, said = await daemon.run("jobs", "start", "opentdb")
    assert (code, said) == (1, "START is not possible: the job 'opentdb' is WORKING\n")


async def test_maintenance_holds_jobs_and_a_kill_in_the_middle_of_one_is_made_up(
    daemon: RunningDaemon, jobs: Jobs
) -> None:
    await daemon.do("maintenance", "on")
    code, said = await daemon.run("jobs", "run", "opentdb")
    assert (code, said) == (1, "the daemon is in maintenance\n")
    await daemon.set_fault("opentdb", "slow")
    await jobs.put("opentdb/settings", {"interval": 50})
    await asyncio.sleep(1)  # nothing happens, and nothing tells that it does not
    assert (await jobs.all())["opentdb"]["lastRunAt"] is None
    await daemon.do("maintenance", "off")
    await jobs.when("opentdb", lambda job: bool(job["running"]))
    await daemon.kill()
    await daemon.start()
    found = await jobs.when("opentdb", lambda job: job["lastSuccessAt"] is not None)
    assert found["lastError"] == "the daemon ended in the middle of this run"
    assert await daemon.terminate() == 0
