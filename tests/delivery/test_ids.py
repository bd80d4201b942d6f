from __future__ import annotations

from deliveries import NOW, SetClock
from hypothesis import given
from hypothesis import strategies as st

from vestnik.delivery.ids import EPOCH, MAX_NODE, RESERVE, IdFactory


def test_ids_grow_with_time(clock: SetClock) -> None:
    ids = IdFactory(clock)
    first = ids.next()
    clock.now += 0.001
    assert ids.next() > first
    assert first >> 12 == int((NOW - EPOCH) * 1000)


def test_a_hundred_thousand_in_one_millisecond_are_all_different_and_in_order(clock: SetClock) -> None:
    ids = IdFactory(clock)
    made = [ids.next() for _ in range(100_000)]
    assert len(set(made)) == 100_000
    assert made == sorted(made)


def test_borrowed_milliseconds_are_not_given_out_again(clock: SetClock) -> None:
    ids = IdFactory(clock)
    made = [ids.next() for _ in range(1000)]
    clock.now += 0.002
    made += [ids.next() for _ in range(1000)]
    assert len(set(made)) == 2000
    assert made == sorted(made)


def test_a_clock_that_was_set_back_brings_no_id_again(clock: SetClock) -> None:
    ids = IdFactory(clock)
    before = [ids.next() for _ in range(300)]
    clock.now -= 3600
    assert min(ids.next() for _ in range(300)) > max(before)


def test_ids_lie_above_the_ceiling_of_the_last_start(clock: SetClock) -> None:
    ceiling = IdFactory(clock).next() + RESERVE
    clock.now -= 86_400
    assert IdFactory(clock, above=ceiling).next() > ceiling


def test_a_clock_before_the_epoch_makes_ids_all_the_same() -> None:
    ids = IdFactory(SetClock(0.0))
    assert 0 < ids.next() < ids.next()


def test_ids_fit_into_a_json_number_until_2094() -> None:
    in_2094 = 3_913_056_000.0
    assert IdFactory(SetClock(in_2094), node=MAX_NODE).next() < 1 << 53


def test_daemons_with_different_numbers_never_make_the_same_id(clock: SetClock) -> None:
    made: set[int] = set()
    for node in range(MAX_NODE + 1):
        ids = IdFactory(clock, node=node)
        made |= {ids.next() for _ in range(1000)}
    assert len(made) == 1000 * (MAX_NODE + 1)


@given(st.lists(st.tuples(st.floats(-3600, 3600), st.integers(1, 600)), max_size=8))
def test_no_walk_of_the_clock_repeats_or_reorders_ids(walk: list[tuple[float, int]]) -> None:
    clock = SetClock()
    ids = IdFactory(clock)
    made = []
    for step, count in walk:
        clock.now += step
        made += [ids.next() for _ in range(count)]
    assert made == sorted(set(made))
