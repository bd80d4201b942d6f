"""YAML text to nodes, or to the line and the words that tell an operator what is wrong with it."""

from __future__ import annotations

import yaml

MAX_DEPTH = 40


class Unparsable(ValueError):
    """`line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def compose(text: str) -> yaml.Node | None:
    """The document's root; None when the text holds nothing. Raises Unparsable."""
    try:
        _refuse_depth(text)
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from error
    except yaml.YAMLError as error:
        raise Unparsable(1, f"is not YAML: {str(error).splitlines()[0]}") from error
    return node


def _refuse_depth(text: str) -> None:
    """PyYAML composes by recursion in C: 100,000 brackets end the process. Reading the events does not recurse."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise Unparsable(line, f"is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _explained(error: yaml.MarkedYAMLError, text: str) -> Unparsable:
    """The parser's words with what they leave out: the tab, and the line where the open bracket or quote stands."""
    begun = error.context_mark
    mark = error.problem_mark or begun
    if mark is None:
        return Unparsable(1, f"is not YAML: {error.problem}")
    here = text.split("\n")[mark.line : mark.line + 1]
    if here and here[0][mark.column : mark.column + 1] == "\t":
        return Unparsable(mark.line + 1, "is not YAML: found a tab; YAML is indented with spaces")
    context = error.context or ""
    if begun is not None and begun.line != mark.line:
        context += f" that begins in line {begun.line + 1},"
    return Unparsable(mark.line + 1, f"is not YAML: {' '.join(filter(None, (context, error.problem)))}")
