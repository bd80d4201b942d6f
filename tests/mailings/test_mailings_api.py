"""Mailings over HTTP (M1, M4)."""

from __future__ import annotations

from typing import Any

import pytest
from administering import Administered, at
from deliveries import NOW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from vestnik.mailings.metrics import MailingMetrics

HOUR = 3600.0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/mailings"),
        ("POST", "/mailings"),
        ("GET", "/mailings/1"),
        ("PUT", "/mailings/1"),
        ("PATCH", "/mailings/1"),
        ("DELETE", "/mailings/1"),
    ],
)
async def test_only_a_role_may_see_or_change(admin: Administered, method: str, path: str) -> None:
    async with admin.http.request(method, path, json={}) as response:
        assert response.status == 401
    async with admin.http.request(method, path, json={}, headers=admin.token("guest")) as response:
        assert response.status == 403


# -- creating, reading


async def test_a_mailing_is_created_and_found_where_the_answer_says(admin: Administered) -> None:
    body = {
        "channel": "sms",
        "start_at": "2027-01-15T11:00:00+03:00",
        "end_at": "2027-01-16T00:00:00.500Z",
        "text": "Привет",
        "filter": {"operator_codes": ["999", "916", "999"], "tags": ["vip"]},
        "local_interval": {"from": "21:00", "to": "09:30"},
    }
    async with admin.http.post("/mailings", json=body, headers=admin.token()) as response:
        assert response.status == 201
        created = await response.json()
        location = response.headers["Location"]
    assert created == {
        **body,
        "id": created["id"],
        "start_at": "2027-01-15T08:00:00.000Z",
        "end_at": "2027-01-16T00:00:00.500Z",
        "filter": {"operator_codes": ["999", "916"], "tags": ["vip"]},
        "state": "running",
    }
    assert location == f"/mailings/{created['id']}"
    assert await admin.done("GET", location) == created


async def test_without_a_filter_it_is_for_everybody_and_without_an_interval_at_any_hour(admin: Administered) -> None:
    created = await admin.mailing()
    assert created["filter"] == {"operator_codes": [], "tags": []}
    assert created["local_interval"] is None


async def test_its_state_follows_the_clock(admin: Administered) -> None:
    created = await admin.done("POST", "/mailings", admin.an_hour(begins_in=HOUR))
    states = []
    for moment in (NOW, NOW + HOUR, NOW + 2 * HOUR - 1, NOW + 2 * HOUR):
        admin.clock.now = moment
        states.append((await admin.done("GET", f"/mailings/{created['id']}"))["state"])
    assert states == ["scheduled", "running", "running", "ended"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"channel": "absent"}, "channel"),
    ({"channel": "alerts"}, "channel"),
    ({"channel": "fleeting"}, "channel"),
    ({"channel": None}, "channel"),
    ({"channel": "\ud800"}, "channel"),
    ({"text": ""}, "text"),
    ({"text": "x" * 161}, "text"),  # one segment is what the channel allows
    ({"text": "\ud800"}, "text"),
    ({"text": "a\0b"}, "text"),
    ({"text": "x" * 10_001}, "text"),
    ({"text": 5}, "text"),
    ({"start_at": "2027-01-15T08:00:00"}, "start_at"),
    ({"start_at": "soon"}, "start_at"),
    ({"start_at": 5}, "start_at"),
    ({"start_at": "0001-01-01T00:00:00+14:00"}, "start_at"),
    ({"start_at": "0001-01-01T00:00:00Z"}, "start_at"),
    ({"end_at": "9999-12-31T23:59:59.999999Z"}, "end_at"),
    ({"end_at": at(NOW)}, "end_at"),
    ({"start_at": at(NOW - 60), "end_at": at(NOW - 1)}, "end_at"),
    ({"filter": []}, "filter"),
    ({"filter": {"tag": ["vip"]}}, "filter.tag"),
    ({"filter": {"tags": "vip"}}, "filter.tags"),
    ({"filter": {"tags": [" vip"]}}, "filter.tags"),
    ({"filter": {"tags": ["\ud800"]}}, "filter.tags"),
    ({"filter": {"tags": ["x"] * 201}}, "filter.tags"),
    ({"filter": {"operator_codes": ["9x9"]}}, "filter.operator_codes"),
    ({"filter": {"operator_codes": [999]}}, "filter.operator_codes.0"),
    ({"filter": None}, "filter"),
    ({"local_interval": {"from": "09:00", "to": "09:00"}}, "local_interval"),
    ({"local_interval": {"from": "09:00"}}, "local_interval.to"),
    ({"local_interval": {"from": "24:00", "to": "09:00"}}, "local_interval.from"),
    ({"local_interval": {"from": "09:00\n", "to": "10:00"}}, "local_interval.from"),
    ({"local_interval": {"from": "9:00", "to": "10:00"}}, "local_interval.from"),
    ({"local_interval": {"from": "09:00", "to": "10:00", "zone": "UTC"}}, "local_interval.zone"),
    ({"state": "running"}, "state"),
    ({"colour": "red"}, "colour"),
]


@pytest.mark.parametrize(("fields", "named"), WRONG)
async def test_a_wrong_field_is_refused_by_its_name(admin: Administered, fields: dict[str, Any], named: str) -> None:
    mailing = await admin.done("POST", "/mailings", {**admin.an_hour(), "start_at": at(NOW + 1)})
    whole = {**admin.an_hour(begins_in=1), **fields}
    assert await admin.refused("POST", "/mailings", whole) == (422, [named])
    assert await admin.refused("PUT", f"/mailings/{mailing['id']}", whole) == (422, [named])
    assert (await admin.refused("PATCH", f"/mailings/{mailing['id']}", fields))[0] == 422
    assert await admin.done("GET", f"/mailings/{mailing['id']}") == mailing


@pytest.mark.parametrize(
    ("end_at", "problem"),
    [(NOW - 1, "after start_at and in the future"), (NOW + 60, "after start_at")],
)
async def test_an_end_is_told_all_that_it_breaks(admin: Administered, end_at: float, problem: str) -> None:
    mailing = await admin.mailing(**admin.an_hour(begins_in=3600))
    status, answer = await admin.ask("PATCH", f"/mailings/{mailing['id']}", {"end_at": at(end_at)})
    assert (status, answer["errors"]) == (422, {"end_at": f"must be {problem}"})


@pytest.mark.parametrize("missing", ["channel", "text", "start_at", "end_at"])
async def test_a_field_that_has_no_default_is_asked_for(admin: Administered, missing: str) -> None:
    body = admin.an_hour()
    del body[missing]
    assert await admin.refused("POST", "/mailings", body) == (422, [missing])


async def test_a_channel_that_reaches_phones_by_nature_of_its_worker_is_taken(admin: Administered) -> None:
    assert (await admin.mailing(channel="nowhere", text="x" * 161))["channel"] == "nowhere"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("id_", ["0", "5", "9999999999999999", "x"])
async def test_what_is_not_there_cannot_be_asked_for(admin: Administered, method: str, id_: str) -> None:
    body = {"PUT": admin.an_hour(), "PATCH": {}}.get(method)
    assert await admin.refused(method, f"/mailings/{id_}", body) == (404, [])


# -- changing, deleting


async def test_a_patch_changes_what_it_names_also_inside_of_the_filter(admin: Administered) -> None:
    interval = {"from": "09:00", "to": "20:00"}
    created = await admin.mailing(filter={"operator_codes": ["999"], "tags": ["vip"]}, local_interval=interval)
    path = f"/mailings/{created['id']}"
    changed = await admin.done("PATCH", path, {"text": "Later", "filter": {"tags": ["a", "b"]}})
    assert changed == {**created, "text": "Later", "filter": {"operator_codes": ["999"], "tags": ["a", "b"]}}
    changed = await admin.done("PATCH", path, {"local_interval": None, "end_at": at(NOW + 5 * HOUR)})
    assert (changed["local_interval"], changed["end_at"]) == (None, at(NOW + 5 * HOUR))
    assert await admin.done("PATCH", path, {}) == changed
    assert await admin.done("GET", path) == changed


async def test_a_put_takes_what_it_does_not_name_for_never_said(admin: Administered) -> None:
    created = await admin.mailing(filter={"tags": ["vip"]}, local_interval={"from": "09:00", "to": "20:00"})
    changed = await admin.done("PUT", f"/mailings/{created['id']}", {**admin.an_hour(), "text": "New"})
    assert changed["filter"] == {"operator_codes": [], "tags": []}
    assert changed["local_interval"] is None
    assert changed["text"] == "New"


async def test_what_has_begun_cannot_begin_at_another_time(admin: Administered) -> None:
    created = await admin.mailing()
    path = f"/mailings/{created['id']}"
    assert await admin.refused("PATCH", path, {"start_at": at(NOW + 60)}) == (409, [])
    assert (await admin.done("PATCH", path, {"start_at": created["start_at"], "text": "Still"}))["text"] == "Still"


async def test_what_has_ended_stays_as_it_is_and_can_be_deleted(admin: Administered) -> None:
    created = await admin.mailing()
    path = f"/mailings/{created['id']}"
    admin.clock.now = NOW + HOUR
    assert await admin.refused("PATCH", path, {"end_at": at(NOW + 5 * HOUR)}) == (409, [])
    assert await admin.refused("PUT", path, {**admin.an_hour(), "text": "New"}) == (409, [])
    assert await admin.ask("DELETE", path) == (204, None)


async def test_a_deleted_mailing_is_found_by_nobody(admin: Administered) -> None:
    created = await admin.mailing()
    path = f"/mailings/{created['id']}"
    assert await admin.ask("DELETE", path) == (204, None)
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"text": "x"}), ("PUT", admin.an_hour())):
        assert await admin.refused(method, path, body) == (404, [])
    assert await listed(admin) == []


# -- listing


async def listed(admin: Administered, **query: str) -> list[int]:
    """The ids of all pages."""
    ids: list[int] = []
    after: dict[str, str] = {}
    while True:
        page = await admin.done("GET", "/mailings", **query, **after)
        ids += [mailing["id"] for mailing in page["mailings"]]
        if page["next"] is None:
            return ids
        after = {"after": page["next"]}


async def test_pages_go_through_all_mailings_newest_first(admin: Administered) -> None:
    ids = [(await admin.mailing())["id"] for _ in range(5)]
    assert await listed(admin, limit="2") == ids[::-1]
    assert await listed(admin, limit="5") == ids[::-1]


async def test_filters_leave_those_that_fit(admin: Administered) -> None:
    later = await admin.done("POST", "/mailings", admin.an_hour(begins_in=HOUR))
    now = await admin.mailing()
    elsewhere = await admin.mailing(channel="nowhere")
    assert await listed(admin, state="scheduled") == [later["id"]]
    assert await listed(admin, state="running") == [elsewhere["id"], now["id"]]
    assert await listed(admin, state="running", channel="sms", limit="1") == [now["id"]]
    admin.clock.now += HOUR
    assert await listed(admin, state="ended") == [elsewhere["id"], now["id"]]
    registry = CollectorRegistry()
    await MailingMetrics(registry).refresh(admin.database, admin.clock.now)
    found = [registry.get_sample_value("vestnik_mailings", {"state": s}) for s in ("scheduled", "running", "ended")]
    assert found == [0, 1, 2]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"after": "-1"}, {"state": "deleted"}, {"colour": "red"}])
async def test_a_query_that_makes_no_sense_is_refused(admin: Administered, query: dict[str, str]) -> None:
    assert await admin.refused("GET", "/mailings", **query) == (422, [*query])


# -- whatever comes

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_TIMES = st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | st.sampled_from([at(NOW), at(NOW + HOUR), ""])
_LIKELY = {
    "channel": st.sampled_from(["sms", "nowhere", "alerts", "fleeting", "\ud800", ""]),
    "text": st.text(),
    "start_at": _TIMES,
    "end_at": _TIMES,
    "filter": st.fixed_dictionaries({}, optional={"tags": st.lists(st.text()), "operator_codes": st.lists(st.text())}),
    "local_interval": st.none() | st.fixed_dictionaries({"from": st.text(), "to": st.text()}),
}
_BODIES = st.fixed_dictionaries({}, optional={name: likely | _JSON for name, likely in _LIKELY.items()}) | _JSON


@given(body=_BODIES, method=st.sampled_from(["POST", "PUT", "PATCH"]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_body_is_an_error_of_ours(admin: Administered, body: Any, method: str) -> None:
    status, answer = await admin.ask(method, "/mailings" if method == "POST" else "/mailings/1", body)
    assert status in (200, 201, 404, 409, 422), answer
