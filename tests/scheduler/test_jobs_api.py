"""Q4 to Q8 over HTTP, every answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from deliveries import Locked
from jobs import NOW, RecordedJob, Served
from openapi_spec_validator import validate

from vestnik.runtime.clock import iso
from vestnik.scheduler.job import Start
from vestnik.scheduler.triggers import LONGEST_EXPRESSION, LONGEST_INTERVAL

ROUTES = [
    ("GET", "/jobs"),
    ("PUT", "/jobs/job/mode"),
    ("PUT", "/jobs/job/settings"),
    ("PUT", "/jobs/job/state"),
    ("POST", "/jobs/job/run"),
    ("POST", "/jobs/job/reset"),
]
BODIES: dict[str, Any] = {
    "mode": {"mode": "TIMER", "interval": 5000},
    "settings": {"interval": 5000},
    "state": {"action": "STOP"},
    "run": None,
    "reset": None,
}

# -- Q4


async def test_the_list_shows_what_the_contract_names(served: Served, job: RecordedJob) -> None:
    assert await served.ask("GET", "/jobs") == (
        200,
        {
            "jobs": [
                {
                    "name": "job",
                    "url": "https://quiz.example.org/?key=[secret]",
                    "state": "WORKING",
                    "mode": "TIMER",
                    "interval": 60000,
                    "nextRunAt": "2026-05-04T05:11:00.000Z",
                    "lastRunAt": None,
                    "startAt": None,
                    "running": False,
                    "changed": False,
                    "lastOutcome": None,
                    "lastSuccessAt": None,
                    "lastError": None,
                    "lastErrorAt": None,
                    "lastResult": None,
                }
            ]
        },
    )


async def test_after_a_run_the_list_shows_how_it_went(served: Served, job: RecordedJob) -> None:
    job.result = {"fetched": 10, "refused": {"no answer": 1}}
    job.raises.append(ValueError("half\x00 an\udcff answer"))
    await served.scheduling.passes(60)
    await served.scheduling.ended()
    [shown] = (await served.ask("GET", "/jobs"))[1]["jobs"]
    assert shown["lastRunAt"] == "2026-05-04T05:11:00.000Z"
    assert shown["lastOutcome"] == "failed"
    assert shown["lastError"] == "ValueError: half\x00 an? answer"
    assert shown["lastErrorAt"] == "2026-05-04T05:11:00.000Z"
    assert shown["lastResult"] == job.result


# -- Q5, Q6


async def test_another_mode_is_taken_with_its_settings(served: Served) -> None:
    shown = await served.done("PUT", "/jobs/job/mode", {"mode": "CRON", "schedule": "*/5 * * * *"})
    assert (shown["mode"], shown["schedule"], shown["timezone"]) == ("CRON", "*/5 * * * *", "UTC")
    assert "interval" not in shown
    assert (shown["nextRunAt"], shown["changed"]) == ("2026-05-04T05:15:00.000Z", True)
    shown = await served.done("PUT", "/jobs/job/mode", {"mode": "TIMER", "interval": 5000})
    assert (shown["mode"], shown["interval"], shown["nextRunAt"]) == ("TIMER", 5000, "2026-05-04T05:10:05.000Z")
    assert shown.keys() & {"schedule", "timezone"} == set()


async def test_other_settings_are_taken_in_the_present_mode(served: Served) -> None:
    assert (await served.done("PUT", "/jobs/job/settings", {"interval": 1}))["interval"] == 1
    await served.done("PUT", "/jobs/job/mode", {"mode": "CRON", "schedule": "0 3 * * *", "timezone": "Asia/Kathmandu"})
    shown = await served.done("PUT", "/jobs/job/settings", {"schedule": "*/10 * * * *"})
    assert (shown["schedule"], shown["timezone"]) == ("*/10 * * * *", "Asia/Kathmandu")


async def test_the_time_zone_comes_back_with_cron(served: Served) -> None:
    zoned = {"mode": "CRON", "schedule": "0 3 * * *", "timezone": "Asia/Kathmandu"}
    await served.done("PUT", "/jobs/job/mode", zoned)
    await served.done("PUT", "/jobs/job/mode", {"mode": "TIMER", "interval": 5000})
    shown = await served.done("PUT", "/jobs/job/mode", {"mode": "CRON", "schedule": "0 4 * * *"})
    assert shown["timezone"] == "Asia/Kathmandu"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "mode"),
        ({"mode": "cron", "schedule": "* * * * *"}, "mode"),
        ({"mode": None, "schedule": "* * * * *"}, "mode"),
        ({"mode": "CRON"}, "schedule"),
        ({"mode": "CRON", "schedule": None}, "schedule"),
        ({"mode": "CRON", "schedule": 5}, "schedule"),
        ({"mode": "CRON", "schedule": ""}, "schedule"),
        ({"mode": "CRON", "schedule": "0 0 31 4 *"}, "schedule"),
        ({"mode": "CRON", "schedule": "* * * * * *"}, "schedule"),
        ({"mode": "CRON", "schedule": "*\x00 * * * *"}, "schedule"),
        ({"mode": "CRON", "schedule": "1" * (LONGEST_EXPRESSION + 1)}, "schedule"),
        ({"mode": "CRON", "schedule": "* * * * *", "timezone": "Berlin"}, "timezone"),
        ({"mode": "CRON", "schedule": "* * * * *", "timezone": "\ud800"}, "timezone"),
        ({"mode": "CRON", "schedule": "* * * * *", "timezone": None}, "timezone"),
        ({"mode": "CRON", "schedule": "* * * * *", "interval": 5000}, "interval"),
        ({"mode": "TIMER"}, "interval"),
        ({"mode": "TIMER", "interval": 0}, "interval"),
        ({"mode": "TIMER", "interval": -1}, "interval"),
        ({"mode": "TIMER", "interval": LONGEST_INTERVAL + 1}, "interval"),
        ({"mode": "TIMER", "interval": 10**400}, "interval"),
        ({"mode": "TIMER", "interval": 0.5}, "interval"),
        ({"mode": "TIMER", "interval": "5000"}, "interval"),
        ({"mode": "TIMER", "interval": True}, "interval"),
        ({"mode": "TIMER", "interval": float("nan")}, "interval"),
        ({"mode": "TIMER", "interval": 5000, "schedule": "* * * * *"}, "schedule"),
        ({"mode": "TIMER", "interval": 5000, "timezone": "UTC"}, "timezone"),
        ({"mode": "TIMER", "interval": 5000, "startAt": None}, "startAt"),
        ({"mode": "TIMER", "interval": 5000, "state": "STOPED"}, "state"),
    ],
)
async def test_a_bad_mode_is_refused_by_field_and_changes_nothing(
    served: Served, body: dict[str, Any], field: str
) -> None:
    before = served.scheduling.state()
    assert field in await served.refused("/jobs/job/mode", body)
    assert served.scheduling.state() == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "interval"),
        ({"schedule": "* * * * *"}, "schedule"),
        ({"interval": 0}, "interval"),
        ({"interval": 5000, "mode": "TIMER"}, "mode"),
        ({"interval": 5000, "timezone": "UTC"}, "timezone"),
    ],
)
async def test_bad_settings_are_refused_by_field(served: Served, body: dict[str, Any], field: str) -> None:
    assert field in await served.refused("/jobs/job/settings", body)


async def test_a_refusal_says_what_was_wanted(served: Served) -> None:
    never = await served.refused("/jobs/job/mode", {"mode": "CRON", "schedule": "0 0 31 4 *"})
    assert never == {"schedule": "must be an expression that comes some day; this one never does"}
    other = await served.refused("/jobs/job/settings", {"schedule": "* * * * *"})
    assert other == {"schedule": "does not go with TIMER", "interval": "is required with TIMER"}


# -- Q7


async def test_a_job_is_paused_started_and_stopped(served: Served) -> None:
    shown = await served.done("PUT", "/jobs/job/state", {"action": "PAUSE"})
    assert (shown["state"], shown["nextRunAt"], shown["startAt"]) == ("PAUSED", None, None)
    shown = await served.done("PUT", "/jobs/job/state", {"action": "START"})
    assert (shown["state"], shown["nextRunAt"]) == ("WORKING", "2026-05-04T05:11:00.000Z")
    shown = await served.done("PUT", "/jobs/job/state", {"action": "STOP"})
    assert (shown["state"], shown["nextRunAt"]) == ("STOPED", None)
    assert (await served.done("PUT", "/jobs/job/state", {"action": "START"}))["state"] == "WORKING"


async def test_a_pause_may_have_an_end(served: Served, job: RecordedJob) -> None:
    body = {"action": "PAUSE", "startAt": "2026-05-04T08:00:00+02:00"}
    shown = await served.done("PUT", "/jobs/job/state", body)
    assert (shown["state"], shown["startAt"], shown["nextRunAt"]) == (
        "PAUSED",
        "2026-05-04T06:00:00.000Z",
        "2026-05-04T06:01:00.000Z",
    )
    await served.scheduling.passes(50 * 60)
    assert (await served.ask("GET", "/jobs"))[1]["jobs"][0]["state"] == "WORKING"


@pytest.mark.parametrize(
    ("first", "then", "state"),
    [("START", None, "WORKING"), ("PAUSE", "PAUSE", "PAUSED"), ("STOP", "STOP", "STOPED"), ("STOP", "PAUSE", "STOPED")],
)
async def test_what_the_state_does_not_allow_is_a_conflict(
    served: Served, first: str, then: str | None, state: str
) -> None:
    if then:
        await served.done("PUT", "/jobs/job/state", {"action": first})
    status, found = await served.ask("PUT", "/jobs/job/state", {"action": then or first})
    assert (status, found) == (
        409,
        {"code": "conflict", "description": f"{then or first} is not possible: the job 'job' is {state}"},
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "start"}, "action"),
        ({"action": "RESTART"}, "action"),
        ({"action": ["STOP"]}, "action"),
        ({"action": "START", "startAt": "2026-05-04T06:00:00Z"}, "startAt"),
        ({"action": "STOP", "startAt": "2026-05-04T06:00:00Z"}, "startAt"),
        ({"action": "PAUSE", "startAt": iso(NOW)}, "startAt"),
        ({"action": "PAUSE", "startAt": "2025-05-04T06:00:00Z"}, "startAt"),
        ({"action": "PAUSE", "startAt": "2056-05-04T06:00:00Z"}, "startAt"),
        ({"action": "PAUSE", "startAt": "9999-12-31T23:59:59-23:59"}, "startAt"),
        ({"action": "PAUSE", "startAt": "2026-05-04T06:00:00"}, "startAt"),
        ({"action": "PAUSE", "startAt": "2026-05-05"}, "startAt"),
        ({"action": "PAUSE", "startAt": "tomorrow"}, "startAt"),
        ({"action": "PAUSE", "startAt": None}, "startAt"),
        ({"action": "PAUSE", "startAt": 1777874400}, "startAt"),
        ({"action": "PAUSE", "until": "2026-05-04T06:00:00Z"}, "until"),
    ],
)
async def test_a_bad_action_is_refused_by_field(served: Served, body: dict[str, Any], field: str) -> None:
    assert list(await served.refused("/jobs/job/state", body)) == [field]


# -- run, reset


async def test_a_job_is_run_now(served: Served, job: RecordedJob) -> None:
    job.gate.clear()
    status, shown = await served.ask("POST", "/jobs/job/run")
    assert (status, shown["running"], shown["nextRunAt"]) == (202, True, "2026-05-04T05:11:00.000Z")
    status, found = await served.ask("POST", "/jobs/job/run")
    assert (status, found["description"]) == (409, "the job 'job' runs already")
    job.gate.set()
    await served.scheduling.ended()
    assert job.starts == [Start.BY_HAND]


async def test_a_stopped_job_is_not_run(served: Served, job: RecordedJob) -> None:
    await served.done("PUT", "/jobs/job/state", {"action": "STOP"})
    status, found = await served.ask("POST", "/jobs/job/run")
    assert (status, found["description"]) == (409, "the job 'job' is STOPED: start it first")


async def test_in_maintenance_nothing_is_run_but_all_can_be_changed(served: Served, job: RecordedJob) -> None:
    served.scheduling.flag.set(on=True)
    assert await served.ask("POST", "/jobs/job/run") == (503, None)
    await served.done("PUT", "/jobs/job/settings", {"interval": 5000})
    assert job.runs == []


async def test_reset_gives_the_configurations_values_back(served: Served) -> None:
    await served.done("PUT", "/jobs/job/mode", {"mode": "CRON", "schedule": "0 3 * * *"})
    await served.done("PUT", "/jobs/job/state", {"action": "STOP"})
    shown = await served.done("POST", "/jobs/job/reset")
    assert (shown["mode"], shown["interval"], shown["state"], shown["changed"]) == ("TIMER", 60000, "WORKING", False)


# -- Q8, and what else a request can be


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_wants_a_token_with_the_role(served: Served, method: str, path: str) -> None:
    body = BODIES.get(path.rpartition("/")[2])
    for headers, wanted in (
        ({}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        (served.token(lifetime=-1), 401),
        ({"X-API-Key": "key.abc"}, 401),
        (served.token(role="guest"), 403),
    ):
        status, found = await served.ask(method, path, body, headers=headers)
        assert (status, set(found)) == (wanted, {"code", "description"})
    assert served.scheduling.state().changed is False


@pytest.mark.parametrize(("method", "path"), ROUTES[1:])
@pytest.mark.parametrize("name", ["other", "JOB", "%00", "%ED%A0%80", "..%2F", "a" * 4000])
async def test_a_job_that_is_not_there_is_not_found(served: Served, method: str, path: str, name: str) -> None:
    body = BODIES[path.rpartition("/")[2]]
    status, found = await served.ask(method, path.replace("/job/", f"/{name}/"), body)
    assert (status, found["code"]) == (404, "not_found")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"1e999", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(served: Served, data: bytes) -> None:
    headers = {**served.token(), "Content-Type": "application/json"}
    for path in ("mode", "settings", "state"):
        status, _ = await served.ask("PUT", f"/jobs/job/{path}", data=data, headers=headers)
        assert status in (400, 422)


async def test_a_huge_body_is_refused(served: Served) -> None:
    status, _ = await served.ask("PUT", "/jobs/job/mode", {"mode": "CRON", "schedule": "*" * 300_000})
    assert status == 413


async def test_what_cannot_be_written_is_answered_503_and_not_done(served: Served) -> None:
    async with Locked(served.scheduling.database):
        for method, path in ROUTES[1:]:
            status, found = await served.ask(method, path, BODIES[path.rpartition("/")[2]])
            assert (status, found["code"]) == (503, "store_unavailable")
    assert served.scheduling.state().changed is False


async def test_changes_at_the_same_time_all_hold(served: Served) -> None:
    asked = [
        served.done("PUT", "/jobs/job/settings", {"interval": 7000}),
        served.done("PUT", "/jobs/job/state", {"action": "PAUSE"}),
        served.done("POST", "/jobs/job/run"),
    ]
    await asyncio.gather(*asked)
    await served.scheduling.ended()
    [shown] = (await served.ask("GET", "/jobs"))[1]["jobs"]
    assert (shown["interval"], shown["state"], shown["lastOutcome"]) == (7000, "PAUSED", "succeeded")


async def test_the_document_about_the_routes_is_valid(served: Served) -> None:
    _, described = await served.ask("GET", "/api/openapi.json")
    validate(described)
    named = {(method.upper(), path) for path, found in described["paths"].items() for method in found}
    assert named == {(method, path.replace("/job/", "/{jobId}/")) for method, path in ROUTES}
    changed = described["paths"]["/jobs/{jobId}/state"]["put"]
    assert set(changed["responses"]) == {"200", "401", "403", "404", "409", "413", "422", "429", "503"}
