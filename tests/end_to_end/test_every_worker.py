"""Each of the four workers: seen where it was sent, through every fault of its far side."""

from __future__ import annotations

import pytest
from daemons import RunningDaemon

FAR_SIDES = {"alerts": ("telegram", 1), "duty": ("kannel", 2), "probe": ("probe", 1), "mail": ("mail", 2)}
CHANNELS = list(FAR_SIDES)


async def test_a_message_of_every_channel_is_seen_where_it_was_sent(daemon: RunningDaemon) -> None:
    for channel, (far_side, recipients) in FAR_SIDES.items():
        response = await daemon.send(channel, f"Привет,\n{channel}!")
        assert response.status == 204
        assert response.headers["Location"] == f"/api/messages/{response.headers['X-Message-Id']}"
        await daemon.wait_for(response.headers["X-Message-Id"], "delivered")
        arrived = await daemon.arrivals(far_side)
        assert len({arrival["recipient"] for arrival in arrived}) == recipients
        assert {arrival["text"].strip() for arrival in arrived} == {f"Привет,\n{channel}!"}


@pytest.mark.parametrize("fault", ["down", "rate-limit"])
async def test_a_fault_that_passes_delays_a_message_and_doubles_none(daemon: RunningDaemon, fault: str) -> None:
    sent = {}
    for channel, (far_side, _) in FAR_SIDES.items():
        await daemon.set_fault(far_side, fault)
        sent[channel] = (await daemon.send(channel, "late")).headers["X-Message-Id"]
    for message_id in sent.values():
        await daemon.wait_for(message_id, "deferred")
    for far_side, _ in FAR_SIDES.values():
        await daemon.set_fault(far_side, "none")
    for channel, message_id in sent.items():
        view = await daemon.wait_for(message_id, "delivered")
        assert not any(task["maybe_sent"] for task in view["tasks"])
        far_side, recipients = FAR_SIDES[channel]
        assert len(await daemon.arrivals(far_side)) == recipients


async def test_a_refusal_fails_a_message_and_says_why(daemon: RunningDaemon) -> None:
    for channel, (far_side, _) in FAR_SIDES.items():
        await daemon.set_fault(far_side, "refuse")
        message_id = (await daemon.send(channel, "never")).headers["X-Message-Id"]
        view = await daemon.wait_for(message_id, "failed")
        assert all(task["error"] and task["attempts"] == 1 for task in view["tasks"])
        assert await daemon.arrivals(far_side) == []


@pytest.mark.parametrize("fault", ["drop", "garbage"])
async def test_an_unseen_end_is_marked_and_tried_at_most_twice(daemon: RunningDaemon, fault: str) -> None:
    sent = {}
    for channel, (far_side, _) in FAR_SIDES.items():
        await daemon.set_fault(far_side, fault)
        sent[channel] = (await daemon.send(channel, "perhaps")).headers["X-Message-Id"]
    for channel, message_id in sent.items():
        view = await daemon.wait_for(message_id, "failed")
        assert all(task["maybe_sent"] for task in view["tasks"])
        far_side, recipients = FAR_SIDES[channel]
        assert len(await daemon.arrivals(far_side)) <= 2 * recipients


async def test_a_hanging_far_side_slows_no_other_channel(daemon: RunningDaemon) -> None:
    await daemon.set_fault("telegram", "slow")
    await daemon.send("alerts", "hangs")
    message_id = (await daemon.send("mail", "passes")).headers["X-Message-Id"]
    await daemon.wait_for(message_id, "delivered")


async def test_a_worker_of_another_package_delivers_too(daemon: RunningDaemon) -> None:
    pytest.importorskip("vestnik_filedrop", reason="tests/extension is not installed")
    folder = daemon.folder / "dropped"
    folder.mkdir()
    await daemon.terminate()
    channel = f'  drop: {{worker: filedrop, params: {{directory: "{folder}"}}}}\n'
    daemon.config.write_text(daemon.config.read_text() + channel)
    await daemon.start()
    message_id = (await daemon.send("drop", "into a file")).headers["X-Message-Id"]
    await daemon.wait_for(message_id, "delivered")
    assert [file.read_text() for file in folder.iterdir()] == ["into a file"]


async def test_no_secret_stands_in_the_log(daemon: RunningDaemon) -> None:
    for far_side, _ in FAR_SIDES.values():
        await daemon.set_fault(far_side, "down")
    for channel in FAR_SIDES:
        await daemon.wait_for((await daemon.send(channel, "x")).headers["X-Message-Id"], "deferred")
    await daemon.terminate()
    log = "".join(daemon.log)
    assert "sandbox-token" not in log
    assert "password=sandbox" not in log
