"""Mailings in any order of events: made, expanded, claimed, ended, changed, deleted, with clients that come meanwhile.

Every transaction of the loops is a step of its own, so whatever a crash or another loop can come between is tried.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from deliveries import NOW, POLICY, counts_agree
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from vestnik.delivery.model import Deferred, Delivered, Outcome, RefusedForGood, Task, settle
from vestnik.delivery.store import claims, expiry
from vestnik.delivery.store.settlements import settle_all
from vestnik.mailings import running
from vestnik.mailings.model import Audience, Mailing
from vestnik.mailings.store import closing, expansion, following, mailings, waiting
from vestnik.mailings.windows import LocalInterval
from vestnik.storage.migrations.upgrade import upgrade

LONG = os.environ.get("VESTNIK_TORTURE") == "1"
HOUR = 3600.0
AHEAD = 600.0
ZONES = st.sampled_from(["UTC", "Europe/Moscow", "Asia/Vladivostok", "America/St_Johns"])
TAGS = st.sampled_from(["a", "b"])
CHANNELS = st.sampled_from(["sms", "other"])
INTERVALS = st.none() | st.tuples(st.integers(0, 23), st.integers(1, 23)).map(
    lambda pair: LocalInterval(time(pair[0]), time((pair[0] + pair[1]) % 24))
)
AUDIENCES = st.sampled_from([Audience(), Audience(tags=("a",)), Audience(tags=("b",))])
OUTCOMES = st.sampled_from([Delivered(), RefusedForGood("no"), Deferred("down")])


class MailingMachine(RuleBasedStateMachine):
    template: sqlite3.Connection

    @initialize(at=st.integers(0, 23), interval=INTERVALS)
    def begin(self, at: int, interval: LocalInterval | None) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.template.backup(self.connection)
        self.now = NOW + at * HOUR
        self.ids = iter(range(1, 1 << 40))
        self.phones = iter(range(79990000000, 79999999999))
        self.running: list[Task] = []
        # What every story begins with: some clients here and there, and a mailing that runs.
        for zone, tag in (("UTC", "a"), ("Europe/Moscow", "b"), ("Asia/Vladivostok", "a")):
            self.clients_come(zone, tag, 2)
        self.a_mailing_is_made(0.0, 30, Audience(), interval)
        self.the_daemon_has_time()

    def teardown(self) -> None:
        if hasattr(self, "connection"):
            self.all_comes_to_an_end()
            self.connection.close()

    # -- what people do

    @rule(zone=ZONES, tag=TAGS, number=st.integers(1, 3))
    def clients_come(self, zone: str, tag: str, number: int) -> None:
        insert = """
            INSERT INTO client (phone, operator_code, tag, timezone, created_at, changed_at)
            VALUES (?, '999', ?, ?, 0, 0)
        """
        self.connection.executemany(insert, [(str(next(self.phones)), tag, zone) for _ in range(number)])

    @rule(data=st.data(), zone=ZONES)
    def one_client_moves(self, data: st.DataObject, zone: str) -> None:
        rows = self.connection.execute("SELECT id FROM client ORDER BY id").fetchall()
        client_id, phone = data.draw(st.sampled_from(rows))["id"], str(next(self.phones))
        self.connection.execute("UPDATE client SET timezone = ?, phone = ? WHERE id = ?", (zone, phone, client_id))
        waiting.readdress(self.connection, client_id, phone)
        waiting.follow(self.connection, [client_id], self.now)
        self._then(data, "sms")

    @rule(
        begins=st.sampled_from([-HOUR, 0.0, AHEAD / 2, 2 * AHEAD]),
        hours=st.integers(2, 40),
        audience=AUDIENCES,
        interval=INTERVALS,
    )
    def a_mailing_is_made(self, begins: float, hours: int, audience: Audience, interval: LocalInterval | None) -> None:
        start = self.now + begins
        mailings.insert(
            self.connection,
            Mailing(
                id=0,
                channel="sms",
                text="first",
                start_at=start,
                end_at=start + hours * HOUR,
                audience=audience,
                interval=interval,
            ),
        )

    @precondition(lambda self: self.open_mailings())
    @rule(
        data=st.data(),
        what=st.sampled_from(["text", "channel", "end_at", "audience", "interval", "delete"]),
    )
    def one_is_changed(self, data: st.DataObject, what: str) -> None:
        old = data.draw(st.sampled_from(self.open_mailings()))
        if what == "delete":
            mailings.delete(self.connection, old.id, self.now)
            running.apply_delete(self.connection, old)
            return self._then(data, old.channel)
        choices: dict[str, st.SearchStrategy[Any]] = {
            "text": st.sampled_from(["first", "second"]),
            "channel": CHANNELS,
            "end_at": st.integers(1, 40).map(lambda hours: max(self.now, old.start_at) + hours * HOUR / 2),
            "audience": AUDIENCES,
            "interval": INTERVALS,
        }
        change: dict[str, Any] = {what: data.draw(choices[what])}
        new = replace(old, **change)
        mailings.update(self.connection, new)
        running.apply_change(self.connection, old, new)
        return self._then(data, new.channel)

    def _then(self, data: st.DataObject, channel: str) -> None:
        """Often somebody is claimed soon after, and was so before; or an end comes before the daemon has had time."""
        if data.draw(st.booleans()):
            self.the_daemon_has_time()
        for task in self.running[: data.draw(st.integers(0, 2))]:
            self.running.remove(task)
            settle_all(self.connection, [(settle(task, Deferred("down"), POLICY, self.now), self.now)])
        self.time_passes(data.draw(st.sampled_from([0.0, 60.0, HOUR])))
        self.the_sweeper_comes()
        self.some_are_claimed(channel, 4)

    def open_mailings(self) -> list[Mailing]:
        found = [mailings.mailing_of(row) for row in self.connection.execute("SELECT * FROM mailing ORDER BY id")]
        return [mailing for mailing in found if mailing.deleted_at is None and mailing.end_at > self.now]

    # -- what the daemon does

    @rule()
    def one_transaction_of_the_expansion(self) -> None:
        for mailing_id, _ in expansion.unfinished(self.connection, self.now, AHEAD)[:1]:
            expansion.expand(self.connection, mailing_id, [next(self.ids) for _ in range(expansion.IDS)], self.now)

    @rule()
    def one_transaction_of_a_change(self) -> None:
        for mailing_id in following.behind(self.connection)[:1]:
            following.step(self.connection, mailing_id, self.now)

    @rule()
    def one_transaction_of_closing_windows(self) -> None:
        closing.move(self.connection, self.now)

    @rule()
    def the_daemon_has_time(self) -> None:
        """For all that is to be done."""
        while following.behind(self.connection):
            self.one_transaction_of_a_change()
        while expansion.unfinished(self.connection, self.now, AHEAD):
            self.one_transaction_of_the_expansion()
        while closing.move(self.connection, self.now):
            pass

    @rule()
    def the_sweeper_comes(self) -> None:
        held = self.held()
        expiry.expire(self.connection, self.now, 2)
        assert self.held() == held, "the change comes first"

    def held(self) -> list[int]:
        query = "SELECT id FROM task JOIN mailing_now USING (mailing_id) WHERE held AND finished_at IS NULL ORDER BY id"
        return [row["id"] for row in self.connection.execute(query)]

    @rule(channel=CHANNELS, limit=st.integers(1, 4))
    def some_are_claimed(self, channel: str, limit: int) -> None:
        for task in claims.claim(self.connection, channel, "owner", self.now, limit).tasks:
            self.may_go(task)
            self.running.append(task)

    def may_go(self, task: Task) -> None:
        assert task.mailing_id is not None
        mailing = mailings.find(self.connection, task.mailing_id)
        assert mailing
        query = "SELECT phone, tag, timezone FROM client WHERE id = ?"
        client = self.connection.execute(query, (task.client_id,)).fetchone()
        assert mailing.start_at <= self.now < mailing.end_at
        assert mailing.deleted_at is None
        assert task.text == mailing.text
        assert task.recipient == client["phone"]
        assert not mailing.audience.tags or client["tag"] in mailing.audience.tags
        assert task.expires_at is not None
        assert self.now < task.expires_at <= mailing.end_at
        if mailing.interval:
            for moment in (self.now, task.expires_at - 1):
                local = datetime.fromtimestamp(moment, ZoneInfo(client["timezone"])).time()
                assert mailing.interval.holds(local), "outside of the window"

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=OUTCOMES)
    def one_ends(self, data: st.DataObject, outcome: Outcome) -> None:
        task = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        assert None not in settle_all(self.connection, [(settle(task, outcome, POLICY, self.now), self.now)])

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def one_is_given_back(self, data: st.DataObject) -> None:
        task = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        assert claims.give_back(self.connection, task, 0.0, self.now)

    @rule(seconds=st.sampled_from([1.0, AHEAD, HOUR, 5 * HOUR, 11 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # -- what always holds

    @invariant()
    def the_figures_are_the_rows(self) -> None:
        if hasattr(self, "connection"):
            assert counts_agree(self.connection)

    def all_comes_to_an_end(self) -> None:
        """Everybody whom a mailing is for in the end, and had been before its end, has one outcome."""
        for task in self.running:
            settle_all(self.connection, [(settle(task, Delivered(), POLICY, self.now), self.now)])
        rows = self.connection.execute("SELECT * FROM mailing").fetchall()
        self.now = max([self.now, *(row["end_at"] for row in rows)])
        while behind := following.behind(self.connection):
            following.step(self.connection, behind[0], self.now)
        while unfinished := expansion.unfinished(self.connection, self.now, AHEAD):
            ids = [next(self.ids) for _ in range(expansion.IDS)]
            expansion.expand(self.connection, unfinished[0][0], ids, self.now)
        while expiry.expire(self.connection, self.now, 500):
            pass
        assert counts_agree(self.connection)
        assert self.connection.execute("SELECT count(*) FROM task WHERE finished_at IS NULL").fetchone()[0] == 0
        for row in rows:
            mailing = mailings.mailing_of(row)
            if mailing.deleted_at is None and not row["complete"]:
                self.everybody_has_one(mailing)

    def everybody_has_one(self, mailing: Mailing) -> None:
        for client in self.connection.execute("SELECT id, tag FROM client"):
            if not mailing.audience.tags or client["tag"] in mailing.audience.tags:
                query = "SELECT count(*) FROM task WHERE mailing_id = ? AND client_id = ?"
                assert self.connection.execute(query, (mailing.id, client["id"])).fetchone()[0] == 1


def test_whatever_happens_every_client_has_one_outcome_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (expansion, following, closing):
        monkeypatch.setattr(module, "CHUNK", 2)
    monkeypatch.setattr(expansion, "IDS", 4)
    monkeypatch.setattr(expansion, "LOOKED_AT", 3)
    template = sqlite3.connect(":memory:", isolation_level=None)
    template.row_factory = sqlite3.Row
    upgrade(template)
    MailingMachine.template = template
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=2_000 if LONG else 120, stateful_step_count=40, deadline=None, suppress_health_check=checks
    )
    run_state_machine_as_test(MailingMachine, settings=chosen)
    template.close()
