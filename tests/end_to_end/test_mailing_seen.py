"""What an operator sees of a mailing: the mail of the day, and the trace."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from daemons import CHANNELS, PATIENCE, RunningDaemon

REPORT = 'mailings: {{report: {{channel: mail, at: "09:00"}}}}\n'


async def delivered(daemon: RunningDaemon, token: dict[str, str]) -> tuple[int, int]:
    """A mailing to one client that has come to its end; both their ids."""

    async def ask(method: str, path: str, body: Any = None) -> Any:
        async with daemon.http.request(method, daemon.url + path, json=body, headers=token) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    client = await ask("POST", "/clients", {"phone": "79991234567"})
    now = datetime.now(UTC)
    times = {"start_at": now.isoformat(), "end_at": (now + timedelta(hours=1)).isoformat()}
    mailing = await ask("POST", "/mailings", {"channel": "probe", "text": "Good news", **times})
    async with asyncio.timeout(PATIENCE):
        while (await ask("GET", f"/mailings/{mailing['id']}/stats"))["by_status"]["delivered"] == 0:
            await asyncio.sleep(0.05)
    return mailing["id"], client["id"]


async def arrived(daemon: RunningDaemon) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE):
        while not (found := await daemon.arrivals("mail")):
            await asyncio.sleep(0.05)
    return found


async def test_the_report_of_the_day_comes_by_mail_and_the_trace_tells_every_step(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path, channels=CHANNELS + REPORT) as daemon:
        mailing, client = await delivered(daemon, await daemon.token())
        await daemon.do("jobs", "run", "mailings-report")
        [mail, *_] = await arrived(daemon)
        assert mail["subject"].startswith("Mailings on 20")
        assert "Mailings: 1. Messages: 1 (1 delivered)." in mail["text"]
        for of in ("mailing", "client"):
            traced = json.loads(
                await daemon.do("trace", f"--{of}", str({"mailing": mailing, "client": client}[of]), "--json")
            )
            assert traced["tasks"] == {"delivered": 1}
            assert [event["event"] for event in traced["events"]][-3:] == ["claimed", "delivered", "ended"]
            assert {event["recipient"] for event in traced["events"] if "recipient" in event} == {"79991234567"}
