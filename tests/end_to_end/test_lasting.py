"""What outlives the process: messages over kill -9 and SIGTERM, maintenance, pauses, keys."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from daemons import CHANNELS, RunningDaemon


async def test_nothing_answered_204_is_lost_over_kill_9(daemon: RunningDaemon) -> None:
    await daemon.set_fault("probe", "down")
    acknowledged: list[str] = []

    async def load() -> None:
        for number in range(10_000):
            response = await daemon.send("probe", f"message {number}")
            if response.status == 204:
                acknowledged.append(response.headers["X-Message-Id"])

    loads = [asyncio.create_task(load()) for _ in range(8)]
    while len(acknowledged) < 200:
        await asyncio.sleep(0.01)
    await daemon.kill()
    await asyncio.gather(*loads, return_exceptions=True)

    await daemon.start()
    for message_id in acknowledged:
        assert (await daemon.message(message_id))["id"] == int(message_id)


async def test_what_was_running_at_kill_9_is_marked_and_delivered_again(daemon: RunningDaemon) -> None:
    await daemon.set_fault("mail", "slow")
    message_id = (await daemon.send("mail", "in the middle")).headers["X-Message-Id"]
    await daemon.wait_for(message_id, "queued", "running")
    while not any(task["state"] == "running" for task in (await daemon.message(message_id))["tasks"]):
        await asyncio.sleep(0.01)
    await daemon.kill()
    await daemon.start()
    view = await daemon.wait_for(message_id, "delivered")
    assert sum(task["maybe_sent"] for task in view["tasks"]) == 1  # one executor: the other task had not begun
    assert "was running when the daemon ended" in "".join(daemon.log)


async def test_sigterm_ends_within_30_seconds_and_puts_back_what_hangs(daemon: RunningDaemon) -> None:
    hanging = (await daemon.send("slow", "hangs for an hour")).headers["X-Message-Id"]
    await daemon.wait_for(hanging, "running")
    waiting = (await daemon.send("slow", "waits behind it")).headers["X-Message-Id"]
    began = time.monotonic()
    assert await daemon.terminate() == 0
    assert time.monotonic() - began < 30
    await daemon.start()
    assert (await daemon.message(hanging))["tasks"][0]["maybe_sent"]
    assert not (await daemon.message(waiting))["tasks"][0]["maybe_sent"]


async def test_a_delayed_message_waits_over_a_restart(daemon: RunningDaemon) -> None:
    message_id = (await daemon.send("mail", "later", delay=3)).headers["X-Message-Id"]
    assert (await daemon.message(message_id))["state"] == "scheduled"
    await daemon.kill()
    await daemon.start()
    shown = await daemon.wait_for(message_id, "delivered")
    assert shown["tasks"][0]["started_at"] >= shown["due_at"]


async def test_maintenance_stops_everything_survives_restarts_and_loses_nothing(daemon: RunningDaemon) -> None:
    await daemon.set_fault("probe", "down")
    message_id = (await daemon.send("probe", "waits")).headers["X-Message-Id"]
    await daemon.wait_for(message_id, "deferred")
    code, said = await daemon.run("maintenance", "on", "--reason", "a new disk")
    assert (code, "maintenance is on" in said) == (0, True)
    await daemon.set_fault("probe", "none")
    response = await daemon.send("probe", "refused")
    assert response.status == 503
    assert response.content_length in (0, None)
    async with daemon.http.get(f"{daemon.url}/api/ping") as ping:
        assert (ping.status, await ping.read()) == (503, b"")
    assert await daemon.arrivals("probe") == []

    await daemon.terminate()
    await daemon.start()
    async with daemon.http.get(f"{daemon.url}/api/ping") as ping:
        assert ping.status == 503
    code, said = await daemon.run("maintenance", "off")
    assert code == 0
    await daemon.wait_for(message_id, "delivered")
    async with daemon.http.get(f"{daemon.url}/api/ping") as ping:
        assert (ping.status, await ping.read()) == (204, b"")


async def test_maintenance_under_load_answers_every_send_204_or_503(daemon: RunningDaemon) -> None:
    statuses: list[int] = []

    async def load() -> None:
        statuses.extend([(await daemon.send("nowhere", "x")).status for _ in range(150)])

    loads = [asyncio.create_task(load()) for _ in range(8)]
    for action in ("on", "off"):
        await daemon.do("maintenance", action)
    await asyncio.gather(*loads)
    assert set(statuses) <= {204, 503}
    _, counts = await daemon.run("channels", "list", "--json")
    assert "nowhere" in counts


async def test_a_second_daemon_on_the_same_state_is_refused(daemon: RunningDaemon) -> None:
    assert daemon.process is not None
    code, said = await daemon.run("serve")
    assert code == 4
    assert f"is in use by pid {daemon.process.pid}" in said


async def test_a_paused_channel_keeps_its_messages_over_a_restart(daemon: RunningDaemon) -> None:
    await daemon.do("channels", "pause", "probe")
    message_id = (await daemon.send("probe", "kept")).headers["X-Message-Id"]
    await daemon.terminate()
    await daemon.start()
    assert (await daemon.message(message_id))["state"] == "queued"
    await daemon.do("channels", "start", "probe")
    await daemon.wait_for(message_id, "delivered")


async def test_a_revoked_token_of_the_bot_pauses_its_channel_and_burns_nothing(daemon: RunningDaemon) -> None:
    await daemon.terminate()
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("token: sandbox-token", 'token: ""'))
    code, said = await daemon.run("check")
    assert (code, "probe.params.token" in said) == (2, True)


async def test_only_the_sender_sees_a_message_when_keys_are_asked_for(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path, send="key") as daemon:
        assert (await daemon.send("nowhere", "x")).status == 401
        keys = [{"X-API-Key": (await daemon.run("keys", "create", name))[1].split()[0]} for name in ("anna", "boris")]
        response = await daemon.send("nowhere", "mine", headers=keys[0])
        assert response.status == 204
        url = f"{daemon.url}{response.headers['Location']}"
        seen = []
        for headers in (*keys, await daemon.token(), {}):
            async with daemon.http.get(url, headers=headers) as answer:
                seen.append(answer.status)
        assert seen == [200, 404, 200, 401]
        await daemon.do("keys", "revoke", "anna")
        await asyncio.sleep(1.1)  # the key ring's memory: what the manual promises
        assert (await daemon.send("nowhere", "x", headers=keys[0])).status == 401


async def test_failed_messages_are_found_and_sent_again_from_the_command_line(daemon: RunningDaemon) -> None:
    await daemon.set_fault("probe", "refuse")
    message_id = (await daemon.send("probe", "again")).headers["X-Message-Id"]
    await daemon.wait_for(message_id, "failed")
    await daemon.set_fault("probe", "none")
    assert message_id in (await daemon.run("messages", "list", "--state", "failed"))[1]
    assert "would be resent" in (await daemon.run("messages", "resend", "--failed", "--dry-run"))[1]
    await daemon.do("messages", "resend", "--failed")
    async with asyncio.timeout(20):
        while len(await daemon.arrivals("probe")) < 1:
            await asyncio.sleep(0.05)
    assert "1 left out: sent again already" in await daemon.do("messages", "resend", "--failed")
    assert len(await daemon.arrivals("probe")) == 1


async def test_the_command_line_sends_and_shows(daemon: RunningDaemon) -> None:
    code, said = await daemon.run("send", "nowhere", "from the shell")
    assert code == 0
    await daemon.wait_for(said.strip(), "delivered")
    assert "delivered" in (await daemon.run("messages", "show", said.strip()))[1]
    code, said = await daemon.run("send", "nowhere-at-all", "x")
    assert (code, said.strip()) == (1, "there is no channel 'nowhere-at-all'")


def test_the_shipped_channels_are_those_that_are_tested() -> None:
    shipped = (Path(__file__).parents[2] / "config" / "channels.yaml").read_text()
    for worker in ("telegram", "sms", "email", '"null"'):
        assert f"worker: {worker}" in shipped
    assert "gateway: kannel" in shipped
    assert "gateway: probe" in shipped
    assert "worker: telegram" in CHANNELS


async def test_what_is_written_can_be_read_by_nobody_else(daemon: RunningDaemon) -> None:
    await daemon.send("nowhere", "private")
    written = [path for path in (daemon.folder / "var").rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if path.stat().st_mode & 0o077]
