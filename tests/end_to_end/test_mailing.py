"""A mailing from its clients to their phones, with a gateway that fails in every way and a daemon that is killed.

`VESTNIK_TORTURE=1 python -m pytest tests/end_to_end/test_mailing.py -s` is the long form, and prints the figures.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from daemons import RunningDaemon

LONG = os.environ.get("VESTNIK_TORTURE") == "1"
CLIENTS = 100_000 if LONG else 2_000
PATIENCE = 1200.0 if LONG else 60.0  # seconds
pytestmark = pytest.mark.timeout(2 * PATIENCE)

# A gateway that is down must not use up the tries: how long it is, is not what this is about.
CHANNELS = """
channels:
  probe:
    worker: sms
    params: {{{{gateway: probe, url: "{gateway}/probe", token: t, to: "79990000000", timeout: 2s}}}}
    executors: 32
    retry: {{{{delay: 500ms, attempts: 1000}}}}
  nowhere: {{{{worker: null}}}}
"""
DIRECT = "79990000000"  # the channel's own recipient
ZONES = ("Europe/Moscow", "Europe/Samara", "Asia/Vladivostok")  # UTC+3, +4, +10, all year


class Gateway:
    """`probe_gateway` and its ledger."""

    def __init__(self, url: str, ledger: Path, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._ledger = ledger
        self._http = http

    async def fails(self, fault: str) -> None:
        async with self._http.put(f"{self.url}/fault/{fault}") as response:
            assert response.status == 204

    def handed_over(self) -> list[tuple[str, str, float]]:
        return [tuple(json.loads(line)) for line in self._ledger.read_text().splitlines()]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    ledger = tmp_path / "ledger"
    script = Path(__file__).with_name("probe_gateway.py")
    process = await asyncio.create_subprocess_exec(sys.executable, script, ledger, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with aiohttp.ClientSession() as http:
        yield Gateway((await process.stdout.readline()).decode().strip(), ledger, http)
    process.kill()
    await process.wait()


class Sender:
    """Sends to a channel that is not the mailing's, and notes how long each answer took."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self._daemon = daemon
        self._stopped = False
        self.seconds: list[float] = []

    async def __aenter__(self) -> Sender:
        self._tasks = [asyncio.create_task(self._send_on()) for _ in range(8)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _send_on(self) -> None:
        while not self._stopped:
            began = time.perf_counter()
            assert (await self._daemon.send("nowhere", "x")).status == 204
            self.seconds.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)

    def __str__(self) -> str:
        p50, p99 = (round(self.percentile(share) * 1000) for share in (0.5, 0.99))
        return f"{len(self.seconds)}, p50 {p50} ms, p99 {p99} ms"

    def percentile(self, share: float) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * share)]


class Administrator:
    def __init__(self, daemon: RunningDaemon, token: dict[str, str]) -> None:
        self._daemon = daemon
        self._token = token
        self.mailing = 0

    async def ask(self, method: str, path: str, **what: Any) -> Any:
        headers = {**self._token, **what.pop("headers", {})}
        async with self._daemon.http.request(method, self._daemon.url + path, headers=headers, **what) as response:
            text = await response.text()
            assert response.status < 300, text
            return json.loads(text)

    async def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.ask("GET", f"/mailings/{self.mailing}/stats")
        assert sum(found["by_status"].values()) == found["total"], "the sums agree at every moment"
        return found

    async def until(self, **least: int) -> dict[str, int]:
        """Wait until so many are in each status; returns them all."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.stats()
                by_status: dict[str, int] = {**found["by_status"], "total": found["total"]}
                by_status["ended"] = sum(by_status[status] for status in ("delivered", "failed", "expired"))
                if all(by_status[status] >= count for status, count in least.items()):
                    return by_status
                await asyncio.sleep(0.05)


async def test_every_client_has_one_outcome_whatever_happens(tmp_path: Path, gateway: Gateway) -> None:
    figures: dict[str, Any] = {"clients": CLIENTS}
    async with RunningDaemon(tmp_path, channels=CHANNELS.format(gateway=gateway.url)) as daemon:
        admin = Administrator(daemon, await daemon.token())
        await _take_in_clients(admin, figures)
        interval, late = _interval()
        await _expand(daemon, admin, interval, figures)
        meant = CLIENTS - CLIENTS // len(ZONES)  # those in the last zone have no window before the end
        assert (await admin.stats())["by_status"]["expired"] == CLIENTS - meant
        direct = await _send_directly(daemon, figures)

        for share, (fault, seconds) in zip((0.1, 0.2, 0.3, 0.4, 0.5), _FAULTS, strict=True):
            await admin.until(delivered=int(meant * share))
            await gateway.fails(fault)
            await asyncio.sleep(seconds)
            if fault in ("none", "slow"):
                await daemon.kill()
                await daemon.start()
            await gateway.fails("none")
        # What was put off is behind all that was not tried yet, so nearly everybody has to have had theirs.
        await admin.until(ended=CLIENTS - meant // 50)
        ends = await _end_in(admin, 1.0)
        figures["by status"] = await _all_ended(admin)
        with closing(sqlite3.connect(f"file:{tmp_path / 'var' / 'vestnik.db'}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            _audit(connection, gateway.handed_over(), admin.mailing, late, ends, figures)
            _went_first(connection, direct, admin.mailing, figures)
    sys.stdout.write("\n" + "".join(f"{name}: {value}\n" for name, value in figures.items()))


#: What the gateway does, for how many seconds. In the middle of "none" and "slow" the daemon is killed.
_FAULTS = (("none", 0.0), ("down", 1.0), ("drop", 0.1), ("garbage", 0.1), ("slow", 0.3))


async def _take_in_clients(admin: Administrator, figures: dict[str, Any]) -> None:
    rows = [f"{79990000001 + n},999,t,{ZONES[n % len(ZONES)]}" for n in range(CLIENTS)]
    body = "phone,operator_code,tag,timezone\n" + "\n".join(rows) + "\n"
    began = time.perf_counter()
    found = await admin.ask(
        "POST", "/clients/import", data=io.BytesIO(body.encode()), headers={"Content-Type": "text/csv"}
    )
    figures["clients taken in, seconds"] = round(time.perf_counter() - began, 1)
    assert found["new"] == CLIENTS


def _interval() -> tuple[dict[str, str], str]:
    """Open for hours to come in all zones but the last, where it opens long after the end; and that zone's name."""
    begin = datetime.now(UTC).astimezone(ZoneInfo(ZONES[0])) - timedelta(hours=1)
    return {"from": f"{begin:%H:%M}", "to": f"{begin + timedelta(hours=5):%H:%M}"}, ZONES[-1]


async def _expand(
    daemon: RunningDaemon, admin: Administrator, interval: dict[str, str], figures: dict[str, Any]
) -> None:
    """Ahead of its start; then it is told to start now, and what waits has to follow."""
    now = datetime.now(UTC)
    body = {
        "channel": "probe",
        "text": "Hello",
        "start_at": (now + timedelta(minutes=9)).isoformat(),
        "end_at": (now + timedelta(hours=1)).isoformat(),
        "local_interval": interval,
    }
    async with Sender(daemon) as sender:
        began = time.perf_counter()
        admin.mailing = (await admin.ask("POST", "/mailings", json=body))["id"]
        await admin.until(total=CLIENTS)
        took = time.perf_counter() - began
    figures["expanded, seconds"] = round(took, 1)
    figures["sends meanwhile"] = str(sender)
    if LONG:
        assert took <= 60
        assert sender.percentile(0.99) <= 0.2
    async with Sender(daemon) as sender:
        began = time.perf_counter()
        await admin.ask("PATCH", f"/mailings/{admin.mailing}", json={"start_at": now.isoformat()})
        await admin.until(delivered=1)
        figures["a start told to be now, first delivered after seconds"] = round(time.perf_counter() - began, 1)
        await admin.until(delivered=CLIENTS // 20)
    figures["sends then, and while it is delivered"] = str(sender)


async def _send_directly(daemon: RunningDaemon, figures: dict[str, Any]) -> tuple[int, float]:
    """In the middle of the mailing. The message, and when it was seen to be accepted."""
    began = time.perf_counter()
    response = await daemon.send("probe", "Now")
    accepted = time.time()
    await daemon.wait_for(response.headers["X-Message-Id"], "delivered")
    took = time.perf_counter() - began
    figures["a direct send into the channel, seconds"] = round(took, 2)
    if LONG:
        assert took <= 2
    return int(response.headers["X-Message-Id"]), accepted


async def _end_in(admin: Administrator, seconds: float) -> float:
    ends = time.time() + seconds
    body = {"end_at": datetime.fromtimestamp(ends, UTC).isoformat()}
    await admin.ask("PATCH", f"/mailings/{admin.mailing}", json=body)
    return ends


async def _all_ended(admin: Administrator) -> dict[str, int]:
    async with asyncio.timeout(PATIENCE):
        while True:
            by_status: dict[str, int] = (await admin.stats())["by_status"]
            if not any(by_status[status] for status in ("queued", "scheduled", "running", "deferred")):
                return {status: count for status, count in by_status.items() if count}
            await asyncio.sleep(0.1)


def _audit(
    connection: sqlite3.Connection,
    handed_over: list[tuple[str, str, float]],
    mailing: int,
    late: str,
    ends: float,
    figures: dict[str, Any],
) -> None:
    tasks = connection.execute(
        """
        SELECT task.*, client.phone, client.timezone FROM client LEFT JOIN task
          ON task.client_id = client.id AND task.mailing_id = ?""",
        (mailing,),
    ).fetchall()
    begun = connection.execute("SELECT max(started_at) FROM task WHERE mailing_id = ?", (mailing,)).fetchone()[0]
    copies = Counter(phone for phone, text, _ in handed_over if text == "Hello")
    assert len(tasks) == CLIENTS
    assert all(task["finished_at"] is not None for task in tasks), "every client has an outcome"
    assert sum(figures["by status"].values()) == CLIENTS
    assert Counter(task["state"] for task in tasks) == figures["by status"], "the figures are the rows"
    out_of_window = [task["phone"] for task in tasks if task["timezone"] == late]
    assert len(out_of_window) == CLIENTS // len(ZONES)
    assert not copies.keys() & set(out_of_window)
    for task in tasks:
        number = copies[task["phone"]]
        assert number >= 1 or task["state"] != "delivered", f"{task['phone']} is said to have it"
        assert number <= 1 + task["ambiguous"] * task["maybe_sent"], f"{task['phone']} has copies that are not marked"
    assert begun < ends, "a try began after the end"
    assert max(at for _, text, at in handed_over if text == "Hello") < ends + 2, "handed over after the end"
    figures["copies, all of them marked"] = sum(copies.values()) - len(copies)
    figures["marked"] = sum(task["maybe_sent"] for task in tasks)


def _went_first(
    connection: sqlite3.Connection, direct: tuple[int, float], mailing: int, figures: dict[str, Any]
) -> None:
    """A single send goes first: from its acceptance to its own try, none of the mailing's is begun."""
    message, accepted = direct
    tries = "SELECT attempt.started_at FROM attempt JOIN task ON task.id = attempt.task_id"
    ours = [at for (at,) in connection.execute(f"{tries} WHERE task.message_id = ?", (message,))]
    others = [at for (at,) in connection.execute(f"{tries} WHERE task.mailing_id = ?", (mailing,))]
    assert len(ours) == 1
    figures["of the mailing, begun before the direct send and after it"] = tuple(
        sum(begun) for begun in ([at < ours[0] for at in others], [at > ours[0] for at in others])
    )
    assert not [at for at in others if accepted < at < ours[0]]
