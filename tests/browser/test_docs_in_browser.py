"""Swagger UI in Debian's Chromium: it shows every operation, and the content policy lets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from complaints import Complaints
from daemons import RunningDaemon
from playwright.async_api import Browser, expect

pytestmark = pytest.mark.service

CHANNELS = """
channels:
  nowhere: {{worker: null}}
"""


async def test_the_documentation_shows_how_to_send(tmp_path: Path, browser: Browser, complaints: Complaints) -> None:
    async with RunningDaemon(tmp_path, channels=CHANNELS) as daemon:
        page = await browser.new_page()
        complaints.watch(page)
        await page.goto(f"{daemon.url}/docs/")
        await expect(page.get_by_text("Register a message for a channel")).to_be_visible()
        await expect(page.locator(".opblock", has_text="/api/send/{channel}")).to_have_count(1)
    assert complaints == []
