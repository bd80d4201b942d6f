"""Mailings through their routes, with a clock that is set; delivery's part of it is asked for its tasks directly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from administering import Administered, at
from deliveries import NOW, message
from mailing_steps import claim, clients, end, rows, settled, states, sweep

from vestnik.delivery.model import Deferred, Delivered
from vestnik.delivery.store import cancellation, claims, intake
from vestnik.delivery.store.retention import Forgotten, forget_ended
from vestnik.mailings.sending import Sending
from vestnik.mailings.store import closing, expansion, figures, following, mailings, waiting

HOUR = 3600.0


def local(hour: int, day: int = 0) -> float:
    """That hour in the clients' zone, `day` days after the day of NOW."""
    midnight = (NOW + 3 * HOUR) // 86_400 * 86_400 - 3 * HOUR
    return midnight + day * 86_400 + hour * HOUR


async def errors(admin: Administered, mailing: dict[str, Any]) -> set[str | None]:
    return {row["error"] for row in await rows(admin, mailing)}


DAYTIME = {"from": "09:00", "to": "20:00"}


async def test_everybody_whom_it_is_for_gets_one_message(admin: Administered) -> None:
    meant = await clients(admin, 3, tag="vip", operator_code="999")
    await clients(admin, 2, first=10, tag="vip", operator_code="900")
    await clients(admin, 2, first=20, operator_code="999")
    mailing = await admin.mailing(filter={"operator_codes": ["999", "901"], "tags": ["vip"]})
    await settled(admin)
    assert [row["client_id"] for row in await rows(admin, mailing)] == meant
    assert await states(admin, mailing) == {"queued": 3}
    tasks = await claim(admin)
    assert [task.recipient for task in tasks] == ["79990000000", "79990000001", "79990000002"]
    assert {(task.text, task.mailing_id) for task in tasks} == {("Hello", mailing["id"])}
    for task in tasks:
        await end(admin, task)
    assert await states(admin, mailing) == {"delivered": 3}


async def test_it_is_expanded_ahead_of_its_start_and_nobody_is_claimed_before(admin: Administered) -> None:
    await clients(admin, 2)
    mailing = await admin.mailing(**admin.an_hour(begins_in=1000))
    await settled(admin)
    assert await rows(admin, mailing) == []
    admin.clock.now += 500
    await settled(admin)
    assert await states(admin, mailing) == {"scheduled": 2}
    assert await claim(admin) == []
    admin.clock.now += 500
    assert len(await claim(admin)) == 2


async def test_a_start_that_passed_while_nobody_looked_is_made_up(admin: Administered) -> None:
    await clients(admin, 2)
    mailing = await admin.mailing(**admin.an_hour(begins_in=1000))
    admin.clock.now += 1000 + HOUR - 1
    await settled(admin)
    assert await states(admin, mailing) == {"queued": 2}


async def test_an_end_that_passed_while_nobody_looked_is_counted(admin: Administered) -> None:
    await clients(admin, 2)
    mailing = await admin.mailing(**admin.an_hour(begins_in=1000))
    admin.clock.now += 1000 + HOUR
    await settled(admin)
    assert await states(admin, mailing) == {"expired": 2}
    assert await errors(admin, mailing) == {"the mailing ended"}
    await clients(admin, 1, first=10)
    await settled(admin)
    assert await states(admin, mailing) == {"expired": 2}, "who came after it is none of its clients"


async def test_who_comes_while_it_runs_gets_it_too(admin: Administered) -> None:
    await clients(admin, 1)
    mailing = await admin.mailing()
    await settled(admin)
    await clients(admin, 1, first=10)
    await settled(admin)
    assert await states(admin, mailing) == {"queued": 2}


@pytest.mark.parametrize("stop_after", range(5))
async def test_a_daemon_that_ends_in_the_middle_neither_repeats_nor_skips(
    admin: Administered, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "CHUNK", 2)
    monkeypatch.setattr(expansion, "LOOKED_AT", 3)
    meant = [*await clients(admin, 4, tag="a"), *await clients(admin, 3, first=10, tag="b")]
    meant += await clients(admin, 2, first=20, tag="a")
    mailing = await admin.mailing(filter={"tags": ["a"]})
    for _ in range(stop_after):
        await admin.part.sending.expand()
    # Nothing of how far it came is in memory: whoever goes on reads the same row.
    await settled(admin)
    assert [row["client_id"] for row in await rows(admin, mailing)] == [*meant[:4], *meant[7:]]


async def test_nothing_is_put_into_queues_in_maintenance(admin: Administered) -> None:
    await clients(admin, 1)
    mailing = await admin.mailing()
    admin.maintenance.set(on=True)
    sending = admin.part.sending
    sending.start()
    await sending.stop()
    assert await rows(admin, mailing) == []


async def test_nothing_is_handed_over_at_or_after_the_end(admin: Administered) -> None:
    await clients(admin, 2)
    mailing = await admin.mailing()
    await settled(admin)
    [task] = await claim(admin, 1)
    assert task.expires_at == admin.clock.now + HOUR
    admin.clock.now += HOUR
    await end(admin, task, Deferred("down"))
    assert await claim(admin) == []
    await sweep(admin)
    assert await states(admin, mailing) == {"expired": 2}
    assert (await rows(admin, mailing))[1]["error"] == "the mailing ended"


# -- the local interval


async def test_a_message_waits_for_the_clients_window(admin: Administered) -> None:
    admin.clock.now = local(3)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(12)), local_interval=DAYTIME)
    await settled(admin)
    admin.clock.now = local(9) - 0.001
    assert await claim(admin) == []
    admin.clock.now = local(9)
    assert len(await claim(admin)) == 1
    assert await states(admin, mailing) == {"running": 1}


async def test_what_did_not_go_in_its_window_waits_for_the_next_one(admin: Administered) -> None:
    admin.clock.now = local(19)
    await clients(admin, 2)
    mailing = await admin.mailing(end_at=at(local(12, day=1)), local_interval=DAYTIME)
    await settled(admin)
    [tried] = await claim(admin, 1)
    assert tried.expires_at == local(20), "it may not be handed over after its window"
    admin.clock.now = local(20) - 1
    await end(admin, tried, Deferred("down"))
    admin.clock.now = local(20)
    assert await claim(admin) == [], "before anybody has moved them"
    await settled(admin)
    assert await states(admin, mailing) == {"scheduled": 2}
    assert {row["due_at"] for row in await rows(admin, mailing)} == {local(9, day=1)}
    admin.clock.now = local(9, day=1)
    assert len(await claim(admin)) == 2


async def test_who_has_no_window_before_the_end_is_counted_as_expired_at_once(admin: Administered) -> None:
    admin.clock.now = local(21)
    await clients(admin, 2)
    mailing = await admin.mailing(end_at=at(local(9, day=1)), local_interval=DAYTIME)
    await settled(admin)
    assert await states(admin, mailing) == {"expired": 2}
    assert "opens after the end" in (await rows(admin, mailing))[0]["error"]


@pytest.mark.parametrize(
    ("looked_at", "reason"),
    [(20, "the client's next window opens after the end of the mailing"), (23, "the mailing ended")],
    ids=["when the window closes", "after the end"],
)
async def test_who_missed_the_last_window_is_counted_as_expired_and_why(
    admin: Administered, looked_at: int, reason: str
) -> None:
    admin.clock.now = local(19)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(23)), local_interval=DAYTIME)
    await settled(admin)
    admin.clock.now = local(looked_at)
    await settled(admin)
    assert await states(admin, mailing) == {"expired": 1}
    assert await errors(admin, mailing) == {reason}


@pytest.mark.parametrize("change", [None, {"local_interval": {"from": "09:00", "to": "10:00"}}])
async def test_who_expires_after_a_failure_has_its_reason(admin: Administered, change: dict[str, Any] | None) -> None:
    admin.clock.now = local(19, day=-1)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(9)), local_interval=DAYTIME)
    await settled(admin)
    [task] = await claim(admin)
    await end(admin, task, Deferred("down"))
    if change:
        await admin.done("PATCH", f"/mailings/{mailing['id']}", change)
    else:
        admin.clock.now = local(20, day=-1)
    await settled(admin)
    assert await states(admin, mailing) == {"expired": 1}
    assert await errors(admin, mailing) == {"down"}
    assert (await admin.done("GET", f"/mailings/{mailing['id']}/stats"))["reasons"] == [], "it expired"


# -- changes


async def test_a_new_text_goes_to_whoever_did_not_get_the_old_one(admin: Administered) -> None:
    await clients(admin, 3)
    mailing = await admin.mailing()
    await settled(admin)
    got, later = await claim(admin, 2)
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"text": "New"})
    await end(admin, got)
    await end(admin, later, Deferred("down"))
    admin.clock.now += 60
    assert {task.text for task in await claim(admin)} == {"New"}
    assert [row["text"] for row in await rows(admin, mailing)] == ["Hello", "New", "New"], "what each was sent last"


async def test_nothing_that_waits_goes_out_until_it_has_followed_a_change(admin: Administered) -> None:
    await clients(admin, 2)
    mailing = await admin.mailing()
    await settled(admin)
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"end_at": at(NOW + 100)})
    assert await claim(admin) == []
    await settled(admin)
    assert {task.expires_at for task in await claim(admin)} == {NOW + 100}


async def test_who_is_not_meant_any_more_is_canceled_and_who_is_now_gets_it(
    admin: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CHUNK", 2)
    await clients(admin, 3, tag="a")
    await clients(admin, 3, first=10, tag="b")
    mailing = await admin.mailing(filter={"tags": ["a"]})
    await settled(admin)
    [gone, failing] = await claim(admin, 2)
    await end(admin, gone)
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"filter": {"tags": ["b"]}})
    await settled(admin)
    assert await states(admin, mailing) == {"delivered": 1, "running": 1, "canceled": 1, "queued": 3}
    await end(admin, failing, Deferred("down"))
    assert await states(admin, mailing) == {"delivered": 1, "canceled": 2, "queued": 3}
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"filter": {"tags": []}})
    await settled(admin)
    assert sum((await states(admin, mailing)).values()) == 6, "nobody gets it twice, and an end is an end"


async def test_an_end_that_was_put_off_keeps_those_who_have_had_it_from_getting_it_twice(admin: Administered) -> None:
    await clients(admin, 2, tag="a")
    mailing = await admin.mailing(end_at=at(admin.clock.now + HOUR), filter={"tags": ["a"]})
    path = f"/mailings/{mailing['id']}"
    await settled(admin)
    for task in await claim(admin):
        await end(admin, task)
    await admin.done("PATCH", path, {"end_at": at(admin.clock.now + 100 * HOUR)})
    await settled(admin)
    admin.clock.now += 50 * HOUR
    long_ago = admin.clock.now - HOUR
    assert await admin.database.write(lambda c: forget_ended(c, long_ago, 0, 100)) == Forgotten(0, None)
    await admin.done("PATCH", path, {"filter": {"tags": ["a", "b"]}})
    await settled(admin)
    assert await claim(admin) == []
    assert await states(admin, mailing) == {"delivered": 2}


async def test_what_follows_clients_is_found_by_its_index(admin: Administered) -> None:
    changed, mailing = await clients(admin, 3), await admin.mailing()
    await settled(admin)
    values = {"clients": json.dumps(changed), "mailing": mailing["id"]}
    plan = await admin.database.read(
        lambda c: [row["detail"] for row in c.execute(f"EXPLAIN QUERY PLAN {waiting.OF_MAILING}", values)]
    )
    assert plan[0].startswith("SCAN changed")
    assert "task USING INDEX task_mailing (mailing_id=? AND client_id=?)" in plan[1]


@pytest.mark.parametrize("statement", [waiting.NOT_ENDED, figures.LATELY, mailings.BY_STATE])
async def test_mailings_that_ended_long_ago_are_not_read(admin: Administered, statement: str) -> None:
    values = {"now": NOW, "since": NOW}
    plan = await admin.database.read(
        lambda c: [row["detail"] for row in c.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    )
    assert "INDEX mailing_end" in plan[0]


async def test_an_interval_that_is_changed_moves_what_waits(admin: Administered) -> None:
    admin.clock.now = local(3)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(23)), local_interval=DAYTIME)
    await settled(admin)
    change = {"local_interval": {"from": "02:00", "to": "05:00"}}
    await admin.done("PATCH", f"/mailings/{mailing['id']}", change)
    await settled(admin)
    [task] = await claim(admin)
    assert task.expires_at == local(5)
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"local_interval": None})
    await settled(admin)
    await end(admin, task, Deferred("down"))
    admin.clock.now += 60
    [again] = await claim(admin)
    assert again.expires_at == local(23)


async def test_another_channel_takes_over_what_waits(admin: Administered) -> None:
    await clients(admin, 2)
    mailing = await admin.mailing()
    await settled(admin)
    [running] = await claim(admin, 1)
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"channel": "nowhere"})
    await settled(admin)
    assert len(await claim(admin, channel="nowhere")) == 1
    assert await claim(admin) == []
    await end(admin, running)
    assert await states(admin, mailing) == {"delivered": 1, "running": 1}


async def test_deleting_it_cancels_what_waits_and_the_figures_stay(admin: Administered) -> None:
    await clients(admin, 3)
    mailing = await admin.mailing()
    await settled(admin)
    got, failing = await claim(admin, 2)
    await end(admin, got, Delivered())
    await admin.done("DELETE", f"/mailings/{mailing['id']}")
    assert await claim(admin) == []
    await settled(admin)
    await end(admin, failing, Deferred("down"))
    assert await states(admin, mailing) == {"delivered": 1, "canceled": 2}


async def test_a_backlog_that_has_expired_does_not_hold_up_a_claim(admin: Administered) -> None:
    """Nor does it hide what is behind it, even while nobody ends what has expired."""
    first, second = claims.EXAMINED + 1, 1
    await clients(admin, first, tag="a")
    await clients(admin, second, first=first, tag="b")
    early = await admin.mailing(filter={"tags": ["a"]}, end_at=at(NOW + 10))
    await settled(admin)
    late = await admin.mailing(filter={"tags": ["b"]})
    await settled(admin)
    admin.clock.now += 10
    now = admin.clock.now
    found = await admin.database.write(lambda c: claims.claim(c, "sms", "owner", now, 1))
    assert (found.tasks, found.next_due) == ([], now)
    found = await admin.database.write(lambda c: claims.claim(c, "sms", "owner", now, 1, found.blocked))
    assert [task.mailing_id for task in found.tasks] == [late["id"]]
    await sweep(admin)
    assert await states(admin, early) == {"expired": first}


# -- windows that close in the middle of a change


@pytest.mark.parametrize("change", [None, {"filter": {"tags": ["b"]}}])
async def test_a_window_that_closes_in_the_middle_of_a_change_lets_nobody_expire_whom_it_cancels(
    admin: Administered, change: dict[str, Any] | None
) -> None:
    admin.clock.now = local(19)
    await clients(admin, 2, tag="a")
    mailing = await admin.mailing(end_at=at(local(23)), local_interval=DAYTIME)
    await settled(admin)
    await admin.done("PATCH" if change else "DELETE", f"/mailings/{mailing['id']}", change)
    admin.clock.now = local(20)
    assert not await admin.part.sending.close(), "it rests instead of asking again at once"
    assert await states(admin, mailing) == {"queued": 2}
    await settled(admin)
    assert await states(admin, mailing) == {"canceled": 2}


async def test_what_had_followed_a_change_before_its_window_closed_is_moved_when_the_rest_has(
    admin: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CHUNK", 2)
    admin.clock.now = local(19)
    await clients(admin, 3)
    mailing = await admin.mailing(end_at=at(local(12, day=1)), local_interval=DAYTIME)
    await settled(admin)
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"end_at": at(local(23, day=1))})
    await admin.database.write(lambda c: following.step(c, mailing["id"], local(19)))
    admin.clock.now = local(20)
    assert not await admin.part.sending.close()
    assert [row["closes_at"] for row in await rows(admin, mailing)] == [local(20)] * 3
    await settled(admin)
    assert [row["due_at"] for row in await rows(admin, mailing)] == [local(9, day=1)] * 3
    assert await states(admin, mailing) == {"scheduled": 3}


async def test_a_change_of_one_mailing_leaves_the_windows_of_others_alone(
    admin: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "CHUNK", 1)
    admin.clock.now = local(19)
    await clients(admin, 2)
    changed, other = [await admin.mailing(end_at=at(local(23)), local_interval=DAYTIME) for _ in range(2)]
    await settled(admin)
    await admin.done("DELETE", f"/mailings/{changed['id']}")
    admin.clock.now = local(20)
    while await admin.part.sending.close():
        pass
    assert await states(admin, changed) == {"queued": 2}
    assert await states(admin, other) == {"expired": 2}


# -- an end that comes in the middle of a change


@pytest.mark.parametrize(
    ("change", "then"),
    [
        ({"end_at": at(local(22))}, "queued"),
        (None, "canceled"),
        ({"filter": {"tags": ["b"]}}, "canceled"),
        ({"channel": "nowhere"}, "expired"),
    ],
)
async def test_an_end_that_comes_in_the_middle_of_a_change_ends_only_what_the_change_leaves(
    admin: Administered, change: dict[str, Any] | None, then: str
) -> None:
    admin.clock.now = local(20) - 1
    await clients(admin, 2, tag="a")
    mailing = await admin.mailing(end_at=at(local(20)))
    await settled(admin)
    await admin.done("PATCH" if change else "DELETE", f"/mailings/{mailing['id']}", change)
    admin.clock.now = local(20)
    await sweep(admin)
    assert await states(admin, mailing) == {"queued": 2}
    await settled(admin)
    await sweep(admin)
    assert await states(admin, mailing) == {then: 2}


# -- a change while the time is in doubt


def doubting(admin: Administered) -> Sending:
    """The clock was set forward a moment ago."""
    delivery, clock = admin.delivery.service, admin.clock
    return Sending(admin.database, delivery, ahead=0.0, held=lambda: False, in_doubt=lambda: True, clock=clock)


async def test_a_window_that_closes_while_the_time_is_in_doubt_puts_nobody_off(admin: Administered) -> None:
    admin.clock.now = local(12)
    await clients(admin, 2)
    mailing = await admin.mailing(end_at=at(local(24 + 15)), local_interval=DAYTIME)
    await settled(admin)
    admin.clock.now = local(24 + 12)  # a day too far
    assert not await doubting(admin).close()
    admin.clock.now = local(12)
    assert len(await claim(admin)) == 2, "it was noon all the time"
    assert await states(admin, mailing) == {"running": 2}


TOO_LATE = [
    ({"end_at": at(local(20))}, {"channel": "nowhere"}, local(21)),
    (
        {"end_at": at(local(21)), "local_interval": DAYTIME},
        {"local_interval": {"from": "09:00", "to": "19:00"}},
        local(20),
    ),
]


@pytest.mark.parametrize(("fields", "change", "jump"), TOO_LATE)
async def test_a_change_while_the_time_is_in_doubt_waits_for_the_right_one(
    admin: Administered, fields: dict[str, Any], change: dict[str, Any], jump: float
) -> None:
    admin.clock.now = local(12)
    await clients(admin, 2)
    mailing = await admin.mailing(**fields)
    await settled(admin)
    await admin.done("PATCH", f"/mailings/{mailing['id']}", change)
    channel = change.get("channel", "sms")
    admin.clock.now = jump
    assert not await doubting(admin).follow()
    assert await states(admin, mailing) == {"queued": 2}
    admin.clock.now = local(12)
    assert await claim(admin, channel=channel) == [], "what is changed goes out as it is changed, or not yet"
    await settled(admin)
    assert {task.expires_at for task in await claim(admin, channel=channel)} == {local(19 if channel == "sms" else 20)}


@pytest.mark.parametrize(("fields", "change", "jump"), TOO_LATE)
async def test_who_was_too_late_while_the_time_was_in_doubt_expires_when_it_is_not(
    admin: Administered, fields: dict[str, Any], change: dict[str, Any], jump: float
) -> None:
    admin.clock.now = local(12)
    await clients(admin, 2)
    mailing = await admin.mailing(**fields)
    await settled(admin)
    await admin.done("PATCH", f"/mailings/{mailing['id']}", change)
    admin.clock.now = jump
    assert not await doubting(admin).follow()
    await settled(admin)
    await sweep(admin)
    assert await states(admin, mailing) == {"expired": 2}


# -- tries under way


async def tried_while(admin: Administered, mailing: dict[str, Any], *changes: dict[str, Any]) -> None:
    """The mailing is changed while its only try is under way, which fails then."""
    [task] = await claim(admin)
    for change in changes:
        await admin.done("PATCH", f"/mailings/{mailing['id']}", change)
        await settled(admin)
    await end(admin, task, Deferred("down"))
    admin.clock.now += 60
    await settled(admin)


async def test_what_fails_after_its_interval_was_changed_waits_for_the_new_one(admin: Administered) -> None:
    admin.clock.now = local(10)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(20)))
    await settled(admin)
    await tried_while(admin, mailing, {"local_interval": {"from": "11:00", "to": "12:00"}})
    assert await claim(admin) == []
    assert await states(admin, mailing) == {"scheduled": 1}
    admin.clock.now = local(11) - 0.001
    assert await claim(admin) == []
    admin.clock.now = local(11)
    [again] = await claim(admin)
    assert again.expires_at == local(12)


async def test_what_is_given_back_after_its_interval_was_changed_waits_for_the_new_one(admin: Administered) -> None:
    admin.clock.now = now = local(10)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(20)))
    await settled(admin)
    [task] = await claim(admin)
    change = {"local_interval": {"from": "11:00", "to": "12:00"}}
    await admin.done("PATCH", f"/mailings/{mailing['id']}", change)
    await settled(admin)
    assert await admin.database.write(lambda c: claims.give_back(c, task, now, now))
    assert await claim(admin) == []
    assert await states(admin, mailing) == {"scheduled": 1}


async def test_what_fails_after_its_last_window_was_taken_away_expires(admin: Administered) -> None:
    admin.clock.now = local(10)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(20)))
    await settled(admin)
    await tried_while(admin, mailing, {"local_interval": {"from": "21:00", "to": "22:00"}})
    assert await claim(admin) == []
    await sweep(admin)
    assert await states(admin, mailing) == {"expired": 1}


async def test_an_interval_changed_and_changed_back_leaves_the_time_of_the_retry(admin: Administered) -> None:
    admin.clock.now = local(10)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(20)))
    await settled(admin)
    other = {"local_interval": {"from": "21:00", "to": "22:00"}}
    await tried_while(admin, mailing, other, {"local_interval": None})
    [again] = await claim(admin)
    assert again.expires_at == local(20)


async def test_an_interval_changed_back_after_the_failure_does_not_keep_its_window(admin: Administered) -> None:
    admin.clock.now = local(10)
    await clients(admin, 1)
    mailing = await admin.mailing(end_at=at(local(20)))
    await settled(admin)
    await tried_while(admin, mailing, {"local_interval": {"from": "19:00", "to": "19:30"}})
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"local_interval": {"from": "10:00", "to": "18:00"}})
    await settled(admin)
    [again] = await claim(admin)
    assert again.expires_at == local(18)


async def test_what_fails_after_its_client_moved_goes_by_the_new_zone(admin: Administered) -> None:
    admin.clock.now = local(10)
    [client] = await clients(admin, 1)
    await admin.mailing(end_at=at(local(12, day=1)), local_interval=DAYTIME)
    await settled(admin)
    [task] = await claim(admin)
    await admin.done("PATCH", f"/clients/{client}", {"timezone": "America/New_York"})  # 02:00 there
    await end(admin, task, Deferred("down"))
    admin.clock.now += 60
    await settled(admin)
    assert await claim(admin) == []
    admin.clock.now = local(17)
    [again] = await claim(admin)
    assert again.expires_at == local(4, day=1)


async def test_what_fails_after_its_client_got_a_new_phone_goes_there(admin: Administered) -> None:
    gone, _ = await clients(admin, 2)
    mailing = await admin.mailing()
    await settled(admin)
    failing, other = await claim(admin)
    for task in (failing, other):
        await admin.done("PATCH", f"/clients/{task.client_id}", {"phone": f"7888000000{task.client_id}"})
    await end(admin, failing, Deferred("down"))
    await end(admin, other)
    kept = await rows(admin, mailing)
    assert [row["recipient"] for row in kept] == [f"7888000000{gone}", other.recipient], "it went to the old one"
    admin.clock.now += 60
    assert [task.recipient for task in await claim(admin)] == [f"7888000000{gone}"]


async def test_who_matches_again_before_the_try_fails_is_tried_again(admin: Administered) -> None:
    await clients(admin, 1, tag="a")
    mailing = await admin.mailing(filter={"tags": ["a"]})
    await settled(admin)
    await tried_while(admin, mailing, {"filter": {"tags": ["b"]}}, {"filter": {"tags": ["a"]}})
    assert len(await claim(admin)) == 1


@pytest.mark.parametrize("when", ["before", "between"])
async def test_a_message_that_somebody_canceled_is_not_tried_again_when_its_mailing_changes(
    admin: Administered, when: str
) -> None:
    await clients(admin, 1, tag="a")
    mailing = await admin.mailing(filter={"tags": ["a"]})
    await settled(admin)
    [task] = await claim(admin)
    if when == "before":
        await admin.database.write(lambda c: cancellation.cancel(c, task.message_id, admin.clock.now))
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"filter": {"tags": ["b"]}})
    await settled(admin)
    if when == "between":
        await admin.database.write(lambda c: cancellation.cancel(c, task.message_id, admin.clock.now))
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"filter": {"tags": ["a"]}})
    await settled(admin)
    await end(admin, task, Deferred("down"))
    assert await states(admin, mailing) == {"canceled": 1}


# -- changed wrong and right again, before anything was tried


@pytest.mark.parametrize(
    ("wrong", "right", "so_far"),
    [
        ({"filter": {"tags": ["b"]}}, {"filter": {"tags": ["a"]}}, "canceled"),
        ({"filter": {"operator_codes": ["1"]}}, {"filter": {"operator_codes": []}}, "canceled"),
        ({"local_interval": {"from": "01:00", "to": "02:00"}}, {"local_interval": DAYTIME}, "expired"),
    ],
)
async def test_before_the_first_try_a_wrong_change_can_be_taken_back(
    admin: Administered, wrong: dict[str, Any], right: dict[str, Any], so_far: str
) -> None:
    admin.clock.now = local(10)
    first, _ = await clients(admin, 2, tag="a")
    mailing = await admin.mailing(**admin.an_hour(begins_in=500), filter={"tags": ["a"]})
    await settled(admin)
    path = f"/mailings/{mailing['id']}"
    await admin.done("PATCH", path, wrong)
    await settled(admin)
    assert await states(admin, mailing) == {so_far: 2}
    await admin.done("PATCH", f"/clients/{first}", {"phone": "78880000000"})
    await admin.done("PATCH", path, {**right, "channel": "nowhere"})
    await settled(admin)
    assert await states(admin, mailing) == {"scheduled": 2}
    assert (await admin.done("GET", f"{path}/stats"))["over_time"] == []
    assert await claim(admin, channel="nowhere") == []
    admin.clock.now += 500
    assert [task.recipient for task in await claim(admin, channel="nowhere")] == ["78880000000", "79990000001"]


async def test_once_something_was_tried_an_end_is_an_end(admin: Administered) -> None:
    await clients(admin, 1, tag="a")
    await clients(admin, 1, first=10, tag="b")
    mailing = await admin.mailing()
    await settled(admin)
    [task] = await claim(admin, 1)
    await end(admin, task)
    for tags in (["a"], []):
        await admin.done("PATCH", f"/mailings/{mailing['id']}", {"filter": {"tags": tags}})
        await settled(admin)
    assert await states(admin, mailing) == {"delivered": 1, "canceled": 1}


async def test_what_somebody_canceled_or_sent_again_is_not_taken_back(admin: Administered) -> None:
    await clients(admin, 2, tag="a")
    mailing = await admin.mailing(**admin.an_hour(begins_in=500))
    await settled(admin)
    canceled, resent = await rows(admin, mailing)
    await admin.database.write(lambda c: cancellation.cancel(c, canceled["message_id"], admin.clock.now))
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"filter": {"tags": ["b"]}})
    await settled(admin)
    again = message("sms", recipients=[resent["recipient"]], parent_id=resent["message_id"])
    await admin.database.write(lambda c: intake.register(c, again))
    await admin.done("PATCH", f"/mailings/{mailing['id']}", {"filter": {"tags": []}})
    await settled(admin)
    assert await states(admin, mailing) == {"canceled": 2}
