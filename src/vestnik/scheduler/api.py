"""Jobs over HTTP (Q4-Q8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp_apigami import docs, json_schema

from vestnik.errors import InvalidInput
from vestnik.runtime.clock import Clock, instant
from vestnik.runtime.log import get_logger
from vestnik.scheduler.scheduler import InMaintenance, Scheduler
from vestnik.scheduler.schemas import JobSchema, JobsSchema, ModeBody, SettingsBody, StateBody, job_body
from vestnik.scheduler.state import Action
from vestnik.scheduler.triggers import BadTrigger, Cron, Timer, Trigger
from vestnik.web.auth import CALLER, role_required
from vestnik.web.openapi import ROLE_ERRORS, ROLE_SECURITY, error

log = get_logger(__name__)

LONGEST_PAUSE = 3650 * 86_400.0  # seconds

_SETTING = {"CRON": "schedule", "TIMER": "interval"}
_JOB_ID: dict[str, Any] = {
    "in": "path",
    "name": "jobId",
    "required": True,
    "schema": {"type": "string"},
    "description": "its name",
}
_ERRORS = {
    404: error("no such job"),
    503: error("the store cannot take the change just now"),
    **ROLE_ERRORS,
}
_BODY_ERRORS = {413: error("the body is larger than 256 KiB"), 422: error("invalid body, by field"), **_ERRORS}
_JOB = {"schema": JobSchema, "description": "the job"}

_WHAT_TO_SET = (
    "CRON takes `schedule`, and `timezone` if another than before; TIMER takes `interval`. It survives restarts and "
    "wins over the configuration until the job is reset."
)


class JobsApi:
    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self._scheduler = scheduler
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/jobs", self.list_jobs, allow_head=False),
            web.put("/jobs/{jobId}/mode", self.change_mode),
            web.put("/jobs/{jobId}/settings", self.change_settings),
            web.put("/jobs/{jobId}/state", self.change_state),
            web.post("/jobs/{jobId}/run", self.run),
            web.post("/jobs/{jobId}/reset", self.reset),
        ]

    @docs(
        tags=["jobs"],
        summary="All jobs, when they run and how they do",
        security=ROLE_SECURITY,
        responses={200: {"schema": JobsSchema, "description": "the jobs"}, **ROLE_ERRORS},
    )
    @role_required
    async def list_jobs(self, _request: web.Request) -> web.Response:
        return web.json_response({"jobs": [job_body(view) for view in self._scheduler.views()]})

    @docs(
        tags=["jobs"],
        summary="Another mode, with its settings",
        description=_WHAT_TO_SET,
        parameters=[_JOB_ID],
        security=ROLE_SECURITY,
        responses={200: _JOB, **_BODY_ERRORS},
    )
    @json_schema(ModeBody, required=True)
    @role_required
    async def change_mode(self, request: web.Request) -> web.Response:
        return await self._set_trigger(request, request["json"]["mode"])

    @docs(
        tags=["jobs"],
        summary="Other settings in the present mode",
        description=_WHAT_TO_SET,
        parameters=[_JOB_ID],
        security=ROLE_SECURITY,
        responses={200: _JOB, **_BODY_ERRORS},
    )
    @json_schema(SettingsBody, required=True)
    @role_required
    async def change_settings(self, request: web.Request) -> web.Response:
        view = self._scheduler.view(request.match_info["jobId"])
        return await self._set_trigger(request, view.state.trigger.mode)

    @docs(
        tags=["jobs"],
        summary="Start, pause or stop a job",
        description="START: a paused or stopped job works again, from its next time on. PAUSE: it begins no run until "
        "START, or until `startAt`; a run under way goes on. STOP: as PAUSE, and a run under way is ended.",
        parameters=[_JOB_ID],
        security=ROLE_SECURITY,
        responses={200: _JOB, 409: error("the job's state does not allow it"), **_BODY_ERRORS},
    )
    @json_schema(StateBody, required=True)
    @role_required
    async def change_state(self, request: web.Request) -> web.Response:
        body = request["json"]
        name = self._scheduler.view(request.match_info["jobId"]).state.name
        await self._scheduler.act(name, Action(body["action"]), self._start_at(body))
        return self._changed(request, name)

    @docs(
        tags=["jobs"],
        summary="Run a job now, beside its plan",
        description="Answers when the run has begun. A paused job can be run, too; a stopped one cannot.",
        parameters=[_JOB_ID],
        security=ROLE_SECURITY,
        responses={
            202: _JOB,
            409: error("it runs already, or is stopped"),
            **_ERRORS,
            503: {"description": "in maintenance (empty body), or the store cannot take more (an error)"},
        },
    )
    @role_required
    async def run(self, request: web.Request) -> web.Response:
        name = request.match_info["jobId"]
        try:
            await self._scheduler.run_now(name)
        except InMaintenance:
            return web.Response(status=503)
        return self._changed(request, name, status=202)

    @docs(
        tags=["jobs"],
        summary="Back to what the configuration says",
        description="Mode and settings are the configuration's again, and the job works.",
        parameters=[_JOB_ID],
        security=ROLE_SECURITY,
        responses={200: _JOB, **_ERRORS},
    )
    @role_required
    async def reset(self, request: web.Request) -> web.Response:
        name = request.match_info["jobId"]
        await self._scheduler.reset(name)
        return self._changed(request, name)

    async def _set_trigger(self, request: web.Request, new_mode: str) -> web.Response:
        """Raises NotFound, InvalidInput, StoreUnavailable."""
        state = self._scheduler.view(request.match_info["jobId"]).state
        await self._scheduler.set_trigger(state.name, _trigger(request["json"], new_mode, state.timezone))
        return self._changed(request, state.name)

    def _start_at(self, body: Mapping[str, Any]) -> float | None:
        """Raises InvalidInput."""
        if "startAt" not in body:
            return None
        found = instant(body["startAt"])
        if found is None:
            raise InvalidInput({"startAt": "must be a time of ISO 8601 with its zone, such as 2026-01-31T12:00:00Z"})
        if not 0 < found - self._clock() <= LONGEST_PAUSE:
            raise InvalidInput({"startAt": "must be in the future, and within ten years"})
        return found

    def _changed(self, request: web.Request, name: str, status: int = 200) -> web.Response:
        view = self._scheduler.view(name)
        what = request.path.rpartition("/")[2]
        log.info("asked for over HTTP", job=name, what=what, by=request[CALLER].subject, state=view.state.state.value)
        return web.json_response(job_body(view), status=status)


def _trigger(body: Mapping[str, Any], new_mode: str, timezone: str) -> Trigger:
    """Q5, Q6: the settings of the mode, and none of the other. Raises InvalidInput."""
    wanted = _SETTING[new_mode]
    allowed = {"mode", wanted, *(["timezone"] if new_mode == "CRON" else [])}
    problems = {name: f"does not go with {new_mode}" for name in body if name not in allowed}
    if wanted not in body:
        problems[wanted] = f"is required with {new_mode}"
    if problems:
        raise InvalidInput(problems)
    try:
        return Cron(body[wanted], body.get("timezone", timezone)) if new_mode == "CRON" else Timer(body[wanted])
    except BadTrigger as found:
        raise InvalidInput({found.field: f"must be {found}"}) from None
