"""D1 to D3, messages and channels over HTTP, every answer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import FormData
from aiohttp_apigami.constants import SWAGGER_DICT
from deliveries import Locked, Served, until
from yarl import URL

from vestnik.delivery.send_form import FORM, LONGEST_DELAY, LONGEST_EXPIRE
from vestnik.delivery.service import Send
from vestnik.delivery.store.intake import IDEMPOTENCY_KEPT

CYRILLIC = "Привет, мир!\nВторая строка: «ёлки» — 100 %"


async def refused(served: Served, data: Any, *, channel: str = "held", **options: Any) -> dict[str, str]:
    """The problems, by field, of a send that is answered 422."""
    async with served.client.post(f"/api/send/{channel}", data=data, **options) as response:
        body = await response.json()
    assert response.status == 422, body
    assert body.keys() == {"code", "description", "errors"}
    assert body["code"] == "invalid_input"
    assert body["description"]
    errors: dict[str, str] = body["errors"]
    return errors


async def stored(served: Served) -> int:
    count: int = await served.durable.read(lambda c: c.execute("SELECT count(*) FROM message").fetchone()[0])
    return count


# -- D1, D2: taking a message


async def test_a_send_is_answered_204_with_its_id_and_place(served: Served) -> None:
    async with served.client.post("/api/send/held", data={"message": CYRILLIC, "delay": "0"}) as response:
        assert (response.status, await response.read()) == (204, b"")
        message_id = response.headers["X-Message-Id"]
        assert response.headers["Location"] == f"/api/messages/{message_id}"
    view = await served.part.service.find(int(message_id))
    assert (view.text, view.state, view.expires_at) == (CYRILLIC, "queued", None)
    assert [task.recipient for task in view.tasks] == ["a", "b"]


async def test_a_message_is_on_its_way_before_anybody_asks(served: Served) -> None:
    for channel in ("nowhere", "quick"):
        shown = await served.reaches(await served.send(channel), "delivered")
        assert shown["tasks"][0]["attempts"] == 1


async def test_delay_expire_and_subject_are_taken(served: Served) -> None:
    view = await served.part.service.find(await served.send(delay="60", expire="30", subject="Тема"))
    assert (view.state, view.subject) == ("scheduled", "Тема")
    assert view.due_at - view.created_at == pytest.approx(60)
    assert view.expires_at
    assert view.expires_at - view.due_at == pytest.approx(30)


@pytest.mark.parametrize(("field", "value"), [("delay", LONGEST_DELAY), ("expire", LONGEST_EXPIRE), ("expire", 1)])
async def test_limits_belong_to_what_is_allowed(served: Served, field: str, value: int) -> None:
    assert await served.send(**{field: str(value)})


async def test_the_query_serves_where_the_body_lacks_a_field(served: Served) -> None:
    async with served.client.post("/api/send/held", params={"message": CYRILLIC, "delay": "7"}) as response:
        assert response.status == 204
    view = await served.part.service.find(int(response.headers["X-Message-Id"]))
    assert (view.text, view.state) == (CYRILLIC, "scheduled")


async def test_the_body_wins_over_the_query(served: Served) -> None:
    query = {"message": "from the query", "delay": "abc"}
    async with served.client.post("/api/send/held", params=query, data={"message": "body", "delay": "0"}) as response:
        assert response.status == 204
    view = await served.part.service.find(int(response.headers["X-Message-Id"]))
    assert (view.text, view.state) == ("body", "queued")


async def test_an_empty_field_in_the_body_wins_too(served: Served) -> None:
    assert await refused(served, {"message": ""}, params={"message": "Hello"}) == {"message": "is required"}


async def test_a_plus_is_a_space_and_an_encoded_one_is_a_plus(served: Served) -> None:
    data = b"message=1%2B1+is+2"
    async with served.client.post("/api/send/held", data=data, headers={"Content-Type": FORM}) as response:
        assert response.status == 204
    assert (await served.part.service.find(int(response.headers["X-Message-Id"]))).text == "1+1 is 2"


async def test_raw_utf_8_without_percent_signs_is_taken(served: Served) -> None:
    data = f"message={CYRILLIC}".replace("%", "%25").encode()
    for content_type in (FORM, f"{FORM}; charset=UTF-8", f'{FORM}; charset="utf8"'):
        async with served.client.post("/api/send/held", data=data, headers={"Content-Type": content_type}) as response:
            assert response.status == 204
        assert (await served.part.service.find(int(response.headers["X-Message-Id"]))).text == CYRILLIC


# -- D2: 422


@pytest.mark.parametrize("data", [None, {}, {"message": ""}, {"delay": "1"}])
async def test_a_message_is_required(served: Served, data: dict[str, str] | None) -> None:
    assert (await refused(served, data))["message"] == "is required"


@pytest.mark.parametrize("delay", ["1.5", "abc", "-1", "99999999999", "", " 1", "1 ", "+1", "1e3", "٣", "0x10", "1\n"])
async def test_a_delay_is_a_whole_number_within_limits(served: Served, delay: str) -> None:
    assert set(await refused(served, {"message": "Hello", "delay": delay})) == {"delay"}
    assert set(await refused(served, {"message": "Hello"}, params={"delay": delay})) == {"delay"}


@pytest.mark.parametrize("expire", ["0", "-5", "abc", "", str(LONGEST_EXPIRE + 1), "9" * 5000])
async def test_an_expiry_is_a_whole_number_within_limits(served: Served, expire: str) -> None:
    assert set(await refused(served, {"message": "Hello", "expire": expire})) == {"expire"}


@pytest.mark.parametrize("subject", ["", "a\nBcc: x", "a\rb", "x" * 251])
async def test_a_subject_is_one_line_of_bounded_length(served: Served, subject: str) -> None:
    assert set(await refused(served, {"message": "Hello", "subject": subject})) == {"subject"}


async def test_a_channel_that_takes_no_subject_says_so(served: Served) -> None:
    problems = await refused(served, {"message": "Hello", "subject": "S"}, channel="sms")
    assert problems == {"subject": "is not taken by this channel"}


async def test_the_channels_worker_says_what_it_can_carry(served: Served) -> None:
    problems = await refused(served, {"message": "x" * 161}, channel="sms")
    assert problems["message"].startswith("must be ")
    assert (await refused(served, {"message": "a\x00b"}))["message"] == "must be a text without NUL characters"


async def test_all_problems_are_told_at_once(served: Served) -> None:
    problems = await refused(
        served,
        {"message": "", "delay": "x", "expire": "0", "subject": "", "colour": "red"},
        headers={"Idempotency-Key": "a b"},
    )
    assert set(problems) == {"message", "delay", "expire", "subject", "colour", "Idempotency-Key"}


@pytest.mark.parametrize("where", ["body", "query"])
async def test_an_unknown_field_is_refused(served: Served, where: str) -> None:
    if where == "body":
        problems = await refused(served, {"message": "Hello", "Message": "x"})
    else:
        problems = await refused(served, {"message": "Hello"}, params={"Message": "x"})
    assert "is not a field of a send" in problems["Message"]


async def test_an_unknown_field_is_shown_without_its_control_characters(served: Served) -> None:
    data = urlencode({"message": "Hello", "a\x1b[31m\n" + "b" * 5000: "x"}).encode()
    [name] = await refused(served, data, headers={"Content-Type": FORM})
    assert name.isprintable()
    assert len(name) < 300


@pytest.mark.parametrize("field", ["message", "delay"])
async def test_a_field_that_stands_twice_is_refused(served: Served, field: str) -> None:
    pairs = [("message", "Hello"), ("delay", "1"), (field, "2")]
    twice = {"Content-Type": FORM}
    assert await refused(served, urlencode(pairs).encode(), headers=twice) == {field: "stands twice in the body"}
    assert await refused(served, None, params=pairs) == {field: "stands twice in the query"}


@pytest.mark.parametrize("data", [b"message=%FF%FE", b"message=\xff\xfe", b"message=%D0", b"message=\xd0", b"%FF=1"])
async def test_a_body_that_is_not_utf_8_is_refused(served: Served, data: bytes) -> None:
    assert await refused(served, data, headers={"Content-Type": FORM}) == {"body": "must be UTF-8"}


async def test_a_query_that_is_not_utf_8_is_refused(served: Served) -> None:
    url = URL(str(served.client.make_url("/api/send/held")) + "?message=%FF", encoded=True)
    async with served.client.session.post(url) as response:
        assert (response.status, (await response.json())["errors"]) == (422, {"query": "must be UTF-8"})


async def raw(served: Served, request: bytes) -> bytes:
    """The answer to bytes that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.client.port)
    writer.write(request)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("query", [b"message=\xff\xfe", b"message=\xd0", b"message=%FF\xfe"])
async def test_a_query_of_raw_bytes_that_are_not_utf_8_is_refused(served: Served, query: bytes) -> None:
    request = (
        b"POST /api/send/held?" + query + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    answer = await raw(served, request)
    assert answer.split(b" ", 2)[1] in (b"400", b"422")


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data", "application/octet-stream", "nonsense"]
)
async def test_a_body_of_another_type_is_refused(served: Served, content_type: str) -> None:
    problems = await refused(served, b"message=Hello", headers={"Content-Type": content_type})
    assert problems == {"Content-Type": f"must be {FORM}"}


async def test_a_multipart_form_is_refused(served: Served) -> None:
    form = FormData({"message": "Hello"}, default_to_multipart=True)
    assert set(await refused(served, form())) == {"Content-Type"}


async def test_another_character_set_is_refused(served: Served) -> None:
    problems = await refused(
        served, "message=Привет".encode("cp1251"), headers={"Content-Type": f"{FORM}; charset=windows-1251"}
    )
    assert set(problems) == {"Content-Type"}


async def test_too_many_fields_are_refused(served: Served) -> None:
    data = "&".join(f"f{n}=1" for n in range(50)).encode()
    assert await refused(served, data, headers={"Content-Type": FORM}) == {"body": "has too many fields"}


async def test_nothing_that_was_refused_is_stored(served: Served) -> None:
    await refused(served, {"message": "Hello", "delay": "x"})
    assert await stored(served) == 0


# -- 404, 405, 413, 500


async def test_a_channel_that_is_not_there_is_404(served: Served) -> None:
    for name in ("nobody", "held%2F..", "%00", "Held"):
        url = URL(str(served.client.make_url("/")) + f"api/send/{name}", encoded=True)
        async with served.client.session.post(url, data={"message": "Hello"}) as response:
            body = await response.json()
        assert (response.status, body["code"]) == (404, "not_found")
        assert body["description"]


async def test_another_method_is_405(served: Served) -> None:
    async with served.client.get("/api/send/held") as response:
        assert (response.status, (await response.json())["code"]) == (405, "method_not_allowed")
        assert response.headers["Allow"] == "POST"


async def test_a_body_over_256_kib_is_413(served: Served) -> None:
    async with served.client.post("/api/send/held", data={"message": "x" * (256 << 10)}) as response:
        assert (response.status, (await response.json())["code"]) == (413, "too_large")
    assert await stored(served) == 0


async def test_a_bug_of_ours_is_500_without_a_trace(served: Served) -> None:
    await served.durable.maintain(lambda c: c.execute("DROP TABLE idempotency"))
    headers = {"Idempotency-Key": "k"}
    async with served.client.post("/api/send/held", data={"message": "Hello"}, headers=headers) as response:
        body = await response.json()
    assert (response.status, body["code"]) == (500, "internal_error")
    assert "idempotency" not in str(body)


# -- maintenance and 503


async def test_in_maintenance_everything_that_sends_is_503_and_empty(served: Served) -> None:
    old = await served.send()
    served.flag.set(on=True)
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/send/held", {"data": {"message": "Hello"}}),
        ("POST", "/api/send/held", {"data": {"message": ""}}),
        ("POST", "/api/send/nobody", {}),
        ("POST", "/api/send/held", {"headers": {"X-API-Key": "wrong"}}),
        ("POST", "/api/send/held", {"data": b"x" * (300 << 10)}),
        ("GET", "/api/ping", {}),
        ("POST", f"/api/messages/{old}/resend", {"headers": served.token()}),
    ]
    for method, path, options in requests:
        async with served.client.request(method, path, **options) as response:
            assert (response.status, await response.read()) == (503, b""), (method, path)
    assert await stored(served) == 1
    served.flag.set(on=False)
    assert await served.send()


async def test_ping_tells_the_flag_as_it_is_now(served: Served) -> None:
    for on, status in [(False, 204), (True, 503), (False, 204)]:
        served.flag.set(on=on)
        async with served.client.get("/api/ping") as response:
            assert (response.status, await response.read()) == (status, b"")


async def test_messages_can_be_asked_for_in_maintenance(served: Served) -> None:
    message_id = await served.send()
    served.flag.set(on=True)
    assert (await served.shown(message_id))["state"] == "queued"


async def test_a_send_whose_body_arrives_in_maintenance_is_not_taken(served: Served) -> None:
    body = b"message=Hello"
    reader, writer = await asyncio.open_connection("127.0.0.1", served.client.port)
    head = f"POST /api/send/held HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + body[:3])
    await asyncio.sleep(0.1)
    served.flag.set(on=True)
    writer.write(body[3:])
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert await stored(served) == 0


async def test_a_store_that_cannot_take_more_is_503_with_a_time_to_come_back(served: Served) -> None:
    async with (
        Locked(served.durable),
        served.client.post("/api/send/held", data={"message": "Hello"}) as response,
    ):
        body = await response.json()
        assert (response.status, body["code"]) == (503, "store_unavailable")
        assert int(response.headers["Retry-After"]) > 0
    assert await served.send()
    assert await stored(served) == 1


# -- Idempotency-Key


async def test_the_same_key_and_content_are_answered_alike_and_stored_once(served: Served) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first = await served.send(headers=headers)
    assert await served.send(headers=headers) == first
    assert await stored(served) == 1


async def test_sends_with_one_key_at_once_are_stored_once(served: Served) -> None:
    headers = {"Idempotency-Key": "order-17"}
    made = await asyncio.gather(*(served.send(headers=headers) for _ in range(20)))
    assert len(set(made)) == 1
    assert await stored(served) == 1


async def test_the_same_key_with_other_content_is_refused(served: Served) -> None:
    headers = {"Idempotency-Key": "order-17"}
    await served.send(headers=headers)
    problems = await refused(served, {"message": "Other"}, headers=headers)
    assert problems == {"Idempotency-Key": "came with other content before"}


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "a b", "a\tb"])
async def test_a_key_is_bounded_printable_ascii(served: Served, key: str) -> None:
    problems = await refused(served, {"message": "Hello"}, headers={"Idempotency-Key": key})
    assert set(problems) == {"Idempotency-Key"}


async def test_a_key_of_the_longest_kind_is_taken(served: Served) -> None:
    assert await served.send(headers={"Idempotency-Key": "x" * 255})


# -- one message


async def test_a_message_is_shown_as_documented(served: Served) -> None:
    shown = await served.shown(await served.send(expire="60"))
    assert list(shown) == [
        "id",
        "channel",
        "state",
        "created_at",
        "due_at",
        "expires_at",
        "parent_id",
        "resent_as",
        "mailing_id",
        "tasks",
    ]
    assert (shown["channel"], shown["state"], shown["parent_id"]) == ("held", "queued", None)
    assert shown["created_at"].endswith("Z")
    assert shown["tasks"][0] == {
        "recipient": "a",
        "state": "queued",
        "attempts": 0,
        "started_at": None,
        "finished_at": None,
        "maybe_sent": False,
        "error": None,
    }


async def test_a_failure_is_shown_with_its_reason(served: Served) -> None:
    shown = await served.reaches(await served.send("refusing"), "failed")
    assert {task["error"] for task in shown["tasks"]} == {"told to refuse"}
    assert all(task["started_at"] and task["finished_at"] for task in shown["tasks"])


@pytest.mark.parametrize("message_id", ["1", "9999999999999999", "99999999999999999", "-1", "abc", "1.0", "%D9%A3"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_message_that_is_not_there_is_404(served: Served, method: str, message_id: str) -> None:
    url = URL(str(served.client.make_url("/")) + f"api/messages/{message_id}", encoded=True)
    async with served.client.session.request(method, url) as response:
        assert (response.status, (await response.json())["code"]) == (404, "not_found")


async def test_what_waits_is_canceled_with_204_and_then_409(served: Served) -> None:
    message_id = await served.send(delay="60")
    async with served.client.delete(f"/api/messages/{message_id}") as response:
        assert (response.status, await response.read()) == (204, b"")
    assert (await served.shown(message_id))["state"] == "canceled"
    async with served.client.delete(f"/api/messages/{message_id}") as response:
        assert (response.status, (await response.json())["code"]) == (409, "conflict")


async def test_a_cancel_during_a_delivery_is_202(served: Served) -> None:
    message_id = await served.send("slow")
    await served.reaches(message_id, "running")
    async with served.client.delete(f"/api/messages/{message_id}") as response:
        assert (response.status, await response.read()) == (202, b"")


# -- whose message it is


async def test_another_senders_message_does_not_exist(serve: Any) -> None:
    served: Served = await serve(send="key")
    mine, theirs = await served.key("mine"), await served.key("theirs")
    message_id = await served.send(headers=mine)
    for method in ("GET", "DELETE"):
        async with served.client.request(method, f"/api/messages/{message_id}", headers=theirs) as response:
            body = await response.json()
        assert (response.status, body["code"]) == (404, "not_found")
        assert body["description"] == f"there is no message {message_id}"
    async with served.client.get(f"/api/messages/{message_id}", headers=mine) as response:
        assert response.status == 200
    async with served.client.get(f"/api/messages/{message_id}", headers=served.token()) as response:
        assert response.status == 200
    async with served.client.delete(f"/api/messages/{message_id}", headers=mine) as response:
        assert response.status == 204


async def test_without_a_key_where_one_is_asked_for_it_is_401(serve: Any) -> None:
    served: Served = await serve(send="key")
    for method, path in [("POST", "/api/send/held"), ("GET", "/api/messages/1"), ("DELETE", "/api/messages/1")]:
        async with served.client.request(method, path) as response:
            assert (response.status, (await response.json())["code"]) == (401, "unauthorized")
        async with served.client.request(method, path, headers={"X-API-Key": "vk_0.wrong"}) as response:
            assert response.status == 401
        async with served.client.request(method, path, headers=served.token("guest")) as response:
            assert (response.status, (await response.json())["code"]) == (403, "forbidden")
    assert await stored(served) == 0


async def test_another_sites_page_neither_sends_nor_reads_nor_cancels(served: Served) -> None:
    message_id = await served.send()
    for method, path in [
        ("POST", "/api/send/held"),
        ("POST", "/api/send/held?delay=1"),
        ("GET", f"/api/messages/{message_id}"),
        ("DELETE", f"/api/messages/{message_id}"),
    ]:
        for headers in ({"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            form = {"message": "x"} if method == "POST" else None
            async with served.client.request(method, path, data=form, headers=headers) as response:
                assert (response.status, (await response.json())["code"]) == (403, "foreign_origin")
    assert await stored(served) == 1
    assert (await served.shown(message_id))["state"] == "queued"


# -- lists and resend, for a role


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/messages"),
        ("POST", "/api/messages/1/resend"),
        ("GET", "/api/channels"),
        ("PUT", "/api/channels/held/state"),
    ],
)
async def test_operating_takes_a_token_with_a_role(served: Served, method: str, path: str) -> None:
    async with served.client.request(method, path) as response:
        assert (response.status, (await response.json())["code"]) == (401, "unauthorized")
    async with served.client.request(method, path, headers=served.token("guest")) as response:
        assert (response.status, (await response.json())["code"]) == (403, "forbidden")


async def listed(served: Served, **query: str) -> dict[str, Any]:
    async with served.client.get("/api/messages", params=query, headers=served.token()) as response:
        body: dict[str, Any] = await response.json()
    assert response.status == 200, body
    return body


async def test_messages_are_listed_newest_first_page_by_page(served: Served) -> None:
    made = [await served.send(channel) for channel in ("held", "quick", "held", "quick", "held")]
    found: list[int] = []
    after: dict[str, str] = {}
    while True:
        body = await listed(served, limit="2", **after)
        found += [message["id"] for message in body["messages"]]
        if body["next"] is None:
            break
        after = {"after": body["next"]}
    assert found == made[::-1]


async def test_lists_can_be_narrowed_by_channel_and_state(served: Served) -> None:
    held, delayed = await served.send(), await served.send(delay="60")
    await served.reaches(await served.send("nowhere"), "delivered")
    assert [m["id"] for m in (await listed(served, channel="held"))["messages"]] == [delayed, held]
    assert [m["id"] for m in (await listed(served, state="scheduled"))["messages"]] == [delayed]
    assert (await listed(served, channel="nobody")) == {"messages": [], "next": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "lost"}, "state"),
        ({"after": "abc"}, "after"),
        ({"after": "-1"}, "after"),
        ({"after": "9" * 17}, "after"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_bad_query_of_a_list_is_422(served: Served, query: dict[str, str], field: str) -> None:
    async with served.client.get("/api/messages", params=query, headers=served.token()) as response:
        body = await response.json()
    assert (response.status, body["code"], set(body["errors"])) == (422, "invalid_input", {field})


async def test_a_resend_is_a_new_message_with_its_parent(served: Served) -> None:
    old = await served.send("refusing")
    await served.reaches(old, "failed")
    async with served.client.post(f"/api/messages/{old}/resend", headers=served.token()) as response:
        body = await response.json()
        assert response.status == 201
        assert response.headers["Location"] == f"/api/messages/{body['id']}"
        assert response.headers["X-Message-Id"] == str(body["id"])
    assert body["parent_id"] == old
    assert [task["recipient"] for task in body["tasks"]] == ["a", "b"]
    assert body["removed"] == []
    assert (await served.shown(old))["state"] == "failed"


async def test_a_message_is_sent_again_once_unless_asked_twice(served: Served) -> None:
    old = await served.send("sms", delay="60", message="Hello")
    async with served.client.delete(f"/api/messages/{old}") as response:
        assert response.status == 204
    ids = []
    for query, status in (("", 201), ("", 409), ("?again=0", 409), ("?again=1", 201), ("?again=x", 422)):
        async with served.client.post(f"/api/messages/{old}/resend{query}", headers=served.token()) as response:
            body = await response.json()
            assert response.status == status, body
            ids += [body["id"]] if status == 201 else []
            if status == 409:
                assert f"already, as {ids[0]}" in body["description"]
    assert (await served.shown(old))["resent_as"] == ids[1]
    assert [m["resent_as"] for m in (await listed(served, channel="sms"))["messages"]] == [None, None, ids[1]]


async def test_what_is_on_its_way_is_not_resent(served: Served) -> None:
    waiting = await served.send()
    for message_id, status, code in [(waiting, 409, "conflict"), (1, 404, "not_found")]:
        async with served.client.post(f"/api/messages/{message_id}/resend", headers=served.token()) as response:
            assert (response.status, (await response.json())["code"]) == (status, code)


# -- channels


async def test_channels_are_listed_with_how_they_do(served: Served) -> None:
    await served.send()
    await served.reaches(await served.send("refusing"), "failed")
    async with served.client.get("/api/channels", headers=served.token()) as response:
        channels = {channel["name"]: channel for channel in (await response.json())["channels"]}
    assert list(channels) == ["held", "slow", "nowhere", "quick", "refusing", "sms"]
    held, refusing = channels["held"], channels["refusing"]
    assert (held["state"], held["waiting"], held["running"]) == ("PAUSED", 2, 0)
    assert (held["reason"], held["counts"]) == ("held by the test", {"queued": 2})
    assert held["oldest_due"].endswith("Z")
    assert (refusing["state"], refusing["reason"], refusing["oldest_due"]) == ("WORKING", None, None)
    assert (refusing["last_error"], refusing["counts"]) == ("told to refuse", {"failed": 2})
    assert refusing["last_error_at"].endswith("Z")


async def change(served: Served, name: str, body: Any) -> tuple[int, dict[str, Any]]:
    async with served.client.put(f"/api/channels/{name}/state", json=body, headers=served.token()) as response:
        return response.status, await response.json()


async def test_a_channel_is_paused_and_started(served: Served) -> None:
    status, body = await change(served, "nowhere", {"action": "PAUSE", "reason": "tests"})
    assert (status, body["state"], body["reason"]) == (200, "PAUSED", "tests")
    message_id = await served.send("nowhere")
    await asyncio.sleep(0.1)
    assert (await served.shown(message_id))["state"] == "queued"
    status, body = await change(served, "nowhere", {"action": "START"})
    assert (status, body["state"], body["reason"]) == (200, "WORKING", None)
    await served.reaches(message_id, "delivered")


async def test_a_pause_without_a_reason_has_one(served: Served) -> None:
    assert (await change(served, "slow", {"action": "PAUSE"}))[1]["reason"] == "paused over HTTP"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "STOP"}, "action"),
        ({"action": None}, "action"),
        ({"action": "PAUSE", "reason": ""}, "reason"),
        ({"action": "PAUSE", "reason": "x" * 201}, "reason"),
        ({"action": "PAUSE", "colour": "red"}, "colour"),
    ],
)
async def test_a_bad_change_of_a_channel_is_422(served: Served, body: dict[str, Any], field: str) -> None:
    status, answer = await change(served, "slow", body)
    assert (status, answer["code"], set(answer["errors"])) == (422, "invalid_input", {field})


async def test_a_channel_that_is_not_there_cannot_be_changed(served: Served) -> None:
    for action in ("PAUSE", "START"):
        status, answer = await change(served, "nobody", {"action": action})
        assert (status, answer["code"]) == (404, "not_found")


# -- what the daemon sees of it


async def metrics(served: Served) -> str:
    async with served.client.get("/metrics") as response:
        return await response.text()


async def test_metrics_tell_how_long_the_oldest_is_due(served: Served) -> None:
    await served.send("held")
    await served.send("sms", delay=3600)
    async with asyncio.timeout(60):
        while not (age := re.search(r'_due_age_seconds\{channel="held"\} (\S+)', found := await metrics(served))) or (
            float(age[1]) <= 0
        ):
            await asyncio.sleep(0.02)
    assert 'vestnik_oldest_due_age_seconds{channel="sms"} 0.0' in found
    assert 'vestnik_oldest_due_age_seconds{channel="nowhere"} 0.0' in found


async def test_metrics_count_a_message_once_however_often_it_is_sent(served: Served) -> None:
    for _ in range(3):
        await served.send("held", headers={"Idempotency-Key": "k"})
    found = await metrics(served)
    assert 'vestnik_messages_accepted_total{channel="held"} 1.0' in found
    assert 'vestnik_messages_repeated_total{channel="held"} 2.0' in found


async def test_metrics_count_sends_and_tries(served: Served) -> None:
    await served.reaches(await served.send("nowhere"), "delivered")
    await served.reaches(await served.send("refusing"), "failed")
    await refused(served, {"message": ""}, channel="nowhere")
    found = await metrics(served)
    for line in (
        'vestnik_messages_accepted_total{channel="nowhere"} 1.0',
        'vestnik_messages_refused_total{channel="nowhere"} 1.0',
        'vestnik_attempts_total{channel="nowhere",outcome="delivered"} 1.0',
        'vestnik_attempts_total{channel="refusing",outcome="refused"} 2.0',
        'vestnik_deliveries_running{channel="nowhere"} 0.0',
        'vestnik_delivery_seconds_count{channel="nowhere",state="delivered"} 1.0',
    ):
        assert line in found


async def test_metrics_show_depth_and_pauses(served: Served) -> None:
    await served.send()
    depth = 'vestnik_tasks{channel="held",state="queued"} 2.0'
    async with asyncio.timeout(60):
        while depth not in (found := await metrics(served)):
            await asyncio.sleep(0.05)
    assert 'vestnik_channel_paused{channel="held"} 1.0' in found
    assert 'vestnik_channel_paused{channel="slow"} 0.0' in found


async def test_in_maintenance_nothing_is_taken_from_the_queues_and_the_command_hears_of_it(served: Served) -> None:
    flag = served.flag.set(on=True)
    await until(lambda: served.flag.acknowledged().revision == flag.revision)
    assert "vestnik_maintenance 1.0" in await metrics(served)
    message_id = (await served.part.service.resend(await finished(served))).id
    await asyncio.sleep(0.1)
    assert (await served.part.service.find(message_id)).state == "queued"
    served.flag.set(on=False)
    await served.reaches(message_id, "delivered")


async def test_the_document_and_the_pages_say_how_long_a_key_is_kept(served: Served) -> None:
    hours = f"for {IDEMPOTENCY_KEPT / 3600:.0f} hours"
    assert hours in str(served.client.app[SWAGGER_DICT])
    root = Path(__file__).parents[2]
    for page in ("README.md", "docs/states.md"):
        assert hours in (root / page).read_text()


async def finished(served: Served) -> int:
    """A message that has ended, made beside the API."""
    service = served.part.service
    made = await service.send(Send(channel="nowhere", text="Hello"))
    await service.cancel(made.id)
    return made.id


async def test_a_flag_that_cannot_be_read_means_maintenance_for_the_queues_too(served: Served, tmp_path: Any) -> None:
    (tmp_path / "maintenance.json").write_text("{half")
    found = ""
    async with asyncio.timeout(60):
        while "vestnik_maintenance 1.0" not in found:
            await asyncio.sleep(0.02)
            found = await metrics(served)
    async with served.client.get("/api/ping") as response:
        assert response.status == 503
    (tmp_path / "maintenance.json").unlink()
    async with asyncio.timeout(60):
        while "vestnik_maintenance 0.0" not in await metrics(served):
            await asyncio.sleep(0.02)
    await served.reaches(await served.send("nowhere"), "delivered")


async def test_what_is_past_its_time_expires_while_it_is_held(served: Served) -> None:
    shown = await served.reaches(await served.send(expire="1"), "expired")
    assert all(task["finished_at"] for task in shown["tasks"])
