"""Bodies and answers of the jobs' routes, as the OpenAPI document shows them and as requests are checked."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from vestnik.runtime.clock import iso
from vestnik.scheduler.scheduler import JobView
from vestnik.scheduler.state import Action, Outcome, State
from vestnik.scheduler.triggers import LONGEST_EXPRESSION, LONGEST_INTERVAL, SHORTEST_INTERVAL, Cron

_TIME = {"format": "date-time", "example": "2026-01-31T12:00:00.000Z"}
_SCHEDULE = "five fields of cron: minute, hour, day of the month, month, day of the week"
_ZONE = "the time zone of the schedule"
_MODES = ("CRON", "TIMER")


def _schedule_field(**options: Any) -> fields.String:
    length = validate.Length(1, LONGEST_EXPRESSION)
    return fields.String(validate=length, metadata={"description": _SCHEDULE, "example": "*/5 * * * *"}, **options)


def _interval_field(**options: Any) -> fields.Integer:
    limits = validate.Range(SHORTEST_INTERVAL, LONGEST_INTERVAL)
    return fields.Integer(strict=True, validate=limits, metadata={"description": "milliseconds"}, **options)


class JobSchema(Schema):
    name = fields.String(required=True, metadata={"description": "its jobId"})
    url = fields.String(required=True, allow_none=True, metadata={"description": "what it works on"})
    state = fields.String(required=True, validate=validate.OneOf([s.value for s in State]))
    mode = fields.String(required=True, validate=validate.OneOf(_MODES))
    schedule = fields.String(metadata={"description": "if CRON", "example": "*/5 * * * *"})
    timezone = fields.String(metadata={"description": "if CRON", "example": "Europe/Berlin"})
    interval = fields.Integer(metadata={"description": "if TIMER: milliseconds", "example": 60000})
    nextRunAt = fields.String(required=True, allow_none=True, metadata=_TIME)  # noqa: N815 - the wire's word
    lastRunAt = fields.String(required=True, allow_none=True, metadata=_TIME)  # noqa: N815
    startAt = fields.String(  # noqa: N815
        required=True, allow_none=True, metadata={**_TIME, "description": "when a pause ends"}
    )
    running = fields.Boolean(required=True)
    changed = fields.Boolean(
        required=True, metadata={"description": "mode or settings were changed here: the configuration does not count"}
    )
    lastOutcome = fields.String(  # noqa: N815
        required=True, allow_none=True, validate=validate.OneOf([None, *(o.value for o in Outcome)])
    )
    lastSuccessAt = fields.String(required=True, allow_none=True, metadata=_TIME)  # noqa: N815
    lastError = fields.String(  # noqa: N815
        required=True, allow_none=True, metadata={"description": "of the last run that did not succeed"}
    )
    lastErrorAt = fields.String(required=True, allow_none=True, metadata=_TIME)  # noqa: N815
    lastResult = fields.Dict(  # noqa: N815
        required=True, allow_none=True, metadata={"description": "what the last run said of itself"}
    )


class JobsSchema(Schema):
    jobs = fields.List(fields.Nested(JobSchema), required=True)


class SettingsBody(Schema):
    """Q6."""

    class Meta:
        unknown = RAISE

    schedule = _schedule_field()
    timezone = fields.String(metadata={"description": _ZONE})
    interval = _interval_field()


class ModeBody(SettingsBody):
    """Q5."""

    mode = fields.String(required=True, validate=validate.OneOf(_MODES))


class StateBody(Schema):
    """Q7."""

    class Meta:
        unknown = RAISE

    action = fields.String(required=True, validate=validate.OneOf([a.value for a in Action]))
    startAt = fields.String(  # noqa: N815
        metadata={**_TIME, "description": "only with PAUSE: when to start again; in the future"}
    )

    @validates_schema
    def _only_with_pause(self, data: dict[str, Any], **_: Any) -> None:
        if "startAt" in data and data.get("action") != Action.PAUSE:
            raise ValidationError("Goes with PAUSE only.", "startAt")


def job_body(view: JobView) -> dict[str, Any]:
    """Q4."""
    state = view.state
    trigger = state.trigger
    if isinstance(trigger, Cron):
        settings: dict[str, Any] = {"schedule": trigger.expression, "timezone": trigger.timezone}
    else:
        settings = {"interval": trigger.interval_ms}
    return {
        "name": state.name,
        "url": view.url,
        "state": state.state,
        "mode": trigger.mode,
        **settings,
        "nextRunAt": iso(state.next_run_at),
        "lastRunAt": iso(state.last_run_at),
        "startAt": iso(state.start_at),
        "running": state.running_since is not None,
        "changed": state.changed,
        "lastOutcome": state.last_outcome,
        "lastSuccessAt": iso(state.last_success_at),
        "lastError": state.last_error,
        "lastErrorAt": iso(state.last_error_at),
        "lastResult": state.last_result,
    }
