"""What a mailing's fields may be (M1), and which of them may still change. Decides only; `now` is given."""

from __future__ import annotations

from collections.abc import Iterator

from vestnik.delivery.channel import Channel
from vestnik.mailings.client_fields import CODE_RULE, TAG_RULE, is_code, is_tag
from vestnik.mailings.model import Mailing, Timestamp
from vestnik.web import rules

LONGEST_TEXT = 10_000  # characters; the channel's worker may take less
MOST_IN_FILTER = 200  # operator codes, and tags
FARTHEST = 36_525 * 86_400.0  # seconds that a start or an end may be away


def problems(mailing: Mailing, channel: Channel | None, now: Timestamp) -> Iterator[tuple[str, str]]:
    """Fields, and what is wrong with them. `channel` is that of the mailing, None when there is none."""
    if problem := _channel_problem(channel):
        yield "channel", problem
    if problem := _text_problem(mailing.text, channel):
        yield "text", problem
    yield from _time_problems(mailing, now)
    if not all(map(is_code, mailing.audience.operator_codes)):
        yield "filter.operator_codes", f"each {CODE_RULE}"
    if not all(map(is_tag, mailing.audience.tags)):
        yield "filter.tags", f"each {TAG_RULE}"


def _channel_problem(channel: Channel | None) -> str | None:
    if channel is None:
        return "must be a configured one"
    if not channel.worker.reaches_phones:
        return f"must be one that reaches phones (its worker, {channel.settings.worker}, does not)"
    if channel.settings.queue != "durable":
        return "must be one that keeps its queue on disk (it has queue: memory)"
    return None


def _text_problem(text: str, channel: Channel | None) -> str | None:
    if "\0" in text or not is_storable(text):
        return "must be a text of whole characters, without NUL"
    return rules.text(channel.worker.text_problem)(text) if channel else None


def _time_problems(mailing: Mailing, now: Timestamp) -> Iterator[tuple[str, str]]:
    for name, moment in (("start_at", mailing.start_at), ("end_at", mailing.end_at)):
        if abs(moment - now) > FARTHEST:
            yield name, "must be within a hundred years"
    rules_of_end = {"after start_at": mailing.end_at > mailing.start_at, "in the future": mailing.end_at > now}
    if broken := [rule for rule, holds in rules_of_end.items() if not holds]:
        yield "end_at", f"must be {' and '.join(broken)}"


def is_storable(text: str) -> bool:
    """JSON can write half a surrogate pair; no database can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
