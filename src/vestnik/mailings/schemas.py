"""Bodies and answers of the routes, as the OpenAPI document shows them and as requests are checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import time
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from vestnik.mailings.client_fields import CODE_PATTERN, LONGEST_TAG, PHONE_PATTERN, TAG_PATTERN, Given
from vestnik.mailings.mailing_fields import LONGEST_TEXT, MOST_IN_FILTER
from vestnik.mailings.model import Audience, Client, Mailing, MailingState, Timestamp
from vestnik.mailings.store.clients import PAGE, Wanted
from vestnik.mailings.windows import LocalInterval
from vestnik.runtime.clock import instant, iso

CURSOR = {"description": "`next` of the page before", "pattern": "^[0-9]{1,16}$"}
NEXT = {"description": "give it back as `after`"}
TIME = {"format": "date-time", "example": "2026-01-31T12:00:00.000Z"}
_PHONE = {"pattern": f"^{PHONE_PATTERN}$", "example": "79991234567"}
_CODE = {"pattern": f"^{CODE_PATTERN}$", "example": "999"}
_TAG = {"pattern": f"^{TAG_PATTERN}$", "maxLength": LONGEST_TAG, "example": "vip"}
_ZONE = {"description": "of the IANA database", "example": "Europe/Moscow"}
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"


def _whole(pattern: str, problem: str) -> Callable[[str], None]:
    """marshmallow's own Regexp lets a line break pass at the end."""
    compiled = re.compile(pattern)

    def check(value: str) -> None:
        if not compiled.fullmatch(value):
            raise ValidationError(problem)

    return check


def _is_time(value: str) -> None:
    if instant(value) is None:
        raise ValidationError("Must be a time of ISO 8601 with its zone, such as 2026-01-31T12:00:00Z.")


cursor = _whole("[0-9]{1,16}", "Not a cursor of this list.")


# -- clients


class ClientSchema(Schema):
    id = fields.Integer(required=True)
    phone = fields.String(required=True, metadata=_PHONE)
    operator_code = fields.String(required=True, metadata=_CODE)
    tag = fields.String(required=True, metadata=_TAG)
    timezone = fields.String(required=True, metadata=_ZONE)


class ClientsSchema(Schema):
    clients = fields.List(fields.Nested(ClientSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata=NEXT)


class ClientChange(Schema):
    """What is not named stays."""

    class Meta:
        unknown = RAISE

    phone = fields.String(metadata=_PHONE)
    operator_code = fields.String(metadata=_CODE)
    tag = fields.String(metadata=_TAG)
    timezone = fields.String(metadata=_ZONE)


class ClientBody(ClientChange):
    """What is not named has a default: the three digits after the 7, no tag, the configured zone."""

    class Meta:
        unknown = RAISE

    phone = fields.String(required=True, metadata=_PHONE)


class ClientFilter(Schema):
    class Meta:
        unknown = RAISE

    operator_code = fields.String(metadata={"description": "only of this operator"})
    tag = fields.String(metadata={"description": "only with this tag; empty: only without one"})
    phone = fields.String(metadata={"description": "only who has it"})
    timezone = fields.String(metadata={"description": "only of this zone"})


class ClientsQuery(ClientFilter):
    after = fields.String(validate=cursor, metadata=CURSOR)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, PAGE))


class ImportQuery(Schema):
    class Meta:
        unknown = RAISE

    dry_run = fields.Boolean(
        load_default=False, truthy={"true"}, falsy={"false"}, metadata={"description": "only tell what would be done"}
    )
    encoding = fields.String(
        load_default="utf-8", validate=validate.OneOf(["utf-8", "cp1251"]), metadata={"description": "of the file"}
    )
    errors = fields.Integer(
        load_default=100, validate=validate.Range(0, 1000), metadata={"description": "so many bad rows are listed"}
    )


class BadRowSchema(Schema):
    line = fields.Integer(required=True, metadata={"description": "of the file, which begins with line 1"})
    reason = fields.String(required=True)


class ImportSchema(Schema):
    rows = fields.Integer(required=True, metadata={"description": "read, without the header and empty lines"})
    new = fields.Integer(required=True)
    changed = fields.Integer(required=True)
    unchanged = fields.Integer(required=True)
    bad = fields.Integer(required=True)
    errors = fields.List(
        fields.Nested(BadRowSchema), required=True, metadata={"description": "the first of the bad rows"}
    )
    dry_run = fields.Boolean(required=True)


def client_body(client: Client) -> dict[str, Any]:
    return {
        "id": client.id,
        "phone": client.phone,
        "operator_code": client.operator_code,
        "tag": client.tag,
        "timezone": client.timezone,
    }


def given_of(data: dict[str, Any]) -> Given:
    return Given(data["phone"], data.get("operator_code"), data.get("tag"), data.get("timezone"))


def wanted_of(data: dict[str, Any]) -> Wanted:
    return Wanted(data.get("operator_code"), data.get("tag"), data.get("phone"), data.get("timezone"))


# -- mailings


class AudienceSchema(Schema):
    """An empty list is for everybody; both must match. In a change, a list that is not named stays."""

    class Meta:
        unknown = RAISE

    operator_codes = fields.List(fields.String(metadata=_CODE), validate=validate.Length(0, MOST_IN_FILTER))
    tags = fields.List(fields.String(metadata=_TAG), validate=validate.Length(0, MOST_IN_FILTER))


class IntervalSchema(Schema):
    """From one to, not including, the other, by the client's clock; over midnight when it ends earlier."""

    class Meta:
        unknown = RAISE

    from_ = fields.String(
        required=True,
        data_key="from",
        validate=_whole(_CLOCK, "Must be a time such as 09:00."),
        metadata={"pattern": f"^{_CLOCK}$", "example": "09:00"},
    )
    to = fields.String(
        required=True,
        validate=_whole(_CLOCK, "Must be a time such as 20:00."),
        metadata={"pattern": f"^{_CLOCK}$", "example": "20:00"},
    )

    @validates_schema
    def _has_length(self, data: dict[str, str], **_: Any) -> None:
        if data["from_"] == data["to"]:
            raise ValidationError("Must end at another time than it begins.")


def _text(**options: Any) -> fields.String:
    length = validate.Length(1, LONGEST_TEXT)
    about = {"description": "what the channel can carry", "example": "Hello"}
    return fields.String(validate=length, metadata=about, **options)


class MailingChange(Schema):
    """What is not named stays."""

    class Meta:
        unknown = RAISE

    channel = fields.String(metadata={"example": "sms-probe"})
    start_at = fields.String(validate=_is_time, metadata=TIME)
    end_at = fields.String(validate=_is_time, metadata=TIME)
    text = _text()
    filter = fields.Nested(AudienceSchema)
    local_interval = fields.Nested(IntervalSchema, allow_none=True)


class MailingBody(MailingChange):
    """Without a filter it is for everybody, without an interval at any hour."""

    channel = fields.String(required=True, metadata={"example": "sms-probe"})
    start_at = fields.String(required=True, validate=_is_time, metadata=TIME)
    end_at = fields.String(required=True, validate=_is_time, metadata=TIME)
    text = _text(required=True)


_STATES = [state.value for state in MailingState if state is not MailingState.DELETED]


class MailingSchema(Schema):
    id = fields.Integer(required=True)
    channel = fields.String(required=True)
    start_at = fields.String(required=True, metadata=TIME)
    end_at = fields.String(required=True, metadata=TIME)
    text = fields.String(required=True)
    filter = fields.Nested(AudienceSchema, required=True)
    local_interval = fields.Nested(IntervalSchema, required=True, allow_none=True)
    state = fields.String(required=True, validate=validate.OneOf(_STATES))


class MailingsSchema(Schema):
    mailings = fields.List(fields.Nested(MailingSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata=NEXT)


class MailingsQuery(Schema):
    class Meta:
        unknown = RAISE

    channel = fields.String()
    state = fields.String(validate=validate.OneOf(_STATES))
    after = fields.String(validate=cursor, metadata=CURSOR)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, PAGE))


def mailing_body(mailing: Mailing, now: Timestamp) -> dict[str, Any]:
    interval = mailing.interval
    return {
        "id": mailing.id,
        "channel": mailing.channel,
        "start_at": iso(mailing.start_at),
        "end_at": iso(mailing.end_at),
        "text": mailing.text,
        "filter": {"operator_codes": list(mailing.audience.operator_codes), "tags": list(mailing.audience.tags)},
        "local_interval": interval and {"from": _clock(interval.opens), "to": _clock(interval.closes)},
        "state": mailing.state(now).value,
    }


def _clock(local: time) -> str:
    return local.strftime("%H:%M")


def whole(data: dict[str, Any], old: Mailing) -> Mailing:
    """What a whole body makes of a mailing: what it does not name is as if nobody had ever said it."""
    return changed(data, replace(old, audience=Audience(), interval=None))


def changed(data: dict[str, Any], old: Mailing) -> Mailing:
    changes: dict[str, Any] = {name: data[name] for name in ("channel", "text") if name in data}
    changes |= {name: instant(data[name]) for name in ("start_at", "end_at") if name in data}
    if "filter" in data:
        lists = {name: tuple(dict.fromkeys(values)) for name, values in data["filter"].items()}
        changes["audience"] = replace(old.audience, **lists)
    if "local_interval" in data:
        changes["interval"] = _interval(data["local_interval"])
    return replace(old, **changes)


def _interval(data: dict[str, str] | None) -> LocalInterval | None:
    return LocalInterval(time.fromisoformat(data["from_"]), time.fromisoformat(data["to"])) if data else None
