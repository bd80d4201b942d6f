"""Checks a document against a schema and says everything that is wrong with it, each at its line."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from vestnik.settings.document import Document, Hidden, Key, MissingFile, Unread
from vestnik.settings.problems import ConfigurationError, Problem, did_you_mean, quoted

Model = TypeVar("Model", bound=BaseModel)

_WANTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "string_type": "text",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "dict_type": "keys with values",
    "list_type": "a list",
    "tuple_type": "a list",
    "too_short": "at least one value",
    "path_type": "a path",
}

_WANTS_KEYS = ("model_type", "model_attributes_type", "dict_type")
_PASSWORD = re.compile(r"(//[^/?#\s]*?:)[^/?#\s]*@")  # in a URL


def validate(model: type[Model], document: Document, value: Any, at: Key = ()) -> Model | None:
    """The settings, or None after every problem was added to `document.problems`. `at` is where `value` stands."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        document.problems.extend(
            _problem(model, document, at, details)
            for details in error.errors(include_url=False)
            if not isinstance(details["input"], Unread | MissingFile) or details["type"] == "extra_forbidden"
        )
        return None


def raise_problems(document: Document) -> None:
    """Raises ConfigurationError when the document has any problem."""
    for key, missing in document.missing.items():
        what = f"cannot read the file {quoted(missing.path)}: {missing.cause}"
        document.problems.append(Problem(document.place_of(key), ".".join(map(str, key)), what))
    if document.problems:
        raise ConfigurationError(document.problems)


def _problem(model: type[BaseModel], document: Document, at: Key, details: ErrorDetails) -> Problem:
    key = at + _real_part(document, at, details["loc"])
    missing = details["type"] == "missing"
    place = document.place_of(key[:-1] if missing else key)
    return Problem(place, ".".join(map(str, key)), _sentence(model, details))


def _real_part(document: Document, at: Key, loc: tuple[int | str, ...]) -> Key:
    """Without what pydantic puts between for unions and validators (`tagged-union[...]`, `str`)."""
    real: Key = ()
    for part in loc:
        if (*at, *real, part) in document.places or part == loc[-1]:
            real = (*real, part)
    if len(real) > 1 and real[-1] == real[-2]:
        return real[:-1]
    return real if (*at, *real) in document.places or not real else _without_type_name(real)


def _without_type_name(real: Key) -> Key:
    last = real[-1]
    return real[:-1] if isinstance(last, str) and ("[" in last or last in ("str", "int", "tuple")) else real


def _sentence(model: type[BaseModel], details: ErrorDetails) -> str:
    found, kind, context = details["input"], details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(model, details["loc"][:-1])
        return f"unknown key{did_you_mean(str(details['loc'][-1]), known)}{_choice(known)}"
    if kind == "missing":
        return "is missing"
    wanted = _wanted(kind, context, details["msg"])
    if kind == "literal_error":
        wanted += did_you_mean(str(found), context["expected"].replace("'", "").replace(" or ", ", ").split(", "))
    return f"found {_shown(model, details)}, wanted {wanted}" if wanted else details["msg"]


def _wanted(kind: str, context: dict[str, Any], message: str) -> str:
    if kind in _WANTED:
        return _WANTED[kind]
    match kind:
        case "value_error":
            return str(context["error"])
        case "literal_error" | "enum":
            return f"{context['expected']}"
        case "greater_than_equal":
            return f"at least {_amount(context['ge'])}"
        case "greater_than":
            return f"more than {_amount(context['gt'])}"
        case "less_than_equal":
            return f"at most {_amount(context['le'])}"
        case "string_too_short":
            least = context["min_length"]
            return f"at least {least} character{'s' if least > 1 else ''}"
        case _:
            return message[:1].lower() + message[1:]


def _amount(value: Any) -> str:
    """A limit as one would write it. pydantic hands that of a duration over as Python's repr."""
    if match := re.fullmatch(r"datetime\.timedelta\((.*)\)", str(value)):
        parts = {name: int(count) for name, count in re.findall(r"([a-z]+)=(-?\d+)", match[1])}
        return f"{timedelta(**parts).total_seconds():g}s"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(model: type[BaseModel], details: ErrorDetails) -> str:
    """The found value; never one of a secret, and only the kind of what is larger than a line."""
    if _is_secret(model, details["loc"]):
        return "a secret (not shown)"
    match details["input"]:
        case None:
            return "nothing"
        case Hidden():
            return "what !file or !env gave (not shown)"
        case str() if details["type"] in _WANTS_KEYS:
            return "text"  # not shown: what stands where a section belongs may be the secret out of it
        case dict():
            return "keys with values"
        case list() | tuple():
            return "a list"
        case timedelta() as default:
            return quoted(f"{default.total_seconds():g}s")
        case value:
            return quoted(_PASSWORD.sub(r"\1(not shown)@", str(value)))


def _choice(known: list[str]) -> str:
    return f" (known are {', '.join(sorted(known))})" if known else ""


def _known_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    for inner in _models_at(model, loc):
        return [field.alias or name for name, field in inner.model_fields.items()]
    return []


def _is_secret(model: type[BaseModel], loc: tuple[int | str, ...]) -> bool:
    for depth in range(len(loc)):
        for inner in _models_at(model, loc[:depth]):
            field = _field(inner, loc[depth])
            if field is not None and "Secret" in str(field.annotation):
                return True
    return False


def _field(model: type[BaseModel], name: int | str) -> Any:
    return next((f for n, f in model.model_fields.items() if name in (n, f.alias)), None)


def _models_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """The models that may stand at a location; parts that no model has a field for are skipped."""
    models = [model]
    for part in loc:
        fields = [f for f in (_field(m, part) for m in models) if f is not None]
        if fields:
            models = [inner for f in fields for inner in _models_in(f.annotation)]
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def secrets_in(settings: Any) -> Iterator[str]:
    """Every SecretStr's value anywhere in settings, to be kept out of logs and errors."""
    match settings:
        case SecretStr():
            yield settings.get_secret_value()
        case BaseModel():
            for name in type(settings).model_fields:
                yield from secrets_in(getattr(settings, name))
        case dict():
            for value in settings.values():
                yield from secrets_in(value)
        case list() | tuple():
            for value in settings:
                yield from secrets_in(value)
