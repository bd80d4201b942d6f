"""What maintenance does to deliveries, and what is said of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from deliveries import Serve, Served, until


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, dict[str, Any]]]:
    """Level, event and reason of all that the watch logged."""
    name = "vestnik.delivery.maintenance_watch"
    records = [(record.levelno, record.msg) for record in caplog.records if record.name == name]
    return [(level, {k: m[k] for k in ("event", "reason") if k in m}) for level, m in records if isinstance(m, dict)]


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


async def acted(served: Served, *, on: bool, reason: str = "") -> None:
    flag = served.flag.set(on=on, reason=reason)
    await until(lambda: served.flag.acknowledged().revision == flag.revision)


async def test_each_change_is_a_line_with_its_reason(served: Served, log: pytest.LogCaptureFixture) -> None:
    await acted(served, on=True, reason="moving house")
    await acted(served, on=True, reason="still moving")
    await acted(served, on=False)
    assert said(log) == [
        (logging.INFO, {"event": "in maintenance", "reason": "moving house"}),
        (logging.INFO, {"event": "in maintenance", "reason": "still moving"}),
        (logging.INFO, {"event": "maintenance is over"}),
    ]


async def test_a_daemon_that_starts_in_maintenance_says_so(
    serve: Serve, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "maintenance.json").write_text('{"on": true, "reason": "why", "since": 1.0, "revision": "r"}')
    await serve()
    assert said(log) == [(logging.INFO, {"event": "in maintenance", "reason": "why"})]


async def test_in_service_there_is_nothing_to_say(served: Served, log: pytest.LogCaptureFixture) -> None:
    await served.reaches(await served.send("nowhere"), "delivered")
    assert said(log) == []


async def test_a_flag_that_cannot_be_read_is_a_warning_that_says_what_is_assumed(
    served: Served, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "maintenance.json").write_text("{half")
    await until(lambda: bool(said(log)))
    [(level, line)] = said(log)
    assert (level, line["event"]) == (
        logging.WARNING,
        "the maintenance flag cannot be read, which is taken for maintenance",
    )
    assert line["reason"].endswith("maintenance.json cannot be read; `vestnik maintenance off` writes it anew")


async def test_deliveries_under_way_are_told_until_they_have_ended(serve: Serve, log: pytest.LogCaptureFixture) -> None:
    served = await serve()
    message_id = await served.send("slow")
    await served.reaches(message_id, "running")
    await acted(served, on=True)
    assert served.flag.acknowledged().under_way == 1
    [slow] = [channel for channel in served.part.registry if channel.name == "slow"]
    await slow.deactivate(0.0)  # as if it had ended
    await until(lambda: served.flag.acknowledged().under_way == 0)
    assert said(log)[-1] == (logging.INFO, {"event": "no delivery is under way any more"})
    await slow.activate()
