"""What an operator writes about a channel."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from vestnik.delivery.model import RetryPolicy
from vestnik.settings.values import Duration, Rate, RateValue, Section


class RetrySettings(Section):
    """D11; with `factor` above 1 the delay grows from try to try, up to `max_delay`."""

    delay: Duration = timedelta(seconds=30)
    attempts: Annotated[int, Field(ge=1, le=100_000)] = 10
    factor: Annotated[float, Field(ge=1, le=10)] = 1.0
    max_delay: Annotated[Duration, Field(validate_default=True)] = timedelta(hours=1)

    @field_validator("max_delay")
    @classmethod
    def _not_below_delay(cls, most: timedelta, info: ValidationInfo) -> timedelta:
        delay, factor = info.data.get("delay"), info.data.get("factor")
        if delay is not None and factor is not None and factor > 1 and most < delay:
            raise ValueError(f"at least `delay` ({delay.total_seconds():g}s), from which the wait grows")
        return most


class RateSettings(Section):
    total: RateValue | None = None
    per_recipient: RateValue | None = None


def worker_name(value: Any) -> Any:
    """`worker: null` without quotes is YAML's null, and the null worker is what was meant."""
    return "null" if value is None else value


def _total_rate(value: Any) -> Any:
    return {"total": value} if isinstance(value, str | Rate) else value


class ChannelSettings(Section):
    """D6. `params` are the worker's own and checked by it."""

    worker: Annotated[str, BeforeValidator(worker_name)]
    params: dict[str, Any] = Field(default_factory=dict)
    queue: Literal["durable", "memory"] = "durable"
    executors: Annotated[int, Field(ge=1, le=1000)] = 1
    retry: RetrySettings = RetrySettings()
    rate: Annotated[RateSettings, BeforeValidator(_total_rate)] = RateSettings()
    expire: Annotated[Duration, Field(gt=timedelta(0))] | None = None
    on_ambiguous: Literal["retry", "stop"] = "retry"
    timeout: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(
        minutes=10
    )  # of one try, whatever the worker waits for

    def policy(self) -> RetryPolicy:
        retry = self.retry
        return RetryPolicy(retry.delay, retry.attempts, retry.factor, retry.max_delay, self.on_ambiguous)
