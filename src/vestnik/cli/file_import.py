"""Files of questions, screened and stored like what comes from any source. Loaded only when something is imported.

It works on the database itself, whether the daemon runs or not: reading and screening cost the daemon nothing then, and
of the database it has its share between two slices of fifty questions.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from vestnik.cli.imported import Imported, InMaintenance
from vestnik.cli.progress import Progress
from vestnik.cli.shared_database import shared_database
from vestnik.configuration import Configuration
from vestnik.quiz.collection import CollectionReport
from vestnik.quiz.intake import Intake
from vestnik.quiz.model import Origin
from vestnik.quiz.settings import ConfiguredQuiz
from vestnik.quiz.sources.configured import ConfiguredSource, name_problem
from vestnik.quiz.sources.file import FileSettings, FileSource
from vestnik.quiz.sources.pace import Paces
from vestnik.quiz.sources.reader import Reader
from vestnik.quiz.sources.source import Shared, SourceFailed
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.settings.document import Document
from vestnik.settings.problems import Place
from vestnik.settings.validation import validate

_KEPT_BY_QUESTIONS = ("licence", "attribution", "language")  # of the options; the others say how to read


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read, how, and whose questions they are."""

    sources: Sequence[tuple[Path, FileSettings]]
    origin: Origin


@dataclass
class ImportedQuestions(Imported):
    report: CollectionReport = field(default_factory=CollectionReport)

    @property
    def whole(self) -> bool:
        return super().whole and not self.report.unreadable

    def result(self) -> dict[str, Any]:
        return {**self.report.result(), **super().result()}


def planned(quiz: ConfiguredQuiz, files: Sequence[Path], name: str, given: Mapping[str, Any]) -> Plan:
    """`given` are keys of a file source, as one would write them in the configuration. Raises click.UsageError.

    A source of this name in the configuration lends what is true of its questions, and one of files, where nothing is
    given, how to read them too.
    """
    if wrong := name_problem(name):
        raise click.UsageError(f"--source: {wrong}")
    configured = next((source for source in quiz.sources if source.name == name), None)
    settings = [(file, _settings(configured, name, file, given)) for file in files]
    own = settings[0][1].origin(name)
    origin = configured.origin if configured else own
    chosen = {key: getattr(own, key) for key in _KEPT_BY_QUESTIONS if key in given}
    url = None if (origin.url or "").startswith("file:") else origin.url  # where it lies here is nobody's business
    return Plan(settings, replace(origin, **chosen, url=url))


def _settings(configured: ConfiguredSource | None, name: str, file: Path, given: Mapping[str, Any]) -> FileSettings:
    url = f"file:{quote(str(file))}"
    lent = configured.settings if configured else None
    if isinstance(lent, FileSettings) and not given:
        return lent.model_copy(update={"url": url})
    if "format" not in given:
        raise click.UsageError(f"give --format: the configuration does not say how to read files of {name!r}")
    section = {"kind": "file", "url": url, **given}
    keys = [(), *((key,) for key in section), *(("fields", name) for name in section.get("fields", ()))]
    document = Document(section, dict.fromkeys(keys, Place("", 0)))
    settings = validate(FileSource.settings_for(section), document, section)
    if not isinstance(settings, FileSettings):
        raise click.UsageError("\n".join(f"{_option(problem.key)}: {problem.what}" for problem in document.problems))
    return settings


def _option(key: str) -> str:
    """That a key of the section was given with."""
    return f"--field {key.partition('.')[2]}".rstrip() if key.startswith("fields") else f"--{key}"


def carry_out(configuration: Configuration, plan: Plan) -> ImportedQuestions:
    """Raises InMaintenance, DatabaseDamaged, StoreUnavailable; what is stored by then stays."""
    progress = Progress()
    import_ = FileImport(configuration, plan, progress)
    try:
        asyncio.run(import_.run())
    finally:
        import_.imported.seconds = progress.end()
    return import_.imported


class FileImport:
    """Ends early, after what is in hand, at Ctrl-C and in maintenance; what is there by then stays."""

    def __init__(self, configuration: Configuration, plan: Plan, progress: Progress) -> None:
        self._configuration = configuration
        self._plan = plan
        self._progress = progress
        self._maintenance = MaintenanceFlag(configuration.settings.service.state_dir)
        self._interrupted = False
        self.imported = ImportedQuestions()

    async def run(self) -> None:
        """Raises InMaintenance, DatabaseDamaged, StoreUnavailable."""
        if self._maintenance.on:
            raise InMaintenance("in maintenance nothing is taken in")
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(shared_database(self._configuration.database))
            reader = Reader()
            stack.push_async_callback(reader.close)
            for file, settings in self._plan.sources:
                source = FileSource(settings, Shared(reader, Paces()))
                await self._read(file, source, Intake(database))

    async def _read(self, file: Path, source: FileSource, intake: Intake) -> None:
        before = self.imported.report.fetched
        try:
            async with aclosing(source.pages()) as pages:
                async for page in pages:
                    if self._ending():
                        return
                    taken = await intake.take(self._plan.origin, page.candidates)
                    self.imported.report.add(page, taken)
                    self._progress.show(self.imported.report.fetched, partial(_sentence, self.imported.report))
        except SourceFailed as error:
            self.imported.failed[str(file)] = str(error)
        else:
            if self.imported.report.fetched == before and await asyncio.to_thread(_has_content, file):
                self.imported.failed[str(file)] = "there is no question in it, as it is read (is the format right?)"

    def _interrupt(self) -> None:
        self._interrupted = True

    def _ending(self) -> bool:
        return self.imported.stops(interrupted=self._interrupted, maintenance=self._maintenance.on)


def _has_content(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _sentence(report: CollectionReport) -> str:
    taken = report.taken
    return (
        f"{report.fetched:,} read: {taken.ready:,} ready, {taken.raw:,} raw, {taken.refused:,} refused, "
        f"{report.unreadable:,} unreadable"
    )
