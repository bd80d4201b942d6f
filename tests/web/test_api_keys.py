from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vestnik.errors import Conflict, NotFound
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade
from vestnik.web import api_keys
from vestnik.web.api_keys import CACHED, ApiKey, KeyRing

NOW = 1_800_000_000.0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(tmp_path / "v.db")
    await found.open()
    await found.maintain(upgrade)
    yield found
    await found.close()


async def create(database: Database, name: str = "shop") -> tuple[ApiKey, str]:
    return await database.write(lambda c: api_keys.create(c, name, NOW))


async def only(database: Database) -> ApiKey:
    [found] = await database.read(api_keys.list_all)
    return found


async def test_a_key_is_verified_and_noted(database: Database) -> None:
    row, key = await create(database)
    assert await KeyRing(database).verify(key, NOW + 5) == row.id
    await database.write(lambda _: None)  # that is noted meanwhile
    assert (await only(database)).last_used_at == NOW + 5


async def test_the_key_itself_is_kept_nowhere(database: Database) -> None:
    _, key = await create(database)
    secret = key.partition(".")[2]
    dump = await database.read(lambda c: "\n".join(c.iterdump()))
    assert secret not in dump
    assert key.startswith("vk_")
    assert len(secret) >= 43


async def test_a_name_is_taken_once(database: Database) -> None:
    await create(database)
    with pytest.raises(Conflict, match="there is a key called 'shop' already"):
        await create(database)
    assert (await only(database)).name == "shop"


async def test_wrong_keys_are_nobodys(database: Database) -> None:
    row, key = await create(database)
    ring = KeyRing(database)
    wrong = ["", ".", key[:-1], key + "x", row.id, f"{row.id}.", key.upper(), f" {key}", "vk_000000000000.x"]
    for found in (*wrong, "ключ", "\udcff", key + "\udcff"):
        assert await ring.verify(found, NOW) is None
    assert (await only(database)).last_used_at is None


async def test_a_revoked_key_stops_within_a_second(database: Database) -> None:
    row, key = await create(database)
    ring = KeyRing(database)
    assert await ring.verify(key, NOW) == row.id
    await database.write(lambda c: api_keys.revoke(c, "shop", NOW))
    assert await ring.verify(key, NOW + CACHED + 0.001) is None
    assert await ring.verify(key, NOW + CACHED + 0.002) is None
    assert await KeyRing(database).verify(key, NOW) is None


async def test_a_clock_that_is_set_back_keeps_no_revoked_key(database: Database) -> None:
    _, key = await create(database)
    ring = KeyRing(database)
    assert await ring.verify(key, NOW)
    await database.write(lambda c: api_keys.revoke(c, "shop", NOW))
    assert await ring.verify(key, NOW - 3600) is None


async def test_a_key_is_asked_of_the_database_once_a_second(database: Database) -> None:
    _, key = await create(database)
    ring = KeyRing(database)
    assert await ring.verify(key, NOW)
    seen: list[str] = []
    await database.read(lambda c: c.set_trace_callback(seen.append))
    for step in range(100):
        assert await ring.verify(key, NOW + step / 101)
    assert seen == []
    assert await ring.verify(key, NOW + CACHED)
    assert len(seen) == 1


async def test_a_key_is_known_without_asking_for_a_second_after_it_was_found_right(database: Database) -> None:
    row, key = await create(database)
    ring = KeyRing(database)
    assert ring.known(key, NOW) is None
    await ring.verify(key, NOW)
    for now, known in [(0.0, True), (CACHED - 0.001, True), (CACHED, False), (-0.001, False), (-3600, False)]:
        assert (ring.known(key, NOW + now) == row.id) is known, now
    for other in ("", row.id, key[:-1], key + "x", key.upper(), f" {key}", "ключ", key + "\udcff"):
        assert ring.known(other, NOW) is None


async def test_a_key_is_not_known_any_more_once_it_was_found_revoked(database: Database) -> None:
    _, key = await create(database)
    ring = KeyRing(database)
    await ring.verify(key, NOW)
    await database.write(lambda c: api_keys.revoke(c, "shop", NOW))
    assert await ring.verify(key, NOW + CACHED) is None
    assert ring.known(key, NOW) is None


async def test_a_key_works_while_the_disk_is_full(database: Database) -> None:
    row, key = await create(database)
    pages = await database.maintain(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await database.maintain(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())
    await database.maintain(lambda c: c.execute("PRAGMA query_only = 1"))
    assert await KeyRing(database).verify(key, NOW) == row.id


async def test_revoking_is_by_name_or_id_and_keeps_its_time(database: Database) -> None:
    row, _ = await create(database)
    await database.write(lambda c: api_keys.revoke(c, row.id, NOW + 1))
    await database.write(lambda c: api_keys.revoke(c, "shop", NOW + 2))
    assert (await only(database)).revoked_at == NOW + 1
    with pytest.raises(NotFound, match="there is no key 'none'"):
        await database.write(lambda c: api_keys.revoke(c, "none", NOW))
