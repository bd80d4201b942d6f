"""E-mail to a set of addresses through one SMTP server; every recipient gets a mail of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from vestnik.delivery.model import Task
from vestnik.delivery.workers.email_address import parse_address
from vestnik.delivery.workers.email_connections import Connections
from vestnik.delivery.workers.email_message import compose, message_id
from vestnik.delivery.workers.email_replies import Lost
from vestnik.delivery.workers.email_settings import EmailSettings
from vestnik.delivery.workers.email_transaction import Connection, Mail
from vestnik.delivery.workers.worker import Refused, Worker, WorkerSettings

LONGEST_TEXT = 100_000  # characters


class EmailWorker(Worker):
    Settings: ClassVar[type[WorkerSettings]] = EmailSettings

    text_pattern = re.compile(rf"(?=.*\S)[^\x00\ud800-\udfff]{{1,{LONGEST_TEXT}}}", re.DOTALL)
    text_rule = f"a text of at most {LONGEST_TEXT} characters, not blank and without NUL"
    takes_subject = True

    def __init__(self, settings: EmailSettings, channel: str) -> None:  # noqa: ARG002 - the daemon logs it
        self._settings = settings
        self._connections = Connections(settings)

    def recipients(self) -> Sequence[str]:
        return self._settings.to

    async def stop(self) -> None:
        await self._connections.close()

    async def deliver(self, task: Task) -> str | None:
        mail = self._mail(task)
        kept = self._connections.take_kept()
        if kept is not None:
            try:
                return await self._send(kept, mail)
            except Lost:
                pass  # the server gave it up while it was idle; that says nothing about a new one
        return await self._send(await self._connections.open(), mail)

    async def _send(self, connection: Connection, mail: Mail) -> str:
        try:
            return await connection.send(mail)
        finally:
            self._connections.give_back(connection)

    def _mail(self, task: Task) -> Mail:
        sender = self._settings.from_
        try:
            recipient = parse_address(task.recipient)
        except ValueError as error:
            raise Refused(f"{task.recipient!r} is not {error}") from None
        content = compose(
            sender=sender,
            recipient=recipient,
            subject=task.subject or self._settings.subject,
            text=task.text,
            html=task.html,
            message_id=message_id(task, sender.domain),
            date=datetime.now(UTC).replace(microsecond=0),  # all mails of a second share what is made of it
        )
        return Mail(sender.address, recipient, content)
