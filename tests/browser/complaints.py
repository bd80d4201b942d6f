"""Listens to what a browser complains about."""

from __future__ import annotations

from playwright.async_api import ConsoleMessage, Page


class Complaints(list[str]):
    """What the browser complained about: console errors (violations of the page's policy among them), exceptions."""

    def watch(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.append(message.text)
