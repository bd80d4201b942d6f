"""What an operator writes about when something runs (Q2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from vestnik.scheduler.triggers import BadTrigger, Cron, Timer, Trigger
from vestnik.settings.values import Section


class ScheduleSettings(Section):
    """Base of the sections of things that are jobs."""

    mode: Literal["TIMER", "CRON"]
    interval: int | None = Field(default=None, validate_default=True)  # milliseconds, with TIMER
    schedule: str | None = Field(default=None, validate_default=True)  # with CRON
    timezone: str = "UTC"

    @field_validator("interval")
    @classmethod
    def _sound_interval(cls, interval: int | None, info: ValidationInfo) -> int | None:
        if _is_used(info, "TIMER", interval, "a whole number of milliseconds"):
            _check(lambda: Timer(interval or 0))
        return interval

    @field_validator("schedule")
    @classmethod
    def _sound_schedule(cls, schedule: str | None, info: ValidationInfo) -> str | None:
        if _is_used(info, "CRON", schedule, "the five fields of cron"):
            _check(lambda: Cron(schedule or ""))
        return schedule

    @field_validator("timezone")
    @classmethod
    def _sound_timezone(cls, timezone: str) -> str:
        _check(lambda: Cron("0 0 * * *", timezone))
        return timezone

    @property
    def trigger(self) -> Trigger | None:
        """None only for kinds of section that do without a mode."""
        return Timer(self.interval or 0) if self.mode == "TIMER" else Cron(self.schedule or "", self.timezone)


def _is_used(info: ValidationInfo, mode: str, value: Any, wanted: str) -> bool:
    """Raises ValueError when it is missing, or stands there in vain."""
    chosen = info.data.get("mode")
    if chosen == mode and value is None:
        raise ValueError(f"{wanted}, as the mode is {mode}")
    if chosen is not None and chosen != mode and value is not None:
        raise ValueError(f"nothing here, as the mode is {chosen}")
    return value is not None


def _check(make: Callable[[], Trigger]) -> None:
    try:
        make()
    except BadTrigger as error:
        raise ValueError(str(error)) from None
