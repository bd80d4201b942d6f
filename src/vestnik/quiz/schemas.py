"""Bodies and answers of the questions' routes, as the OpenAPI document shows them and as requests are checked."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from vestnik.quiz.model import Difficulty, Media, Question, QuestionType, Reason, Status, canonical
from vestnik.quiz.screening import rules
from vestnik.quiz.service import MOST_AT_ONCE
from vestnik.quiz.store.moderation import PAGE, Filter
from vestnik.runtime.clock import iso

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
MOST_IDS = 1000

_TIME = {"format": "date-time", "example": "2026-01-31T12:00:00.000Z"}
_REASON = {"description": "why it is raw: a rule's code (R08) or name (R08-all-of-the-above)", "example": "R08"}
_TYPES = validate.OneOf([kind.value for kind in QuestionType])
_DIFFICULTIES = validate.OneOf([difficulty.value for difficulty in Difficulty])
_STATUSES = validate.OneOf([status.value for status in Status])
_RULES = validate.OneOf(
    [name for rule in rules.RULES for name in (rule.code, rule.name)], error="is not the code or the name of a rule"
)


class MediaSchema(Schema):
    class Meta:
        unknown = RAISE

    role = fields.String(required=True, validate=validate.OneOf(["question", "answer", "explanation", "handout"]))
    kind = fields.String(required=True, validate=validate.OneOf(["image", "audio", "video"]))
    url = fields.String(required=True, validate=validate.Length(1, 2000))


class FindingSchema(Schema):
    rule = fields.String(required=True, metadata={"example": "R08-all-of-the-above"})
    description = fields.String(required=True, metadata={"description": "the reason, for a person"})
    detail = fields.String(required=True, allow_none=True, metadata={"description": "what was found"})


class SourceSchema(Schema):
    name = fields.String(required=True)
    url = fields.String(required=True, allow_none=True)
    external_id = fields.String(required=True, allow_none=True)
    author = fields.String(required=True, allow_none=True)
    references = fields.List(fields.String(), required=True)
    fetched_at = fields.String(required=True, metadata=_TIME)


class LicenceSchema(Schema):
    spdx = fields.String(required=True, metadata={"example": "CC-BY-SA-4.0"})
    attribution = fields.String(required=True, allow_none=True)
    non_commercial = fields.Boolean(required=True)


class QuestionSchema(Schema):
    id = fields.String(required=True, metadata={"format": "uuid"})
    status = fields.String(required=True, validate=_STATUSES)
    reasons = fields.List(
        fields.String(), required=True, metadata={"description": "codes of the rules that made it raw"}
    )
    findings = fields.List(fields.Nested(FindingSchema), required=True, metadata={"description": "the same in words"})
    batch_id = fields.String(required=True, allow_none=True, metadata={"description": "set while it is on its way out"})
    hash = fields.String(required=True, metadata={"description": "64 hex digits, of the text alone"})
    hash_version = fields.Integer(required=True)
    text = fields.String(required=True)
    type = fields.String(required=True, validate=_TYPES)
    language = fields.String(required=True, allow_none=True)
    category = fields.String(required=True, allow_none=True)
    difficulty = fields.String(required=True, allow_none=True)
    correct_answers = fields.List(fields.String(), required=True)
    accepted_answers = fields.List(fields.String(), required=True)
    incorrect_answers = fields.List(fields.String(), required=True)
    explanation = fields.String(required=True, allow_none=True)
    tags = fields.List(fields.String(), required=True)
    media = fields.List(fields.Nested(MediaSchema), required=True)
    source = fields.Nested(SourceSchema, required=True)
    licence = fields.Nested(LicenceSchema, required=True, allow_none=True)


class QuestionsSchema(Schema):
    questions = fields.List(fields.Nested(QuestionSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata={"description": "give it back as `after`"})


class FilterSchema(Schema):
    class Meta:
        unknown = RAISE

    status = fields.String(validate=_STATUSES)
    source = fields.String(validate=validate.Length(1, 200))
    reason = fields.String(validate=_RULES, metadata=_REASON)


class ListQuery(FilterSchema):
    after = fields.String(
        validate=validate.Regexp(UUID_PATTERN, error="Not a cursor of this list."),
        metadata={"description": "`next` of the page before"},
    )
    limit = fields.Integer(load_default=50, validate=validate.Range(1, PAGE))


def _texts(longest: int, *, least: int = 0) -> fields.List:
    return fields.List(fields.String(validate=validate.Length(1, longest)), validate=validate.Length(least, 50))


class Change(Schema):
    """What a moderator may change. What is not named stays; null takes away."""

    class Meta:
        unknown = RAISE

    text = fields.String(validate=validate.Length(1, 1000))
    type = fields.String(validate=_TYPES)
    correct_answers = _texts(1000, least=1)
    incorrect_answers = _texts(1000)
    accepted_answers = _texts(1000)
    language = fields.String(allow_none=True, validate=validate.Regexp(r"^[a-z]{2,3}$", error="Not an ISO 639 code."))
    category = fields.String(allow_none=True, validate=validate.Length(1, 200))
    difficulty = fields.String(allow_none=True, validate=_DIFFICULTIES)
    explanation = fields.String(allow_none=True, validate=validate.Length(1, 10_000))
    tags = _texts(200)
    media = fields.List(fields.Nested(MediaSchema), validate=validate.Length(0, 50))


class Selection(Schema):
    """Either ids, or a filter that names something."""

    class Meta:
        unknown = RAISE

    ids = fields.List(
        fields.String(validate=validate.Regexp(UUID_PATTERN, error="Not an id.")), validate=validate.Length(1, MOST_IDS)
    )
    filter = fields.Nested(FilterSchema)
    limit = fields.Integer(
        load_default=MOST_AT_ONCE,
        validate=validate.Range(1, MOST_AT_ONCE),
        metadata={"description": "at most so many of those that the filter finds, oldest first"},
    )

    @validates_schema
    def one_of_two(self, data: dict[str, Any], **_: Any) -> None:
        if ("ids" in data) == ("filter" in data):
            raise ValidationError("must name either ids or a filter")
        if "filter" in data and not data["filter"]:
            raise ValidationError("must name at least one of status, source and reason", "filter")


class BulkSchema(Schema):
    changed = fields.Integer(required=True)
    skipped = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "why not, by id"},
    )
    more = fields.Boolean(required=True, metadata={"description": "the limit left out some that the filter finds"})


def filter_of(data: dict[str, Any]) -> Filter:
    reason = rules.find(data["reason"]) if "reason" in data else None
    status = Status(data["status"]) if "status" in data else None
    return Filter(status=status, source=data.get("source"), reason=reason.code if reason else None)


_RENAMED = {"correct_answers": "correct", "incorrect_answers": "incorrect", "accepted_answers": "accepted"}


def changes_of(data: dict[str, Any]) -> dict[str, Any]:
    """As fields of a Content."""
    changes: dict[str, Any] = {}
    for name, value in data.items():
        if name == "media":
            changes[name] = tuple(Media(**media) for media in value)
        elif name == "type":
            changes[name] = QuestionType(value)
        elif name == "difficulty":
            changes[name] = Difficulty(value) if value else None
        else:
            changes[_RENAMED.get(name, name)] = tuple(value) if isinstance(value, list) else value
    return changes


def question_body(question: Question) -> dict[str, Any]:
    """As the main server gets it, with what moderators need to know beside it."""
    source, licence = question.source, question.licence
    body = canonical(question)
    body["correct_answers"] = list(question.content.correct)
    body["accepted_answers"] = list(question.content.accepted)
    body["source"] |= {
        "author": source.author,
        "references": list(source.references),
        "fetched_at": iso(source.fetched_at),
    }
    if licence:
        body["licence"]["non_commercial"] = licence.non_commercial
    return {
        "id": question.id,
        "status": question.status.value,
        "reasons": [reason.code for reason in question.reasons],
        "findings": [_finding(reason) for reason in question.reasons],
        "batch_id": question.batch_id,
        **body,
    }


def _finding(reason: Reason) -> dict[str, Any]:
    rule = rules.BY_CODE.get(reason.code)
    # A rule of an earlier version may have left its code.
    name, description = (rule.name, rule.description) if rule else (reason.code, "A rule that is no more.")
    return {"rule": name, "description": description, "detail": reason.detail}
