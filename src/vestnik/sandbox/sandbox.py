"""The sandbox: every far side that a worker can talk to, on loopback, with an inbox to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from vestnik.runtime.listening import listening
from vestnik.sandbox.application import build_application
from vestnik.sandbox.bot_api import BotApi
from vestnik.sandbox.far_side import HttpFarSide, Inbox
from vestnik.sandbox.live import Changes
from vestnik.sandbox.mail_server import MailServer
from vestnik.sandbox.page import InboxPage
from vestnik.sandbox.quiz_server import MainQuizServer
from vestnik.sandbox.quiz_source import QuizSource
from vestnik.sandbox.settings import SandboxSettings
from vestnik.sandbox.sms_gateways import KannelGateway, ProbeGateway
from vestnik.sandbox.view import InboxView
from vestnik.settings.values import Address

#: The far sides that are reached over HTTP. A new one is a file and a word here.
HTTP_FAR_SIDES: tuple[Callable[[Inbox], HttpFarSide], ...] = (
    BotApi,
    KannelGateway,
    ProbeGateway,
    QuizSource,
    MainQuizServer,
)

#: What a request in progress (a far side that was told to be slow) may still take when the daemon stops, in seconds.
PATIENCE = 0.2


class Sandbox:
    """`examples`: commands that the empty inbox suggests, such as one for each channel."""

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        http_far_sides: Sequence[Callable[[Inbox], HttpFarSide]] = HTTP_FAR_SIDES,
        examples: Sequence[str] = (),
    ) -> None:
        self._settings = settings
        self._examples = examples
        self.inbox = Inbox()
        self.mail_server = MailServer(self.inbox)
        self._http_far_sides = [build(self.inbox) for build in http_far_sides]
        self.far_sides = {far_side.name: far_side for far_side in (*self._http_far_sides, self.mail_server)}
        self._changes = Changes(self.inbox)
        for far_side in self.far_sides.values():
            far_side.on_change = self._changes.tell
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Of the inbox page; with the port that the system chose where the settings say 0. Once started."""
        if self._runner is None:
            raise RuntimeError("the sandbox is not running")
        host, port = self._runner.addresses[0][:2]
        return f"http://{Address(host, port)}"

    async def start(self) -> None:
        """Raises CannotListen when an address is taken; nothing is left running then."""
        try:
            await self._start_http()
            with listening("sandbox.smtp", self._settings.smtp):
                await self.mail_server.start(self._settings.smtp)
        except BaseException:
            await self.stop()
            raise
        self._changes.start()

    async def stop(self) -> None:
        await self.mail_server.stop()
        await self._changes.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _start_http(self) -> None:
        page = InboxPage(InboxView(self.inbox, self.far_sides.values()), self._changes, self._examples)
        app = build_application(page, self._http_far_sides)
        # No access log: the Bot API's token is a part of its paths.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE)
        await self._runner.setup()
        listen = self._settings.listen
        with listening("sandbox.listen", listen):
            await web.TCPSite(self._runner, listen.host, listen.port).start()
