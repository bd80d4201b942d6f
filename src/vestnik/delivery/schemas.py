"""Bodies and answers of delivery's routes, as the OpenAPI document shows them and as requests are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from vestnik.delivery.model import TaskState
from vestnik.delivery.service import ChannelView
from vestnik.delivery.store.lookup import MESSAGE_STATES, PAGE, MessageView, TaskView
from vestnik.runtime.clock import iso

_TIME = {"format": "date-time", "example": "2026-01-31T12:00:00.000Z"}


class TaskSchema(Schema):
    recipient = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([s.value for s in TaskState]))
    attempts = fields.Integer(required=True)
    started_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    finished_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    maybe_sent = fields.Boolean(
        required=True, metadata={"description": "a try ended out of our sight: there may be a copy"}
    )
    error = fields.String(required=True, allow_none=True)


class MessageSchema(Schema):
    id = fields.Integer(required=True)
    channel = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(MESSAGE_STATES))
    created_at = fields.String(required=True, metadata=_TIME)
    due_at = fields.String(required=True, metadata=_TIME)
    expires_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    parent_id = fields.Integer(
        required=True, allow_none=True, metadata={"description": "of a resend: the message it repeats"}
    )
    resent_as = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "the newest resend of it that is on its way or has reached somebody"},
    )
    mailing_id = fields.Integer(
        required=True, allow_none=True, metadata={"description": "of the mailing that it belongs to: not sent again"}
    )
    tasks = fields.List(fields.Nested(TaskSchema), required=True)


class ResentSchema(MessageSchema):
    removed = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "recipients that the channel does not name any more; it goes to them all the same"},
    )


class MessagesSchema(Schema):
    messages = fields.List(fields.Nested(MessageSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata={"description": "give it back as `after`"})


class ResendQuery(Schema):
    class Meta:
        unknown = RAISE

    again = fields.Boolean(load_default=False, metadata={"description": "also when it was sent again already"})


class ListQuery(Schema):
    class Meta:
        unknown = RAISE

    channel = fields.String()
    state = fields.String(validate=validate.OneOf(MESSAGE_STATES))
    after = fields.String(
        validate=validate.Regexp(r"^[0-9]{1,16}$", error="is not a cursor of this list"),
        metadata={"description": "`next` of the page before"},
    )
    limit = fields.Integer(load_default=50, validate=validate.Range(1, PAGE))


class ChannelSchema(Schema):
    name = fields.String(required=True)
    worker = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["WORKING", "PAUSED"]))
    reason = fields.String(required=True, allow_none=True, metadata={"description": "why it is paused"})
    waiting = fields.Integer(required=True)
    running = fields.Integer(required=True)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    oldest_due = fields.String(required=True, allow_none=True, metadata=_TIME)
    executors = fields.Integer(required=True)
    last_error = fields.String(required=True, allow_none=True)
    last_error_at = fields.String(required=True, allow_none=True, metadata=_TIME)


class ChannelsSchema(Schema):
    channels = fields.List(fields.Nested(ChannelSchema), required=True)


class ChannelAction(Schema):
    class Meta:
        unknown = RAISE

    action = fields.String(required=True, validate=validate.OneOf(["PAUSE", "START"]))
    reason = fields.String(validate=validate.Length(1, 200))


def message_body(view: MessageView, resent_as: Mapping[int, int]) -> dict[str, Any]:
    return {
        "id": view.id,
        "channel": view.channel,
        "state": view.state,
        "created_at": iso(view.created_at),
        "due_at": iso(view.due_at),
        "expires_at": iso(view.expires_at),
        "parent_id": view.parent_id,
        "resent_as": resent_as.get(view.id),
        "mailing_id": view.mailing_id,
        "tasks": [_task_body(task) for task in view.tasks],
    }


def _task_body(task: TaskView) -> dict[str, Any]:
    return {
        "recipient": task.recipient,
        "state": task.state.value,
        "attempts": task.attempts,
        "started_at": iso(task.started_at),
        "finished_at": iso(task.finished_at),
        "maybe_sent": task.maybe_sent,
        "error": task.error,
    }


def channel_body(view: ChannelView) -> dict[str, Any]:
    return {
        "name": view.name,
        "worker": view.worker,
        "state": view.state,
        "reason": view.reason,
        "waiting": view.waiting,
        "running": view.running,
        "counts": dict(view.counts),
        "oldest_due": iso(view.oldest_due),
        "executors": view.executors,
        "last_error": view.last_error,
        "last_error_at": iso(view.last_error_at),
    }
