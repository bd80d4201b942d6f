"""Open Trivia DB, and whatever talks as it does. Code of its own, for its protocol: tokens, codes, all or nothing.

https://opentdb.com/api_config.php; the questions are CC BY-SA 4.0.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from yarl import URL

from vestnik.quiz.sources.fetching import Fetched, Fetcher
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.opentdb import Head
from vestnik.quiz.sources.formats.record import Unreadable
from vestnik.quiz.sources.http_settings import HttpSettings
from vestnik.quiz.sources.reader import Batch, ReadingFailed
from vestnik.quiz.sources.settings import Language
from vestnik.quiz.sources.source import Candidate, Page, Shared, Source, SourceFailed, SourceSettings
from vestnik.settings.problems import did_you_mean
from vestnik.settings.values import Rate, RateValue, Size

#: One request in five seconds from one address, over all endpoints; the half is for the way there.
PACE = Rate(1, 5.5)
_MOST = 50  # questions in one answer
_REPEATS = 5  # of one request: new tokens, and "too many requests" in the far side's own words
_FILTERS = ("category", "difficulty", "type")

OK, NO_RESULTS, INVALID_PARAMETER, TOKEN_NOT_FOUND, TOKEN_EMPTY, RATE_LIMIT = range(6)


class OpenTdbSettings(HttpSettings):
    kind: Literal["opentdb"]
    amount: Annotated[int, Field(ge=1, le=_MOST)] = _MOST  # of questions in one answer
    pages: Annotated[int, Field(ge=1, le=10_000)] = 1  # answers with questions, at most, in one run
    encode: Literal["entities", "urlLegacy", "url3986", "base64"] = "url3986"
    rate: RateValue | None = PACE
    size: Annotated[Size, Field(ge=1024, le=10 << 20)] = 1 << 20
    language: Language | None = "en"

    @field_validator("filters")
    @classmethod
    def _known_filters(cls, filters: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, values in filters.items():
            if name not in _FILTERS:
                raise ValueError(f"the filters {', '.join(_FILTERS)}; {name} is none{did_you_mean(name, _FILTERS)}")
            if len(values) > 1:
                raise ValueError(f"one {name}: several are several sources")
        return filters


@dataclass(frozen=True, slots=True)
class _Answer:
    head: Head
    candidates: tuple[Candidate, ...]
    unreadable: tuple[Unreadable, ...]


class _Nothing(Exception):
    """No question is left that this token has not given."""


class OpenTdbSource(Source):
    """The token makes the far side give each question once. It dies after six hours without use, which it is told when
    it is used; a new one gives all questions again, and they are known by their hashes.
    """

    Settings: ClassVar[type[SourceSettings]] = OpenTdbSettings

    def __init__(self, settings: OpenTdbSettings, shared: Shared, *, fetcher: Fetcher | None = None) -> None:
        self._settings = settings
        self._reader = shared.reader
        self._fetcher = fetcher or Fetcher(settings, shared.paces)
        self._job = Job(format="opentdb", plan=settings.plan(), strings=settings.encode)
        self._root = URL(settings.url)
        self._memory = shared.memory
        self._key = f"opentdb {settings.url} {json.dumps(settings.filters, sort_keys=True)}"
        self._token: str | None = None
        self._amount = settings.amount  # halved while there are not so many left: it gives all of them or none
        self._exhausted = False

    async def close(self) -> None:
        await self._fetcher.close()

    async def pages(self) -> AsyncGenerator[Page]:
        for _ in range(self._settings.pages):
            try:
                answer = await self._questions()
            except _Nothing:
                self._exhausted = True
                return
            yield Page(str(self._root / "api.php"), answer.candidates, answer.unreadable)

    async def _questions(self) -> _Answer:
        """As many as there are to have. Raises _Nothing, SourceFailed."""
        for _ in range(_REPEATS):
            answer = await self._halving()
            match answer.head.code:
                case 0:
                    return answer
                case 3:
                    await self._forget_token()
                case _:
                    raise SourceFailed(_said(answer.head))
        raise SourceFailed("it gives tokens and does not know them afterwards")

    async def _halving(self) -> _Answer:
        while True:
            answer = await self._ask("api.php", await self._query(), asked=self._amount)
            if answer.head.code not in (NO_RESULTS, TOKEN_EMPTY):
                if self._exhausted and answer.head.code == OK:  # something new has come
                    self._exhausted, self._amount = False, self._settings.amount
                return answer
            if self._amount == 1:
                raise _Nothing
            self._amount //= 2

    async def _query(self) -> dict[str, str]:
        if self._token is None:
            self._token = await self._memory.recall(self._key) or await self._new_token()
            self._fetcher.hide(self._token)
        encode = {} if self._settings.encode == "entities" else {"encode": self._settings.encode}
        filters = {name: values[0] for name, values in self._settings.filters.items()}
        return {"amount": str(self._amount), **filters, **encode, "token": self._token}

    async def _new_token(self) -> str:
        head = (await self._ask("api_token.php", {"command": "request"})).head
        if head.code != OK or head.token is None:
            raise SourceFailed(f"it gives no token: {_said(head)}")
        await self._memory.remember(self._key, head.token)
        return head.token

    async def _forget_token(self) -> None:
        await self._memory.remember(self._key, None)
        self._token, self._exhausted, self._amount = None, False, self._settings.amount

    async def _ask(self, endpoint: str, query: Mapping[str, str], *, asked: int = 0) -> _Answer:
        """An answer with a code of its own; the one for "too many requests" is waited out."""
        for _ in range(_REPEATS):
            fetched = await self._fetcher.get((self._root / endpoint).with_query(query))
            answer = await self._read(fetched, asked)
            if answer.head.code != RATE_LIMIT:
                return answer
            self._fetcher.hold((self._settings.rate or PACE).period)
        raise SourceFailed("it says that it is asked too often, however long one waits")

    async def _read(self, fetched: Fetched, asked: int) -> _Answer:
        job = replace(self._job, claimed=fetched.charset, asked=asked)
        try:
            async with aclosing(self._reader.read(job, fetched.body)) as batches:
                return _answer([batch async for batch in batches])
        except ReadingFailed as error:
            raise SourceFailed(self._fetcher.redact(f"its answer cannot be read: {error}")) from None


def _answer(batches: Sequence[Batch]) -> _Answer:
    """The head comes last."""
    candidates = tuple(one for batch in batches for one in batch.candidates)
    unreadable = tuple(one for batch in batches for one in batch.unreadable)
    return _Answer(Head.from_text(batches[-1].next or ""), candidates, unreadable)


def _said(head: Head) -> str:
    meaning = "it does not understand the filters" if head.code == INVALID_PARAMETER else "it answered"
    return f"{meaning} (code {head.code}{f': {head.said}' if head.said else ''})"
