"""The inbox page in Debian's Chromium: live arrivals, switches, hostile texts, a daemon that comes back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from complaints import Complaints
from playwright.async_api import Browser, Page, expect

from vestnik.sandbox.far_side import Arrival, Fault
from vestnik.sandbox.sandbox import Sandbox
from vestnik.sandbox.settings import SandboxSettings
from vestnik.settings.values import Address

pytestmark = pytest.mark.service

ATTACK = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
LOOPBACK = "127.0.0.1"


def settings(port: int = 0) -> SandboxSettings:
    return SandboxSettings(listen=Address(LOOPBACK, port), smtp=Address(LOOPBACK, 0))


def fault_of(sandbox: Sandbox, far_side: str) -> Fault:
    return sandbox.far_sides[far_side].fault


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(settings())
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def page(sandbox: Sandbox, browser: Browser, complaints: Complaints) -> Page:
    page = await browser.new_page()
    complaints.watch(page)
    await page.goto(sandbox.url)
    await expect(page.get_by_role("status")).to_have_text("live")
    return page


async def test_what_arrives_appears_by_itself_newest_first(
    sandbox: Sandbox, page: Page, complaints: Complaints
) -> None:
    await expect(page.get_by_text("Nothing has arrived yet")).to_be_visible()

    await sandbox.inbox.add(Arrival("telegram", "-100200", "the first", reference="17"))
    await sandbox.inbox.add(Arrival("mail", "a@example.test", "two\nlines", "Subject", details={"tls": "none"}))

    cards = page.locator("#arrivals > li")
    await expect(cards).to_have_count(2)
    await expect(cards.nth(0)).to_contain_text("two\nlines", use_inner_text=True)
    await expect(cards.nth(0)).to_contain_text("Subject")
    await expect(cards.nth(0).locator("dd")).to_have_text(["none"])
    await expect(cards.nth(1)).to_contain_text("the first")
    await expect(page.get_by_text("Nothing has arrived yet")).to_be_hidden()
    await expect(page.locator("form[data-name=telegram] [data-count]")).to_have_text("1")
    assert complaints == []


async def test_a_source_shows_what_it_gave_and_is_no_one_to_filter_by(
    sandbox: Sandbox, page: Page, complaints: Complaints
) -> None:
    card = page.locator('form[data-name="opentdb"]')
    await expect(card.locator(".arrived")).to_have_text("0 questions given")
    await page.request.get(f"{sandbox.url}/opentdb/api.php?amount=3")
    await expect(card.locator(".arrived")).to_have_text("3 questions given")
    await sandbox.inbox.add(Arrival("main", "History", "a question"))
    filters = page.get_by_role("navigation", name="Show messages of")
    await expect(filters.get_by_role("link", name="main 1")).to_be_visible()
    await expect(filters).not_to_contain_text("opentdb")
    assert complaints == []


async def test_times_are_of_24_hours_and_the_title_has_the_date_and_utc(sandbox: Sandbox, page: Page) -> None:
    await sandbox.inbox.add(Arrival("telegram", "-100200", "now"))
    time = page.locator("#arrivals time")
    await expect(time).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    await expect(time).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z, here "))


async def test_hostile_texts_are_shown_as_texts(sandbox: Sandbox, page: Page, complaints: Complaints) -> None:
    await sandbox.inbox.add(Arrival("mail", ATTACK, ATTACK, ATTACK, ATTACK, {ATTACK: ATTACK}))
    live = page.locator("#arrivals > li")
    await expect(live.get_by_text(ATTACK)).to_have_count(6)

    await page.reload()  # and now as the server writes it

    await expect(live.get_by_text(ATTACK)).to_have_count(6)
    await expect(page).to_have_title("Sandbox inbox · Vestnik")
    assert await live.locator("script, img").count() == 0
    assert complaints == []


async def test_a_fault_is_switched_on_and_off(sandbox: Sandbox, page: Page, complaints: Complaints) -> None:
    switches = page.get_by_role("group", name="telegram")
    down, none = switches.get_by_role("button", name="down"), switches.get_by_role("button", name="none")
    await expect(none).to_have_attribute("aria-pressed", "true")

    await down.click()
    await expect(down).to_have_attribute("aria-pressed", "true")
    await expect(none).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_text("Answers as a dead service does")).to_be_visible()
    assert fault_of(sandbox, "telegram") is Fault.DOWN

    await none.click()
    await expect(none).to_have_attribute("aria-pressed", "true")
    assert fault_of(sandbox, "telegram") is Fault.NONE
    assert complaints == []


async def test_a_fault_switched_elsewhere_shows_here(page: Page, browser: Browser, sandbox: Sandbox) -> None:
    other = await browser.new_page()
    await other.goto(sandbox.url)
    await other.get_by_role("group", name="mail").get_by_role("button", name="drop after hand-over").click()

    here = page.get_by_role("group", name="mail").get_by_role("button", name="drop after hand-over")
    await expect(here).to_have_attribute("aria-pressed", "true")


async def test_the_inbox_is_cleared(sandbox: Sandbox, page: Page, complaints: Complaints) -> None:
    await sandbox.inbox.add(Arrival("kannel", "79990000001", "soon gone"))
    await expect(page.get_by_text("soon gone")).to_be_visible()

    await page.get_by_role("button", name="Clear the inbox").click()

    await expect(page.get_by_text("Nothing has arrived yet")).to_be_visible()
    assert sandbox.inbox.arrivals() == []
    assert complaints == []


async def test_a_page_narrowed_to_one_far_side_shows_only_its_arrivals(sandbox: Sandbox, page: Page) -> None:
    await page.get_by_role("link", name="mail").click()
    await expect(page.get_by_role("status")).to_have_text("live")

    await sandbox.inbox.add(Arrival("kannel", "79990000001", "an SMS"))
    await sandbox.inbox.add(Arrival("mail", "a@example.test", "a mail"))

    await expect(page.locator("#arrivals > li .text")).to_have_text(["a mail"])
    await expect(page.get_by_role("link", name="all")).to_contain_text("2")


async def test_without_scripts_everything_still_works(sandbox: Sandbox, browser: Browser) -> None:
    await sandbox.inbox.add(Arrival("kannel", "79990000001", "plain"))
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(sandbox.url)
    await expect(page.get_by_text("plain")).to_be_visible()

    await page.get_by_role("group", name="probe").get_by_role("button", name="slow").click()
    switched = page.get_by_role("group", name="probe").get_by_role("button", name="slow")
    await expect(switched).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Clear the inbox").click()

    await expect(page.get_by_text("Nothing has arrived yet")).to_be_visible()
    assert fault_of(sandbox, "probe") is Fault.SLOW


async def test_the_page_comes_back_with_the_daemon(sandbox: Sandbox, page: Page) -> None:
    await sandbox.inbox.add(Arrival("kannel", "79990000001", "of the first run"))
    await expect(page.get_by_text("of the first run")).to_be_visible()
    port = int(sandbox.url.rsplit(":", 1)[1])
    await sandbox.stop()
    await expect(page.get_by_role("status")).to_have_text("reconnecting…")

    second = Sandbox(settings(port))
    await second.start()
    try:
        await second.inbox.add(Arrival("kannel", "79990000001", "of the second run"))
        await expect(page.locator("#arrivals > li .text")).to_have_text(["of the second run"], timeout=20_000)
        await expect(page.get_by_role("status")).to_have_text("live")
    finally:
        await second.stop()


async def test_a_page_of_another_site_cannot_switch(sandbox: Sandbox, browser: Browser) -> None:
    # The same address under another name is another site to the browser, as any page on the internet is.
    foreign = sandbox.url.replace(LOOPBACK, "localhost")
    page = await browser.new_page()
    await page.goto(f"{foreign}/static/icon.svg")

    await page.evaluate(
        """url => fetch(url, {method: "POST", mode: "no-cors", body: new URLSearchParams({fault: "down"})})
                .catch(() => null)""",
        f"{sandbox.url}/faults/telegram",
    )

    assert fault_of(sandbox, "telegram") is Fault.NONE


@pytest.mark.parametrize("width", [390, 768, 1280])
async def test_the_page_fits_every_width(sandbox: Sandbox, page: Page, width: int) -> None:
    await sandbox.inbox.add(Arrival("mail", "long" * 40 + "@example.test", "w" * 500, "s" * 200, "r" * 200))
    await page.set_viewport_size({"width": width, "height": 800})
    await expect(page.locator("#arrivals > li")).to_have_count(1)

    assert await page.evaluate("document.documentElement.scrollWidth") <= width
