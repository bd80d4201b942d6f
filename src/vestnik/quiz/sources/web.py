"""Sources described by configuration alone: any JSON or XML API, any HTML site (Q1).

One class: they differ in how an answer is read, which `formats` knows, and not in how it is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from yarl import URL

from vestnik.quiz.sources.addresses import origin_of
from vestnik.quiz.sources.fetching import Fetched, Fetcher
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.record import Plan
from vestnik.quiz.sources.http_settings import HttpSettings
from vestnik.quiz.sources.paging import ElsewhereError, Paging, PagingSettings
from vestnik.quiz.sources.picks import CssFields, CssSelector, ElementPath, JmesPath, JsonFields, XmlFields
from vestnik.quiz.sources.reader import Batch, ReadingFailed
from vestnik.quiz.sources.source import Page, Shared, Source, SourceFailed, SourceSettings


class WebSettings(HttpSettings):
    kind: str
    items: str  # which parts of an answer are questions
    next: str | None = None  # what leads to the next page: a link, or with `paging` a cursor
    paging: PagingSettings | None = None
    pages: Annotated[int, Field(ge=1, le=100_000)] = 10  # at most, in one run

    def job(self) -> Job:
        return Job(format=self.kind, items=self.items, plan=self.plan(), next=self.next, encoding=self.encoding)


class JsonSettings(WebSettings):
    kind: Literal["json"]
    items: JmesPath
    fields: JsonFields
    next: JmesPath | None = None

    def plan(self) -> Plan:
        return self.fields.plan(self.values)


class HtmlSettings(WebSettings):
    kind: Literal["html"]
    items: CssSelector
    fields: CssFields
    next: CssSelector | None = None

    def plan(self) -> Plan:
        return self.fields.plan(self.values)


class XmlSettings(WebSettings):
    kind: Literal["xml"]
    items: ElementPath
    fields: XmlFields
    next: ElementPath | None = None

    def plan(self) -> Plan:
        return self.fields.plan(self.values)


class WebSource(Source):
    Settings: ClassVar[type[SourceSettings]] = WebSettings

    def __init__(self, settings: WebSettings, shared: Shared, *, fetcher: Fetcher | None = None) -> None:
        self._settings = settings
        self._reader = shared.reader
        self._fetcher = fetcher or Fetcher(settings, shared.paces)
        self._job = settings.job()
        self._origin = origin_of(URL(settings.url))

    async def close(self) -> None:
        await self._fetcher.close()

    async def pages(self) -> AsyncGenerator[Page]:
        paging = Paging(self._settings.paging, by_next=self._settings.next is not None)
        url: URL | None = paging.first(self._settings.first_url)
        seen: set[bytes] = set()
        for _ in range(self._settings.pages):
            if url is None:
                return
            fetched = await self._fetcher.get(self._with_params(url))
            digest = hashlib.sha256(fetched.body).digest()
            if digest in seen:  # some answer with the same page for ever, whatever number is asked for
                return
            seen.add(digest)
            items, parts, found = 0, 0, None
            async with aclosing(self._read(fetched)) as batches:
                async for batch in batches:
                    yield Page(self._shown(url), batch.candidates, batch.unreadable, continued=parts > 0)
                    items += len(batch.candidates) + len(batch.unreadable)
                    parts, found = parts + 1, batch.next
            url = self._next(paging, url, fetched, found, items)

    async def _read(self, fetched: Fetched) -> AsyncGenerator[Batch]:
        job = self._job.of_answer(fetched.charset)
        try:
            async with aclosing(self._reader.read(job, fetched.body)) as batches:
                async for batch in batches:
                    yield batch
        except ReadingFailed as error:
            raise SourceFailed(self._fetcher.redact(f"its answer cannot be read: {error}")) from None

    def _next(self, paging: Paging, url: URL, fetched: Fetched, found: str | None, items: int) -> URL | None:
        # A link is relative to where the page was found, everything else belongs to what was asked for.
        base = fetched.url if self._settings.next and not self._settings.paging else url
        try:
            return paging.next(base, found, items)
        except ElsewhereError as error:
            raise SourceFailed(str(error)) from None

    def _with_params(self, url: URL) -> URL:
        """Keys in the query belong to the configured site only."""
        if origin_of(url) != self._origin:
            return url
        return url.update_query({name: value.get_secret_value() for name, value in self._settings.params.items()})

    def _shown(self, url: URL) -> str:
        return self._fetcher.redact(str(url.without_query_params(*self._settings.params)))


class JsonSource(WebSource):
    Settings = JsonSettings


class HtmlSource(WebSource):
    Settings = HtmlSettings


class XmlSource(WebSource):
    Settings = XmlSettings
