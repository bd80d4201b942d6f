"""Clients as CSV: what is read, what is refused and why, and that what goes out comes in again (M2)."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

import pytest
from administering import PHONE, Administered
from aiohttp import ClientPayloadError, web
from aiohttp.typedefs import Handler
from deliveries import Locked
from hypothesis import given
from hypothesis import strategies as st
from mailing_steps import settled
from pytest_aiohttp import AiohttpClient

from vestnik.errors import StoreUnavailable
from vestnik.mailings.client_fields import TAG_PATTERN, Given, is_tag
from vestnik.mailings.clients import Clients
from vestnik.mailings.clients_api import ClientsApi
from vestnik.mailings.csv import exporting
from vestnik.mailings.csv.importing import ClientImport
from vestnik.mailings.csv.rows import BadRow, NotClients, RowReader, Rows
from vestnik.mailings.model import Client
from vestnik.mailings.store import clients as store
from vestnik.mailings.store import waiting
from vestnik.mailings.store.clients import Taken, Wanted

HEADER = "phone,operator_code,tag,timezone\n"


def read(*pieces: bytes, encoding: str = "utf-8") -> Rows:
    reader = RowReader("cp1251" if encoding == "cp1251" else "utf-8")
    rows = Rows()
    for found in [*map(reader.feed, pieces), reader.end()]:
        rows.good += found.good
        rows.bad += found.bad
    return rows


# -- reading


def test_a_row_is_a_client() -> None:
    assert read(f"{HEADER}{PHONE},921,vip,Asia/Omsk\n".encode()).good == [Given(PHONE, "921", "vip", "Asia/Omsk")]


def test_columns_come_in_any_order_and_in_capitals_and_only_the_phone_has_to() -> None:
    assert read(b"Tag, PHONE\nvip,79991234567\n").good == [Given(PHONE, None, "vip", None)]
    assert read(b"phone\n79991234567\n").good == [Given(PHONE)]


def test_an_empty_cell_is_the_default_and_a_column_that_is_not_there_says_nothing() -> None:
    assert read(f"{HEADER}{PHONE},,,\n".encode()).good == [Given(PHONE, "999", "", None)]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfphone,tag\r\n79991234567,vip\r\n",
        b"phone;tag\n79991234567;vip",
        b"phone\ttag\r\n79991234567\tvip\r\n",
        b'"phone","tag"\n"79991234567","vip"\n',
        b"\n\nphone,tag\n\n79991234567 , vip\n,\n\n",
    ],
)
def test_files_of_many_programs_say_the_same(data: bytes) -> None:
    assert read(data) == Rows([Given(PHONE, None, "vip", None)], [])


def test_an_older_windows_says_it_in_cp1251() -> None:
    data = "phone;tag\n79991234567;Москва\n".encode("cp1251")
    assert read(data, encoding="cp1251").good == [Given(PHONE, None, "Москва", None)]
    [bad] = read(data).bad
    assert bad == BadRow(2, "it is not utf-8 (a file of an older Windows may be cp1251)")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("89991234567,,,", "phone must be a phone number such as 79991234567"),
        (f"{PHONE},99x,,", "operator_code must be one to six digits"),
        (f"{PHONE},,{'x' * 65},", "tag must be at most 64 characters, without line breaks or spaces round it"),
        (f"{PHONE},,,Mars", "timezone must be a time zone of the IANA database, such as Europe/Moscow"),
        (f"{PHONE},,", "it has 3 columns, the header has 4"),
        (f"{PHONE},,a,b,c", "it has 5 columns, the header has 4"),
        (f'{PHONE},,"vip,', "a quote is not closed"),
        (f'{PHONE},,"vip"x,', "it is not CSV (',' expected after '\"')"),
        (f"{PHONE},,{'x' * 2000},", "it is longer than 1,000 bytes"),
        (f"{PHONE},,a\rb,", "it holds a CR without an LF, wanted lines that end with LF or CR LF"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_spoils_no_other(row: str, reason: str) -> None:
    rows = read(f"{HEADER}79990000000,,,\n{row}\n79990000001,,,\n".encode())
    [bad] = rows.bad
    assert bad.line == 3
    assert bad.reason.startswith(reason)
    assert [one.phone for one in rows.good] == ["79990000000", "79990000001"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"79991234567,vip\n", "a column '79991234567'"),
        (b"phone,colour\n", "a column 'colour'"),
        (b"phone,phone\n", "a column 'phone' twice"),
        (b"tag\n", "no column phone"),
        (b"\xff\xfep\0h\0", "UTF-16"),
        (b"\xd2\xe5\xeb;tag\n", "it is not utf-8"),
        (b'"phone\n', "a quote is not closed"),
        (b"phone,tag\r79991234567,vip\r", "it holds a CR without an LF, wanted lines that end with LF or CR LF"),
        (b"PK\3\4" + b"\0" * 5000, "header"),
    ],
)
def test_a_file_of_something_else_is_refused_as_a_whole(data: bytes, said: str) -> None:
    with pytest.raises(NotClients, match=said):
        read(data)


@given(st.data())
def test_it_does_not_matter_in_which_pieces_a_file_comes(data: st.DataObject) -> None:
    whole = f"{HEADER}{PHONE},,Ж,\r\nbad,,\r\n{'x' * 1500}\r\n79990000000,916,,UTC".encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(*pieces) == read(whole)


def test_of_a_line_without_an_end_hardly_anything_is_kept() -> None:
    reader = RowReader()
    reader.feed(b"phone\n")
    for _ in range(100):
        reader.feed(b"7" * 100_000)
        assert len(reader._lines._rest) <= 1001
    assert reader.feed(b"\n79991234567\n").bad[0].line == 2


# -- and back


@given(st.from_regex(TAG_PATTERN, fullmatch=True).filter(is_tag) | st.sampled_from(["=1+1", "'=a", "@", "-", '"', ","]))
def test_what_goes_out_comes_in_again(tag: str) -> None:
    client = Client(id=1, phone=PHONE, operator_code="921", tag=tag, timezone="Asia/Omsk")
    assert read(exporting.HEADER, exporting.lines([client])) == Rows([Given(PHONE, "921", tag, "Asia/Omsk")], [])


@pytest.mark.parametrize("tag", ["=1+1", "+vip", "-", "@home", "'=1"])
def test_no_spreadsheet_takes_a_tag_for_a_formula(tag: str) -> None:
    client = Client(id=1, phone=PHONE, operator_code="921", tag=tag, timezone="UTC")
    cell = exporting.lines([client]).decode().split(",")[2]
    assert cell == f"'{tag}"


# -- over HTTP


async def test_an_import_adds_changes_and_reports(admin: Administered) -> None:
    await admin.client("79990000001", tag="vip", timezone="Asia/Omsk")
    await admin.client("79990000002", tag="vip")
    rows = "79990000001,vip\n79990000002,new\n79990000003,\nwrong,x\n79990000003,again\n"
    status, report = await admin.import_csv(f"phone,tag\n{rows}")
    assert status == 200
    assert report == {
        "rows": 5,
        "new": 1,
        "changed": 2,
        "unchanged": 1,
        "bad": 1,
        "errors": [{"line": 5, "reason": "phone must be a phone number such as 79991234567"}],
        "dry_run": False,
    }
    found = (await admin.done("GET", "/clients"))["clients"]
    assert [(c["phone"][-1], c["tag"], c["timezone"]) for c in found] == [
        ("1", "vip", "Asia/Omsk"),
        ("2", "new", "Europe/Moscow"),
        ("3", "again", "Europe/Moscow"),
    ]


@pytest.mark.parametrize(("mailings", "tasks", "rows"), [(0, 250, 1_000), (1, 250, 250), (2, 250, 125), (2, 1, 1)])
async def test_the_more_mailings_run_the_fewer_clients_change_in_one_transaction(
    admin: Administered, mailings: int, tasks: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AT_ONCE", tasks)
    await admin.client()
    for _ in range(mailings):
        await admin.mailing()
    await admin.mailing(**admin.an_hour(begins_in=86_400))  # nothing of it waits yet
    await settled(admin)
    sizes, clients = [], Clients(admin.database, timezone="UTC", clock=admin.clock)
    take = clients.take

    async def noting(given: Sequence[Given], *, dry_run: bool = False) -> Taken:
        sizes.append(len(given))
        return await take(given, dry_run=dry_run)

    monkeypatch.setattr(clients, "take", noting)
    import_ = ClientImport(clients, on_bad=lambda _: None)
    await import_.feed((HEADER + "".join(f"7999{n:07},,,\n" for n in range(3 * rows // 2))).encode())
    report = await import_.end()
    assert (report.rows, report.new, max(sizes)) == (3 * rows // 2, 3 * rows // 2, rows)


async def test_what_was_stored_of_a_thousand_rows_before_it_failed_is_counted(
    admin: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.client()
    await admin.mailing()
    await settled(admin)
    clients, calls = Clients(admin.database, timezone="UTC", clock=admin.clock), 0
    take = clients.take

    async def failing(given: Sequence[Given], *, dry_run: bool = False) -> Taken:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreUnavailable("full")
        return await take(given, dry_run=dry_run)

    monkeypatch.setattr(clients, "take", failing)
    import_ = ClientImport(clients, on_bad=lambda _: None)
    with pytest.raises(StoreUnavailable):
        await import_.feed((HEADER + "".join(f"7999{n:07},,,\n" for n in range(3_000))).encode())
    assert (import_.report.rows, import_.report.new) == (500, 500)
    assert await admin.database.read(store.count) == 501


async def test_the_same_file_changes_nothing_the_second_time(admin: Administered) -> None:
    body = HEADER + "".join(f"7999{n:07},,,\n" for n in range(2500))
    assert (await admin.import_csv(body))[1]["new"] == 2500
    assert (await admin.import_csv(body))[1]["unchanged"] == 2500


async def test_a_dry_run_only_tells(admin: Administered) -> None:
    _, report = await admin.import_csv(f"phone\n{PHONE}\nbad\n", dry_run="true")
    assert (report["new"], report["bad"], report["dry_run"]) == (1, 1, True)
    assert (await admin.done("GET", "/clients"))["clients"] == []


async def test_all_bad_rows_are_counted_and_as_many_listed_as_asked_for(admin: Administered) -> None:
    _, report = await admin.import_csv("phone\n" + "bad\n" * 30, errors="2")
    assert report["bad"] == 30
    assert [bad["line"] for bad in report["errors"]] == [2, 3]


async def test_what_is_no_csv_of_clients_is_refused(admin: Administered) -> None:
    status, answer = await admin.import_csv("colour\nred\n")
    assert (status, [*answer["errors"]]) == (422, ["body"])
    async with admin.http.post("/clients/import", json={}, headers=admin.token()) as response:
        assert response.status == 415
    assert (await admin.import_csv("phone\n", encoding="zip"))[0] == 422


async def test_a_body_over_the_limit_is_refused_and_what_was_read_before_stays(admin: Administered) -> None:
    async def many() -> AsyncIterator[bytes]:
        yield b"phone\n"
        for number in range(100):
            yield b"".join(b"7%010d\n" % (number * 1000 + n) for n in range(1000))

    status, answer = await admin.import_csv(many())
    assert status == 413
    assert "what was read before is kept" in answer["description"]
    assert (await admin.done("GET", "/clients"))["clients"]
    status, answer = await admin.import_csv(io.BytesIO(b"phone\n" + b"\n" * (1 << 20)))
    assert status == 413
    assert "nothing of it was read" in answer["description"]


async def test_in_maintenance_nothing_is_taken_in(admin: Administered) -> None:
    admin.maintenance.set(on=True, reason="backup")
    async with admin.http.post(
        "/clients/import", data="phone\n", headers={**admin.token(), "Content-Type": "text/csv"}
    ) as response:
        assert (response.status, await response.text()) == (503, "")


async def test_maintenance_that_begins_ends_an_import(admin: Administered) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"phone\n" + b"".join(b"7999%07d\n" % n for n in range(2000))
        while not (await admin.done("GET", "/clients"))["clients"]:
            await asyncio.sleep(0.01)
        admin.maintenance.set(on=True, reason="backup")
        yield b"79990009999\n"

    status, answer = await admin.import_csv(body())
    assert status == 503
    assert "maintenance began; what was read before is kept" in answer["description"]


async def test_a_store_that_cannot_take_more_is_told_with_what_is_kept(admin: Administered) -> None:
    body = "phone\n" + "".join(f"7999{n:07}\n" for n in range(1500))
    async with Locked(admin.database):
        status, answer = await admin.import_csv(body)
    assert status == 503
    assert answer["code"] == "store_unavailable"
    assert "0 rows" in answer["description"]


async def test_a_client_that_leaves_in_the_middle_leaves_what_was_read(admin: Administered) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"phone\n" + b"".join(b"7999%07d\n" % n for n in range(2000))
        await asyncio.sleep(3600)

    sending = asyncio.create_task(admin.import_csv(body()))
    while not (await admin.done("GET", "/clients"))["clients"]:
        await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.wait([sending])
    assert (await admin.import_csv(HEADER))[0] == 200


async def test_an_export_holds_all_and_can_be_taken_in(admin: Administered) -> None:
    rows = [f"7999{n:07},999,,Europe/Moscow" for n in range(2500)]
    body = "\r\n".join(["phone,operator_code,tag,timezone", *rows, ""])
    await admin.import_csv(body)
    assert await admin.exported() == body
    assert (await admin.import_csv(await admin.exported()))[1]["unchanged"] == 2500


async def test_an_export_of_some_holds_those(admin: Administered) -> None:
    await admin.client("79990000001", tag="vip")
    await admin.client("79990000002")
    assert (await admin.exported(tag="vip")).splitlines()[1:] == ["79990000001,999,vip,Europe/Moscow"]
    assert (await admin.exported(tag="nobody")).splitlines()[1:] == []


class BreakingOff(Clients):
    """Gives out one page, and then the disk is gone."""

    async def all_pages(self, wanted: Wanted) -> AsyncIterator[list[Client]]:
        yield [Client(id=1, phone=PHONE, operator_code="999", timezone="UTC")]
        raise StoreUnavailable("the database is closed")


async def test_an_export_that_breaks_off_does_not_look_whole(
    admin: Administered, aiohttp_client: AiohttpClient
) -> None:
    api = ClientsApi(BreakingOff(admin.database, timezone="UTC"), admin.maintenance, import_limit=1)
    app = web.Application()
    app.router.add_get("/", without_a_query(api.export_clients))
    client = await aiohttp_client(app)
    with pytest.raises(ClientPayloadError):
        async with client.get("/") as response:
            await response.read()


def without_a_query(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        request["querystring"] = {}
        return await handler(request)

    return handle
