"""Clients over HTTP (M2, M4)."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest
from administering import PHONE, Administered, at
from deliveries import NOW, message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from vestnik.delivery.store import intake, lookup
from vestnik.delivery.store.lookup import MessageView
from vestnik.mailings.metrics import MailingMetrics
from vestnik.mailings.store.clients import PAGE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/clients"),
        ("POST", "/clients"),
        ("POST", "/clients/import"),
        ("GET", "/clients/export"),
        ("GET", "/clients/1"),
        ("PUT", "/clients/1"),
        ("PATCH", "/clients/1"),
        ("DELETE", "/clients/1"),
    ],
)
async def test_only_a_role_may_see_or_change(admin: Administered, method: str, path: str) -> None:
    async with admin.http.request(method, path, json={}) as response:
        assert response.status == 401
    async with admin.http.request(method, path, json={}, headers=admin.token("guest")) as response:
        assert response.status == 403


# -- creating, reading


async def test_a_client_is_created_and_found_where_the_answer_says(admin: Administered) -> None:
    body = {"phone": PHONE, "operator_code": "921", "tag": "vip", "timezone": "Asia/Omsk"}
    async with admin.http.post("/clients", json=body, headers=admin.token()) as response:
        assert response.status == 201
        created = await response.json()
        location = response.headers["Location"]
    assert created == {"id": created["id"], **body}
    assert location == f"/clients/{created['id']}"
    assert await admin.done("GET", location) == created


async def test_what_is_left_out_has_a_default(admin: Administered) -> None:
    created = await admin.client()
    assert (created["operator_code"], created["tag"], created["timezone"]) == ("999", "", "Europe/Moscow")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"phone": "89991234567"}, "phone"),
    ({"phone": "+79991234567"}, "phone"),
    ({"phone": "7999123456"}, "phone"),
    ({"phone": "79991234567\n"}, "phone"),
    ({"phone": "7999123456７"}, "phone"),
    ({"phone": 79991234567}, "phone"),
    ({"phone": None}, "phone"),
    ({"operator_code": ""}, "operator_code"),
    ({"operator_code": "9x9"}, "operator_code"),
    ({"operator_code": None}, "operator_code"),
    ({"tag": " vip"}, "tag"),
    ({"tag": "a\nb"}, "tag"),
    ({"tag": "\ud800"}, "tag"),
    ({"tag": "x" * 65}, "tag"),
    ({"tag": ["vip"]}, "tag"),
    ({"timezone": "Europe/Moskau"}, "timezone"),
    ({"timezone": ""}, "timezone"),
    ({"timezone": "../etc/passwd"}, "timezone"),
    ({"timezone": "Europe"}, "timezone"),
    ({"timezone": "europe/moscow"}, "timezone"),
    ({"timezone": "localtime"}, "timezone"),
    ({"timezone": "x" * 5000}, "timezone"),
    ({"timezone": "\ud800"}, "timezone"),
    ({"id": 5}, "id"),
    ({"colour": "red"}, "colour"),
]


@pytest.mark.parametrize(("fields", "named"), WRONG)
async def test_a_wrong_field_is_refused_by_its_name(admin: Administered, fields: dict[str, Any], named: str) -> None:
    client = await admin.client("79990000000")
    whole = {"phone": PHONE, **fields}
    assert await admin.refused("POST", "/clients", whole) == (422, [named])
    assert await admin.refused("PUT", f"/clients/{client['id']}", whole) == (422, [named])
    assert await admin.refused("PATCH", f"/clients/{client['id']}", fields) == (422, [named])
    assert await admin.done("GET", f"/clients/{client['id']}") == client


async def test_a_body_without_a_phone_or_that_is_no_object_is_refused(admin: Administered) -> None:
    assert await admin.refused("POST", "/clients", {"tag": "vip"}) == (422, ["phone"])
    assert (await admin.refused("POST", "/clients", ["phone"]))[0] == 422


async def test_a_phone_belongs_to_one_client(admin: Administered) -> None:
    await admin.client(PHONE)
    other = await admin.client("79990000000")
    assert await admin.refused("POST", "/clients", {"phone": PHONE}) == (409, [])
    assert await admin.refused("PATCH", f"/clients/{other['id']}", {"phone": PHONE}) == (409, [])
    assert await admin.refused("PUT", f"/clients/{other['id']}", {"phone": PHONE}) == (409, [])


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("id_", ["0", "5", "9999999999999999", "x", "-1"])
async def test_who_is_not_there_cannot_be_asked_for(admin: Administered, method: str, id_: str) -> None:
    body = {"phone": PHONE} if method in ("PUT", "PATCH") else None
    assert await admin.refused(method, f"/clients/{id_}", body) == (404, [])


# -- changing, deleting


async def test_a_patch_changes_what_it_names(admin: Administered) -> None:
    created = await admin.client(tag="vip", operator_code="921")
    changed = await admin.done("PATCH", f"/clients/{created['id']}", {"timezone": "Asia/Omsk"})
    assert changed == {**created, "timezone": "Asia/Omsk"}
    assert await admin.done("GET", f"/clients/{created['id']}") == changed
    assert await admin.done("PATCH", f"/clients/{created['id']}", {}) == changed


async def test_a_put_takes_what_it_does_not_name_for_the_default(admin: Administered) -> None:
    created = await admin.client(tag="vip", operator_code="921", timezone="Asia/Omsk")
    changed = await admin.done("PUT", f"/clients/{created['id']}", {"phone": "79161234567"})
    assert changed == {
        "id": created["id"],
        "phone": "79161234567",
        "operator_code": "916",
        "tag": "",
        "timezone": "Europe/Moscow",
    }


async def test_a_deleted_client_is_gone_and_its_id_does_not_come_again(admin: Administered) -> None:
    created = await admin.client()
    assert await admin.ask("DELETE", f"/clients/{created['id']}") == (204, None)
    assert (await admin.refused("DELETE", f"/clients/{created['id']}"))[0] == 404
    assert (await admin.client())["id"] > created["id"]


async def waiting_for(admin: Administered, client: dict[str, Any]) -> int:
    new = message("sms", recipients=[client["phone"]], mailing_id=1, client_id=client["id"])
    await admin.database.write(lambda c: intake.register(c, new))
    return new.id


async def found(admin: Administered, message_id: int) -> MessageView:
    view = await admin.database.read(lambda c: lookup.find(c, message_id))
    assert view is not None
    return view


async def test_what_waits_for_a_deleted_client_is_canceled(admin: Administered) -> None:
    gone, stays = await admin.client(), await admin.client("79990000000")
    to_gone, to_stays = await waiting_for(admin, gone), await waiting_for(admin, stays)
    await admin.ask("DELETE", f"/clients/{gone['id']}")
    assert (await found(admin, to_gone)).state == "canceled"
    assert (await found(admin, to_stays)).state == "queued"


async def test_what_waits_goes_to_the_new_phone(admin: Administered) -> None:
    client = await admin.client()
    waiting = await waiting_for(admin, client)
    await admin.done("PATCH", f"/clients/{client['id']}", {"phone": "79990000000"})
    assert [task.recipient for task in (await found(admin, waiting)).tasks] == ["79990000000"]


async def tasks(admin: Administered, mailing: dict[str, Any], client: dict[str, Any]) -> list[sqlite3.Row]:
    ids = mailing["id"], client["id"]
    return await admin.database.read(
        lambda c: c.execute("SELECT * FROM task WHERE mailing_id = ? AND client_id = ?", ids).fetchall()
    )


async def test_what_waits_follows_the_zone_and_ends_when_it_is_not_meant_any_more(admin: Administered) -> None:
    admin.clock.now = datetime(2027, 1, 15, 12, 0, tzinfo=UTC).timestamp()
    interval = {"from": "09:00", "to": "20:00"}
    mailing = await admin.mailing(filter={"tags": ["vip"]}, local_interval=interval, end_at="2027-01-20T00:00:00Z")
    by_hand = await admin.client("79990000001", tag="vip", timezone="Asia/Omsk")
    by_file = await admin.client("79990000002", tag="vip", timezone="Asia/Omsk")
    await admin.part.sending.expand()
    for client in (by_hand, by_file):
        [task] = await tasks(admin, mailing, client)
        assert task["state"] == "queued"

    changed = await admin.done("PATCH", f"/clients/{by_hand['id']}", {"timezone": "Asia/Tokyo"})
    [task] = await tasks(admin, mailing, changed)
    assert (task["state"], at(task["due_at"])) == ("scheduled", "2027-01-16T00:00:00.000Z")

    await admin.import_csv(f"phone,tag\n{by_file['phone']},other\n")
    [task] = await tasks(admin, mailing, by_file)
    assert task["state"] == "canceled"


# -- listing


async def listed(admin: Administered, **query: str) -> list[str]:
    """The phones of all pages."""
    phones: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await admin.done("GET", "/clients", **query, **after)
        phones += [client["phone"] for client in page["clients"]]
        if page["next"] is None:
            return phones
        after = {"after": page["next"]}


async def test_pages_go_through_all_clients_once(admin: Administered) -> None:
    phones = [f"7999000000{n}" for n in range(7)]
    for phone in phones:
        await admin.client(phone)
    assert await listed(admin, limit="3") == phones
    assert await listed(admin, limit="7") == phones
    assert await listed(admin) == phones
    assert len((await admin.done("GET", "/clients", limit="3"))["clients"]) == 3


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"operator_code": "916"}, [1, 2]),
        ({"tag": "vip"}, [0, 1]),
        ({"tag": ""}, [2]),
        ({"timezone": "Asia/Omsk"}, [0, 2]),
        ({"phone": "79160000002"}, [2]),
        ({"operator_code": "916", "tag": "vip"}, [1]),
        ({"tag": "vip", "timezone": "Asia/Omsk"}, [0]),
        ({"phone": "79160000002", "tag": "vip"}, []),
        ({"tag": "nobody"}, []),
    ],
)
@pytest.mark.parametrize("limit", ["1", "50"])
async def test_filters_leave_those_that_fit(
    admin: Administered, query: dict[str, str], wanted: list[int], limit: str
) -> None:
    rows = [
        ("79990000000", "vip", "Asia/Omsk"),
        ("79160000001", "vip", "Europe/Moscow"),
        ("79160000002", "", "Asia/Omsk"),
    ]
    for phone, tag, zone in rows:
        await admin.client(phone, tag=tag, timezone=zone)
    assert await listed(admin, limit=limit, **query) == [rows[n][0] for n in wanted]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": str(PAGE + 1)}, {"after": "x"}, {"colour": "red"}])
async def test_a_query_that_makes_no_sense_is_refused(admin: Administered, query: dict[str, str]) -> None:
    assert await admin.refused("GET", "/clients", **query) == (422, [*query])


async def test_the_number_of_clients_is_a_metric(admin: Administered) -> None:
    registry = CollectorRegistry()
    metrics = MailingMetrics(registry)
    await admin.client()
    gone = await admin.client("79990000000")
    await metrics.refresh(admin.database, NOW)
    assert registry.get_sample_value("vestnik_clients") == 2
    await admin.ask("DELETE", f"/clients/{gone['id']}")
    await metrics.refresh(admin.database, NOW)
    assert registry.get_sample_value("vestnik_clients") == 1


# -- whatever comes

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from(["phone", "operator_code", "tag", "timezone", "id"])
_LIKELY = st.sampled_from([PHONE, "999", "vip", "Europe/Moscow", "", "\0", "\ud800", "7", "Europe/", "."])
_BODIES = st.dictionaries(_NAMES | st.text(max_size=5), _LIKELY | _JSON, max_size=5) | _JSON


@given(body=_BODIES, method=st.sampled_from(["POST", "PUT", "PATCH"]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_body_is_an_error_of_ours(admin: Administered, body: Any, method: str) -> None:
    status, answer = await admin.ask(method, "/clients" if method == "POST" else "/clients/1", body)
    assert status in (200, 201, 404, 409, 422), answer


async def test_a_change_without_a_body_is_refused(admin: Administered) -> None:
    client = await admin.client()
    async with admin.http.patch(f"/clients/{client['id']}", headers=admin.token()) as response:
        assert (response.status, [*(await response.json())["errors"]]) == (422, ["body"])
