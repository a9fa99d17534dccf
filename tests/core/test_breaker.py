"""The breaker of a destination, by tables and against a simple model of what it promises."""

from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.breaker import (
    Allowed,
    Breaker,
    SendResult,
    allow,
    count,
    fails_alone,
    next_instant,
    oldest_first,
    retry_since,
    send_probe,
    spare,
)
from bridge.core.retry import Policy

NOW = 1_714_550_400_000
SECOND, MINUTE = 1_000, 60_000
POLICY = Policy()
FIRST = SendResult(lane=1, failed=True, first=True)
AGAIN = SendResult(lane=1, failed=True)
THROUGH = SendResult(lane=1, through=True)
NEITHER = SendResult(lane=1)


def after(*sends, state=None, now=NOW, policy=POLICY):
    """Settle sends one by one, a millisecond apart."""
    state = Breaker() if state is None else state
    for number, send in enumerate(sends):
        state = count(state, [send], now + number, policy)
    return state


OPEN = after(*[FIRST] * 5)
OPENED = NOW + 4


# --- opening


@pytest.mark.parametrize(
    ("sends", "is_open"),
    [
        ([FIRST] * 4, False),
        ([FIRST] * 5, True),
        ([AGAIN] * 50, False),
        ([FIRST] * 4 + [AGAIN] * 50, False),
        ([FIRST] * 4 + [THROUGH] + [FIRST] * 4, False),
        ([FIRST] * 4 + [NEITHER] + [FIRST], True),
        ([THROUGH, AGAIN] * 20 + [FIRST] * 4, False),
    ],
)
def test_lanes_that_fail_for_the_first_time_in_a_row_open_it(sends, is_open):
    state = after(*sends)
    assert bool(state.opened) is is_open
    assert allow(state, NOW + 100, POLICY) is (Allowed.NONE if is_open else Allowed.ALL)


def test_those_that_fail_together_open_it_no_longer_than_one():
    state = count(Breaker(), [FIRST] * 32, NOW, POLICY)
    assert (state.failures, state.anyone_at) == (32, NOW + 10 * SECOND)


def test_what_comes_through_with_them_counts_more():
    assert count(Breaker(), [*[FIRST] * 32, THROUGH], NOW, POLICY) == Breaker()


def test_no_breaker():
    assert not after(*[FIRST] * 99, policy=replace(POLICY, breaks_after=0)).opened


@pytest.mark.parametrize(
    ("later", "needed"),
    [(-1, 5), (0, 20), (10 * MINUTE - 1, 20), (10 * MINUTE, 5)],
)
def test_after_it_closed_it_takes_more_to_open_it_again(later, needed):
    closed = count(OPEN, [THROUGH], NOW, POLICY)
    assert (closed.closed, closed.opened) == (NOW, 0)
    at = NOW + later
    assert not count(closed, [FIRST] * (needed - 1), at, POLICY).opened
    assert count(closed, [FIRST] * needed, at, POLICY).opened == at


# --- probes


def test_probes_are_ever_further_apart():
    state, at = OPEN, OPENED
    for pause in (10, 20, 40, 60, 60, 60):
        at += pause * SECOND
        assert allow(state, at - 1, POLICY) is (Allowed.NONE if pause > 10 else Allowed.NEWCOMER)
        assert next_instant(state, at - 1) == at
        assert allow(state, at, POLICY) is Allowed.ONE
        assert next_instant(state, at) == 0
        state = send_probe(state, 7, newcomer=True, now=at, policy=POLICY)
        state = count(state, [replace(FIRST, lane=7)], at, POLICY)


def test_a_newcomer_is_the_first_probe_sooner():
    assert allow(OPEN, OPENED + 3 * SECOND - 1, POLICY) is Allowed.NONE
    assert allow(OPEN, OPENED + 3 * SECOND, POLICY) is Allowed.NEWCOMER
    assert allow(OPEN, OPENED + 10 * SECOND, POLICY) is Allowed.ONE


def test_a_newcomer_does_not_wait_for_long_because_of_one_that_had_failed():
    state = replace(OPEN, probes=10)
    at = OPENED + 10 * SECOND
    state = send_probe(state, 7, newcomer=False, now=at, policy=POLICY)
    assert allow(state, at + 10 * SECOND - 1, POLICY) is Allowed.NONE
    assert allow(state, at + 10 * SECOND, POLICY) is Allowed.NEWCOMER
    assert allow(state, at + 60 * SECOND, POLICY) is Allowed.ONE


def test_every_fourth_probe_is_one_that_waited_long():
    assert [oldest_first(replace(OPEN, probes=n)) for n in range(8)] == [
        False,
        False,
        False,
        True,
    ] * 2


@pytest.mark.parametrize("send", [NEITHER, SendResult(lane=1, pause_ms=90 * SECOND)])
def test_a_probe_that_says_nothing_lets_another_one_be_it(send):
    at = OPENED + 10 * SECOND
    sent = send_probe(OPEN, 1, newcomer=True, now=at, policy=POLICY)
    state = count(sent, [send], at + 5, POLICY)
    assert (state.probes, state.probe, state.anyone_at) == (0, 0, at + 5)
    assert state.blocked_until == (at + 5 + send.pause_ms if send.pause_ms else 0)
    assert spare(sent, 2, at) == sent, "another lane was the probe"
    assert spare(Breaker(probe=1), 1, at) == Breaker(probe=1), "it is closed"


@pytest.mark.parametrize("send", [FIRST, AGAIN, replace(NEITHER, lane=9)])
def test_what_was_on_its_way_when_it_opened_is_no_probe(send):
    sent = send_probe(OPEN, 1, newcomer=True, now=OPENED + 10 * SECOND, policy=POLICY)
    assert count(sent, [send], OPENED + 11 * SECOND, POLICY) == sent


def test_what_comes_through_closes_it():
    state = count(OPEN, [AGAIN, THROUGH], NOW + MINUTE, POLICY)
    assert state == Breaker(closed=NOW + MINUTE)
    assert allow(state, NOW + MINUTE, POLICY) is Allowed.ALL


# --- pauses that were asked for


@pytest.mark.parametrize("before", [Breaker(), OPEN])
def test_a_pause_is_not_cut_short_by_anything(before):
    asked, until = SendResult(lane=3, pause_ms=300 * SECOND), NOW + 300 * SECOND
    first = count(before, [asked], NOW, POLICY)
    more = (THROUGH, FIRST, AGAIN, NEITHER, replace(asked, pause_ms=1), *[FIRST] * 30)
    for state in accumulate(
        more, lambda s, send: count(s, [send], NOW + 50, POLICY), initial=first
    ):
        assert allow(state, until - 1, POLICY) is Allowed.NONE
        assert next_instant(state, NOW + 50) >= until
    assert allow(count(state, [THROUGH], until, POLICY), until, POLICY) is Allowed.ALL


def test_instants_too_far_ahead_were_set_by_another_clock():
    hour_ago = NOW - 3_600 * SECOND
    assert allow(OPEN, hour_ago, POLICY) is Allowed.ONE
    assert allow(Breaker(blocked_until=NOW), hour_ago - MINUTE, POLICY) is Allowed.ALL


# --- what goes on when something comes through


@pytest.mark.parametrize(
    ("before", "later", "since"),
    [
        (Breaker(), 0, 0),
        (after(FIRST), 9, 0),  # nothing was wrong for long
        (after(FIRST), 10, NOW),
        (OPEN, 0, NOW),
    ],
)
def test_what_failed_because_of_the_destination_goes_on_when_it_is_back(before, later, since):
    now = NOW + later * SECOND
    assert retry_since(before, count(before, [THROUGH], now, POLICY), now, POLICY) == since
    assert retry_since(before, count(before, [FIRST], now, POLICY), now, POLICY) == 0


@pytest.mark.parametrize(
    ("state", "since", "is_alone"),
    [
        (Breaker(), 0, False),
        (Breaker(), NOW - 5, True),
        (after(FIRST), NOW - 5, False),
        (OPEN, NOW - 5, False),
    ],
)
def test_who_fails_alone(state, since, is_alone):
    assert fails_alone(state, since) is is_alone


# --- what it promises, whatever happens


class World:
    """A destination that works or not, poison and healthy lanes, and the breaker between."""

    def __init__(self, policy):
        self.policy, self.state, self.now = policy, Breaker(), NOW
        self.working = True
        self.sent = []  # (instant, whether it was open)

    def send(self, lane, *, poison, first, newcomer):
        may = allow(self.state, self.now, self.policy)
        if may is Allowed.NONE or (may is Allowed.NEWCOMER and not newcomer):
            return False
        self.sent.append((self.now, bool(self.state.opened)))
        if self.state.opened:
            self.state = send_probe(
                self.state, lane, newcomer=newcomer, now=self.now, policy=self.policy
            )
        through = self.working and not poison
        told = SendResult(lane=lane, through=through, failed=not through, first=first)
        self.state = count(self.state, [told], self.now, self.policy)
        return through


steps = st.lists(
    st.tuples(
        st.sampled_from(["wait", "poison", "again", "healthy", "down", "up"]),
        st.integers(1, 90_000),
    ),
    max_size=80,
)


@given(steps)
def test_open_it_lets_one_go_at_a_time_and_never_stays_shut(taken):
    world = World(POLICY)
    for lane, (what, wait) in enumerate(taken, 1):
        if what == "wait":
            world.now += wait
        elif what in ("down", "up"):
            world.working = what == "up"
        else:
            poison = what != "healthy"
            world.send(lane, poison=poison, first=what != "again", newcomer=what != "again")
        opened = [at for at, was_open in world.sent if was_open]
        assert all(b - a >= POLICY.first_break_ms for a, b in pairwise(opened))
    # However it came to stand: once it works, a healthy lane gets through within a minute.
    world.working = True
    world.now += POLICY.longest_break_ms
    assert world.send(10**6, poison=False, first=True, newcomer=True)
    assert allow(world.state, world.now, POLICY) is Allowed.ALL


@given(
    st.integers(1, 40), st.integers(0, 30_000), st.lists(st.integers(1_000, 60_000), max_size=30)
)
def test_poison_that_is_known_never_holds_up_a_healthy_lane(count, begun, gaps):
    """However many there are: each has failed for the first time once."""
    world = World(POLICY)
    for lane in range(count):
        world.send(lane, poison=True, first=True, newcomer=True)
    world.now += begun
    while not world.send(10**6, poison=False, first=True, newcomer=True):
        world.now += SECOND
    for gap in gaps:
        world.now += gap
        for lane in range(count):
            world.send(lane, poison=True, first=False, newcomer=False)
        assert world.send(10**6, poison=False, first=True, newcomer=True)


@given(st.lists(st.integers(1, 5_000), min_size=100, max_size=100))
def test_a_destination_that_is_down_is_asked_once_a_minute_in_the_end(gaps):
    world = World(POLICY)
    world.working = False
    for lane, gap in enumerate(gaps):
        world.now += gap
        world.send(lane, poison=False, first=True, newcomer=True)
    probes = [at for at, was_open in world.sent if was_open]
    apart = [b - a for a, b in pairwise(probes)]
    assert all(
        gap >= least for gap, least in zip(apart, (20_000, 40_000, *[60_000] * 9), strict=False)
    )
    assert len(world.sent) - len(probes) == 5
