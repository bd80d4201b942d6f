from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from complaints import Complaints
from playwright.async_api import Browser, async_playwright
from programs import require_program

ARGUMENTS = [
    "--no-sandbox",  # its own needs rights that a container does not give; what it opens is ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = require_program("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()
