"""Answers and queries of the figures' routes, as the OpenAPI document shows them and as requests are checked."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from vestnik.delivery.model import ENDED, TaskState
from vestnik.mailings.figures import Expected
from vestnik.mailings.model import Mailing, MailingState, Timestamp
from vestnik.mailings.schemas import CURSOR, NEXT, TIME, cursor
from vestnik.mailings.store.figures import PAGE, Figures, MailingFigures, Message
from vestnik.runtime.clock import iso

_STATUSES = [state.value for state in TaskState]
_ENDS = [state.value for state in TaskState if state in ENDED]


class ByStatusSchema(Schema):
    queued = fields.Integer(required=True, metadata={"description": "may go now"})
    scheduled = fields.Integer(required=True, metadata={"description": "wait for the start, or a client's window"})
    running = fields.Integer(required=True, metadata={"description": "being handed over"})
    deferred = fields.Integer(required=True, metadata={"description": "put off after a try that failed"})
    delivered = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    expired = fields.Integer(required=True, metadata={"description": "not handed over before the end"})
    canceled = fields.Integer(required=True)


class AllFiguresSchema(Schema):
    mailings = fields.Integer(required=True, metadata={"description": "that are not deleted"})
    total = fields.Integer(required=True, metadata={"description": "messages, also those of deleted mailings"})
    by_status = fields.Nested(ByStatusSchema, required=True)


class HourSchema(Schema):
    hour = fields.String(required=True, metadata={**TIME, "description": "when it began"})
    delivered = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    expired = fields.Integer(required=True)
    canceled = fields.Integer(required=True)


class ReasonSchema(Schema):
    reason = fields.String(required=True, metadata={"description": "longer numbers in it are left out"})
    count = fields.Integer(required=True)


class MailingFiguresSchema(Schema):
    id = fields.Integer(required=True)
    state = fields.String(required=True, validate=validate.OneOf([state.value for state in MailingState]))
    total = fields.Integer(required=True)
    by_status = fields.Nested(ByStatusSchema, required=True)
    over_time = fields.List(
        fields.Nested(HourSchema),
        required=True,
        metadata={"description": "what ended, by the hour; hours with none miss"},
    )
    reasons = fields.List(fields.Nested(ReasonSchema), required=True, metadata={"description": "of failures"})


class MailingMessageSchema(Schema):
    id = fields.Integer(required=True)
    mailing_id = fields.Integer(required=True)
    client_id = fields.Integer(required=True)
    phone = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(_STATUSES))
    created_at = fields.String(required=True, metadata=TIME)
    due_at = fields.String(required=True, metadata=TIME)
    attempts = fields.Integer(required=True)
    started_at = fields.String(required=True, allow_none=True, metadata={**TIME, "description": "of the last try"})
    finished_at = fields.String(required=True, allow_none=True, metadata=TIME)
    maybe_sent = fields.Boolean(required=True, metadata={"description": "nobody saw how a try ended: maybe a copy"})
    error = fields.String(required=True, allow_none=True)


class MailingMessagesSchema(Schema):
    messages = fields.List(fields.Nested(MailingMessageSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata=NEXT)


class MailingMessagesQuery(Schema):
    class Meta:
        unknown = RAISE

    state = fields.String(validate=validate.OneOf(_STATUSES))
    after = fields.String(validate=cursor, metadata=CURSOR)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, PAGE))


class ForecastSchema(Schema):
    clients = fields.Integer(required=True, metadata={"description": "whom it is for"})
    ended = fields.Integer(required=True, metadata={"description": "of them: who have had theirs, however it ended"})
    first_at = fields.String(required=True, allow_none=True, metadata=TIME)
    last_at = fields.String(required=True, allow_none=True, metadata=TIME)
    expire = fields.Integer(required=True, metadata={"description": "who cannot get it before the end"})
    rate = fields.Float(
        required=True, allow_none=True, metadata={"description": "of the channel, messages a second; null: no limit"}
    )


def all_figures_body(mailings: int, figures: Figures) -> dict[str, Any]:
    return {"mailings": mailings, "total": figures.total, "by_status": dict(figures.by_status)}


def figures_body(mailing: Mailing, figures: MailingFigures, now: Timestamp) -> dict[str, Any]:
    return {
        "id": mailing.id,
        "state": mailing.state(now).value,
        "total": figures.total,
        "by_status": dict(figures.by_status),
        "over_time": [
            {"hour": iso(hour), **{state: ended.get(state, 0) for state in _ENDS}}
            for hour, ended in figures.hours.items()
        ],
        "reasons": [{"reason": reason, "count": count} for reason, count in figures.reasons.items()],
    }


def message_body(mailing_id: int, message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "mailing_id": mailing_id,
        "client_id": message.client_id,
        "phone": message.phone,
        "status": message.state.value,
        "created_at": iso(message.created_at),
        "due_at": iso(message.due_at),
        "attempts": message.attempts,
        "started_at": iso(message.started_at),
        "finished_at": iso(message.finished_at),
        "maybe_sent": message.maybe_sent,
        "error": message.error,
    }


def forecast_body(expected: Expected) -> dict[str, Any]:
    return {
        "clients": expected.clients,
        "ended": expected.ended,
        "first_at": iso(expected.forecast.first_at),
        "last_at": iso(expected.forecast.last_at),
        "expire": expected.forecast.expire,
        "rate": expected.rate,
    }
