"""What the rows tell, in the order of time."""

from __future__ import annotations

from deliveries import NOW, claimed, ended, stored

from vestnik.delivery.model import Deferred, Delivered, MessageId, RefusedForGood
from vestnik.delivery.store import cancellation, claims, settlements, trace
from vestnik.delivery.store.trace import Event, Kind, Subject
from vestnik.storage.database import Connection


def events(connection: Connection, kind: Kind, id_: int, limit: int = 100) -> list[Event]:
    return list(trace.events(connection, Subject(kind, id_), limit))


def story(found: list[Event]) -> list[tuple[float, str]]:
    return [(event.at - NOW, event.name) for event in found]


def test_a_message_is_told_from_registered_to_ended(connection: Connection) -> None:
    new = stored(connection, due_at=NOW + 10, recipients=["a"], subject="S", sender="vk_1", parent_id=MessageId(3))
    first = claimed(connection, now=NOW + 11)
    settlements.settle(connection, ended(first, Deferred("down"), now=NOW + 12), NOW + 12)
    second = claimed(connection, now=NOW + 60)
    settlements.settle(connection, ended(second, Delivered("m-7")), NOW + 61)

    found = events(connection, Kind.MESSAGE, new.id)

    assert story(found) == [
        *((0, "registered"), (10, "due"), (11, "claimed"), (12, "deferred")),
        *((60, "claimed"), (61, "delivered"), (61, "ended")),
    ]
    said = {"channel": "alerts", "message": new.id, "sender": "vk_1", "parent": 3, "subject": "S", "text": "Hello"}
    assert found[0].fields == said
    assert (found[3].fields["detail"], found[5].fields["detail"]) == ("down", "m-7")
    assert [found[n].fields["attempt"] for n in (2, 3, 4, 5)] == [1, 1, 2, 2]
    assert (found[6].fields["state"], found[6].fields["recipient"]) == ("delivered", "a")


def test_events_of_one_moment_stand_in_the_order_in_which_they_happened(connection: Connection) -> None:
    new = stored(connection)
    settlements.settle(connection, ended(claimed(connection), RefusedForGood("no")), NOW)
    told = ["registered", "due", "claimed", "refused", "ended"]
    assert [event.name for event in events(connection, Kind.MESSAGE, new.id)] == told


def test_what_is_under_way_shows_its_claim_and_a_cancellation_that_was_asked_for(connection: Connection) -> None:
    new = stored(connection)
    claimed(connection, now=NOW + 1)
    cancellation.cancel(connection, new.id, NOW + 2)
    last = events(connection, Kind.MESSAGE, new.id)[-1]
    assert (last.at - NOW, last.name) == (1, "claimed")
    assert (last.fields["state"], last.fields["cancel_requested"]) == ("running", 1)


def test_what_waits_shows_when_it_goes_on_and_when_it_ends(connection: Connection) -> None:
    new = stored(connection, expires_at=NOW + 99)
    settlements.settle(connection, ended(claimed(connection), Deferred("down"), now=NOW), NOW)
    found = events(connection, Kind.MESSAGE, new.id)
    assert story(found)[-2:] == [(30, "due again"), (99, "expires")]
    assert (found[-2].fields["state"], found[-2].fields["detail"]) == ("deferred", "down")


def test_a_claim_that_was_given_back_is_counted(connection: Connection) -> None:
    new = stored(connection)
    claims.give_back(connection, claimed(connection), NOW + 5, NOW)
    assert events(connection, Kind.MESSAGE, new.id)[-1].fields["given_back"] == 1


def test_a_mailing_and_a_client_have_the_events_of_their_tasks(connection: Connection) -> None:
    first, second = (stored(connection, mailing_id=mailing, client_id=9) for mailing in (1, 2))
    stored(connection)
    assert {event.fields["message"] for event in events(connection, Kind.MAILING, 1)} == {first.id}
    assert {event.fields["message"] for event in events(connection, Kind.CLIENT, 9)} == {first.id, second.id}
    assert trace.states(connection, Subject(Kind.CLIENT, 9)) == {"queued": 2}
    assert trace.states(connection, Subject(Kind.MAILING, 1)) == {"queued": 1}
    assert trace.belongs(connection, first.id, Subject(Kind.MAILING, 1))
    assert not trace.belongs(connection, second.id, Subject(Kind.MAILING, 1))


def test_no_more_than_the_limit_and_no_open_transaction(connection: Connection) -> None:
    new = stored(connection)
    found = trace.events(connection, Subject(Kind.MESSAGE, new.id), 1)
    assert next(found).name == "registered"
    assert not connection.in_transaction
    assert next(found, None) is None


def test_a_message_nobody_knows_has_no_events(connection: Connection) -> None:
    assert events(connection, Kind.MESSAGE, 5) == []


def test_every_subject_is_found_by_an_index(connection: Connection) -> None:
    for kind in Kind:
        statement = trace._COPY.format(of=f"{kind}_id").replace("CREATE TEMP TABLE event AS", "EXPLAIN QUERY PLAN")
        plan = [row["detail"] for row in connection.execute(statement, {"id": 1, "limit": 1})]
        assert not [step for step in plan if step.startswith("SCAN")], plan
