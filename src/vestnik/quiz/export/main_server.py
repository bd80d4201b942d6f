"""The main server's import endpoint: one request for one batch."""

from __future__ import annotations

from dataclasses import replace

from vestnik.delivery.workers.http_exchange import Exchange, Request
from vestnik.delivery.workers.worker import Unavailable
from vestnik.quiz.export.answers import Later, Taken, Verdict, judge
from vestnik.quiz.export.batches import Batch
from vestnik.quiz.export.settings import ExportSettings
from vestnik.quiz.sources.formats.markup import described_page, is_page

MAX_BODY = 1 << 20  # bytes; some answer with every question that they took
NO_REASON = "the main server called it invalid and gave no reason"


class MainServer:
    """Close it at the end."""

    def __init__(self, settings: ExportSettings) -> None:
        key = settings.key.get_secret_value()
        self._url = settings.url
        self._headers = {
            "Content-Type": "application/json",
            settings.key_header: f"Bearer {key}" if settings.key_header.lower() == "authorization" else key,
        }
        self._exchange = Exchange(settings.timeout.total_seconds(), [key], max_body=MAX_BODY)

    async def close(self) -> None:
        await self._exchange.close()

    async def post(self, batch: Batch) -> Verdict:
        """What the server made of it. Never raises for what the server does or leaves undone."""
        headers = {**self._headers, "Idempotency-Key": batch.id}
        try:
            answer = await self._exchange.ask(Request("POST", self._url, headers, batch.body))
        except Unavailable as error:
            return Later(f"the main server: {error}", unclear=error.maybe_sent, of_batch=error.maybe_sent)
        quoted = self._exchange.quoted
        said = described_page(answer.text) if is_page(answer.text) else answer.text
        verdict = judge(answer, [member.hash for member in batch.members], quoted(said))
        if isinstance(verdict, Taken):
            # These are kept, and shown to moderators.
            return replace(verdict, invalid={n: quoted(error) or NO_REASON for n, error in verdict.invalid.items()})
        return verdict
