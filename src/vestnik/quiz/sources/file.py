"""Sources that are files of this machine: what one has, or has downloaded."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from vestnik.quiz.sources.formats.csv_rows import IGNORED, Shape
from vestnik.quiz.sources.formats.job import Job
from vestnik.quiz.sources.formats.record import FIELDS, TEXT, Plan, Unreadable
from vestnik.quiz.sources.picks import ColumnFields, ElementPath, JmesPath, JsonFields, XmlFields
from vestnik.quiz.sources.reader import ReadingFailed
from vestnik.quiz.sources.source import Page, Shared, Source, SourceFailed, SourceSettings
from vestnik.scheduler.triggers import Trigger
from vestnik.settings.problems import did_you_mean
from vestnik.settings.values import Size

_WANTED = "file:///PATH, or file:PATH from the working directory; * and ? stand for parts of names"


def path_of(url: str) -> str:
    """The pattern that a `file:` URL names. Raises ValueError."""
    match = re.fullmatch(r"file:(?://(?:localhost)?(?=/))?([^\x00-\x1f]+)", url)
    if match is None or match[1].startswith("//"):
        raise ValueError(_WANTED)
    path = unquote(match[1])
    if "\x00" in path:
        raise ValueError(_WANTED)
    return path


def _file_url(url: str) -> str:
    path_of(url)
    return url


class FileSettings(SourceSettings):
    """Without `mode` it is no job, and is read by `vestnik quiz import` only."""

    kind: Literal["file"]
    url: Annotated[str, AfterValidator(_file_url)]
    format: Literal["csv", "hash-q", "json", "opentdb", "openquizzdb", "xml", "yaml"]
    mode: Literal["TIMER", "CRON"] | None = None  # type: ignore[assignment]
    category: Annotated[str, Field(min_length=1)] | None = None  # of all, where the format has none
    size: Annotated[Size, Field(ge=1024, le=1 << 30)] = 100 << 20  # of a file that is read as a whole

    @property
    def trigger(self) -> Trigger | None:
        return None if self.mode is None else super().trigger

    def job(self) -> Job:
        return Job(
            format=self.format,
            plan=self.plan(),
            encoding=self.encoding,
            category=self.category,
            most_bytes=self.size,
        )


class JsonFileSettings(FileSettings):
    """YAML too: the same once it is read."""

    format: Literal["json", "yaml"]
    items: JmesPath
    fields: JsonFields

    def plan(self) -> Plan:
        return self.fields.plan(self.values)

    def job(self) -> Job:
        return replace(super().job(), items=self.items)


class XmlFileSettings(FileSettings):
    format: Literal["xml"]
    items: ElementPath
    fields: XmlFields

    def plan(self) -> Plan:
        return self.fields.plan(self.values)

    def job(self) -> Job:
        return replace(super().job(), items=self.items)


class OpenTdbFileSettings(FileSettings):
    format: Literal["opentdb"]
    encode: Literal["entities", "urlLegacy", "url3986", "base64"] = "entities"

    def job(self) -> Job:
        return replace(super().job(), strings=self.encode)


def _layouts(value: Any) -> Any:
    """One layout may stand alone."""
    return [value] if isinstance(value, list) and value and not isinstance(value[0], list) else value


class CsvFileSettings(FileSettings):
    """With `fields` the first row names the columns; with `columns` there is no such row."""

    format: Literal["csv"]
    fields: ColumnFields | None = Field(default=None, validate_default=True)
    columns: Annotated[list[list[str]], BeforeValidator(_layouts)] | None = Field(default=None, validate_default=True)
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] | None = '"'

    @field_validator("columns")
    @classmethod
    def _sound_columns(cls, columns: list[list[str]] | None, info: ValidationInfo) -> list[list[str]] | None:
        if "fields" in info.data and (columns is None) == (info.data["fields"] is None):
            raise ValueError("the field in each column, or `fields` where the first row names the columns")
        for layout in columns or ():
            for name in layout:
                if name not in (*FIELDS, IGNORED):
                    raise ValueError(f'fields of a question, or "-"; {name} is none{did_you_mean(name, FIELDS)}')
            if TEXT not in layout:
                raise ValueError(f"a column that is the {TEXT}")
        widths = [len(layout) for layout in columns or ()]
        if len(set(widths)) < len(widths):
            raise ValueError("layouts that differ in the number of their columns")
        return columns

    def plan(self) -> Plan:
        return self.fields.plan(self.values) if self.fields else super().plan()

    def job(self) -> Job:
        layouts = {len(layout): layout for layout in self.columns or ()}
        return replace(super().job(), shape=Shape(self.delimiter, self.quote, layouts))


_SETTINGS: Mapping[str, type[FileSettings]] = {
    "json": JsonFileSettings,
    "yaml": JsonFileSettings,
    "xml": XmlFileSettings,
    "csv": CsvFileSettings,
    "opentdb": OpenTdbFileSettings,
}


class FileSource(Source):
    Settings: ClassVar[type[SourceSettings]] = FileSettings

    @classmethod
    def settings_for(cls, section: Mapping[str, Any]) -> type[SourceSettings]:
        format_ = section.get("format")
        return _SETTINGS.get(format_, FileSettings) if isinstance(format_, str) else FileSettings

    def __init__(self, settings: FileSettings, shared: Shared) -> None:
        self._pattern = path_of(settings.url)
        self._job = settings.job()
        self._reader = shared.reader

    async def pages(self) -> AsyncGenerator[Page]:
        """File by file; one that cannot be read is told of, and the others are read all the same."""
        files = _files(self._pattern)
        failed = 0
        for file in files:
            parts = 0
            try:
                async with aclosing(self._reader.read(self._job.of_file(str(file)))) as batches:
                    async for batch in batches:
                        yield Page(str(file), batch.candidates, batch.unreadable, continued=parts > 0)
                        parts += 1
            except ReadingFailed as error:
                failed += 1
                if failed == len(files):
                    raise SourceFailed(f"{file} cannot be read: {error}") from None
                rest = Unreadable("the rest of the file" if parts else "the file", str(error))
                yield Page(str(file), (), (rest,), continued=parts > 0)


def _files(pattern: str) -> list[Path]:
    """In the order of their names. Raises SourceFailed."""
    path = Path(pattern)
    if path.is_dir():
        raise SourceFailed(f"{pattern} is a folder: name the files in it, such as {pattern.rstrip('/')}/*.json")
    if path.is_file():
        return [path]
    found = sorted(file for file in path.parent.glob(path.name) if file.is_file()) if path.name else []
    if not found:
        raise SourceFailed(f"there is no file {pattern}")
    return found
