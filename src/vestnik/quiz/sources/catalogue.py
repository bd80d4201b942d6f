"""All kinds of source there are: this table, and what installed packages offer as entry points `vestnik.sources`."""

from __future__ import annotations

from vestnik.quiz.sources.source import Source
from vestnik.settings.catalogue import Catalogue

GROUP = "vestnik.sources"

#: Imported on first use.
KINDS = {
    "opentdb": "vestnik.quiz.sources.opentdb:OpenTdbSource",
    "json": "vestnik.quiz.sources.web:JsonSource",
    "html": "vestnik.quiz.sources.web:HtmlSource",
    "xml": "vestnik.quiz.sources.web:XmlSource",
    "file": "vestnik.quiz.sources.file:FileSource",
}

_CATALOGUE: Catalogue[Source] = Catalogue(GROUP, KINDS, Source)

kinds = _CATALOGUE.names
find_kind = _CATALOGUE.find
