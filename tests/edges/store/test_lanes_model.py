"""Lanes against a simple model of them: any order of what workers, operators and clocks do.

HYPOTHESIS_PROFILE=long looks for longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger import GRACE, LEASE, NOW, Ledger, verdict
from made_up import change, comment, event, plan, route, thin

from bridge.errors import WrongState
from bridge.model import State
from bridge.store import operators
from bridge.store import schema as t
from bridge.store.inbox.grace import drop_after_grace, send_after_grace
from bridge.store.queue import destinations
from bridge.store.queue.nouns import Leased

OPEN = ("queued", "sending", "retrying", "in_doubt", "parked")
BLOCKING = ("in_doubt", "parked")
ROUTES = plan(route(hooks=("main", "second")))


@dataclass
class Parcel:
    """A delivery as the model knows it."""

    event: str
    state: str = "queued"
    hold: int | None = None
    effect: str = ""


@dataclass
class Lane:
    """A lane as the model knows it."""

    parcels: list[Parcel] = field(default_factory=list)
    next_at: int | None = None
    lease: int = 0
    fence: int = 0

    @property
    def head(self) -> Parcel | None:
        return next((p for p in self.parcels if p.state in OPEN), None)

    def advance(self, now: int) -> None:
        """Give the lease back and let the next one come up."""
        head, self.lease = self.head, 0
        blocked = head is not None and head.state in BLOCKING
        self.next_at = None if head is None or blocked else head.hold or now


@dataclass
class Ours:
    """A claim that a worker has in hand, or had when it vanished."""

    leased: Leased
    record: str
    parcel: Parcel
    waiting: bool


class Lanes(RuleBasedStateMachine):
    """Every rule does a thing to the store and to the model, and compares what they say."""

    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        with self.ledger.transaction() as conn:
            for table in t.metadata.sorted_tables:
                if table.name != "destinations":
                    conn.execute(table.delete())
        self.ledger.now = NOW
        self.ledger.run(lambda conn, now: destinations.resume(conn, now, "aha"))
        self.lanes: dict[str, Lane] = {}
        self.hands: list[Ours] = []
        self.paused = False
        self.told = 0

    @property
    def now(self) -> int:
        return self.ledger.now

    # What arrives

    def _arrive(self, record: str, *, waits: bool) -> None:
        self.told += 1
        name = f"e{self.told:03}"
        effect = comment(self.told) if waits else change(self.told)
        given = thin(name, effect, record=record) if waits else event(name, effect, record=record)
        self.ledger.keep(given)
        lane = self.lanes.setdefault(record, Lane())
        hold = self.now + GRACE if waits else None
        blocked = lane.head is not None and lane.head.state in BLOCKING
        lane.parcels.append(Parcel(event=name, hold=hold, effect=effect.identity))
        if lane.next_at is None and not blocked:
            lane.next_at = hold or self.now

    @rule(record=st.sampled_from("123"), waits=st.booleans())
    def arrive(self, record: str, waits: bool) -> None:
        self._arrive(record, waits=waits)

    def _waiting(self) -> list[tuple[str, Parcel]]:
        return [
            (record, parcel)
            for record, lane in self.lanes.items()
            for parcel in lane.parcels
            if parcel.state == "queued" and parcel.hold is not None
        ]

    @precondition(lambda self: self._waiting())
    @rule(pick=st.integers(0, 20))
    def tell_more_fully(self, pick: int) -> None:
        found = self._waiting()
        record, parcel = found[pick % len(found)]
        self.told += 1
        number = parcel.effect.split(":")[1]
        self.ledger.keep(event(f"e{self.told:03}", comment(number), record=record))
        lane = self.lanes[record]
        waited_for_it = lane.next_at == parcel.hold
        parcel.event, parcel.hold = f"e{self.told:03}", None
        if waited_for_it and lane.head:
            lane.next_at = lane.head.hold or self.now

    # What workers do

    def _sendable(self) -> list[str]:
        ready = [
            (lane.next_at, record)
            for record, lane in self.lanes.items()
            if lane.next_at is not None and lane.next_at <= self.now and lane.lease <= self.now
        ]
        return [record for _, record in sorted(ready)]

    @rule(count=st.integers(1, 3))
    def lease(self, count: int) -> None:
        found = self.ledger.lease(count)
        ready = [] if self.paused else self._sendable()
        assert len(found) == min(count, len(ready)), "whatever is sendable is found"
        for leased in found:
            lane = self.lanes[leased.record]
            soonest = [self.lanes[record].next_at for record in ready[:count]]
            assert lane.next_at in soonest, "the longest waiting goes first"
            parcel = lane.head
            assert parcel is not None
            assert leased.event == parcel.event, "only the head of a lane leaves it"
            assert leased.in_doubt is (parcel.state == "sending")
            assert leased.waiting is (parcel.hold is not None)
            lane.fence, lane.lease = lane.fence + 1, self.now + LEASE
            assert leased.fence == lane.fence
            if parcel.hold is None:
                parcel.state = "sending"
            self.hands.append(
                Ours(
                    leased=leased,
                    record=leased.record,
                    parcel=parcel,
                    waiting=leased.waiting,
                )
            )

    @rule()
    def look(self) -> None:
        free = [
            lane.next_at
            for lane in self.lanes.values()
            if lane.next_at is not None and lane.lease <= self.now
        ]
        expected = None if self.paused or not free else max(min(free), self.now + 1)
        assert self.ledger.due() == expected

    def _take(self, pick: int) -> tuple[Ours, Lane, bool]:
        ours = self.hands.pop(pick % len(self.hands))
        lane = self.lanes[ours.record]
        return ours, lane, lane.fence == ours.leased.fence and lane.lease > 0

    @precondition(lambda self: self.hands)
    @rule(
        pick=st.integers(0, 20),
        state=st.sampled_from(["delivered", "retrying", "parked", "in_doubt", "queued"]),
        delay=st.sampled_from([0, 1_000, 600_000]),
    )
    def settle(self, pick: int, state: str, delay: int) -> None:
        ours, lane, counts = self._take(pick)
        early = (ours.parcel.hold or 0) > self.now  # the clock was put back meanwhile
        if ours.waiting and (state != "queued" or early):  # what waits is decided, not settled
            self.hands.append(ours)
            return
        delay = delay if state == "retrying" else 0
        before = None if counts else self._all()
        assert self.ledger.settle(ours.leased, State(state), delay_ms=delay) is counts
        if not counts:
            assert self._all() == before, "a late settling changes nothing"
            return
        ours.parcel.state = state
        if state == "delivered":
            lane.advance(self.now)
        else:
            lane.lease = 0
            lane.next_at = None if state in BLOCKING else self.now + delay

    @precondition(lambda self: any(ours.waiting for ours in self.hands))
    @rule(pick=st.integers(0, 20), send=st.booleans())
    def decide(self, pick: int, send: bool) -> None:
        ours, lane, counts = self._take(pick)
        if not ours.waiting:
            self.hands.append(ours)
            return
        still = ours.parcel.event == ours.leased.event and ours.parcel.hold is not None
        before = None if counts else self._all()
        if send:
            found = verdict(ours.parcel.effect, by="platform")
            won = self.ledger.run(lambda c, now: send_after_grace(c, now, ours.leased, found))
            assert won is (counts and still)
        else:
            found = verdict(name="filtered")
            self.ledger.run(lambda c, now: drop_after_grace(c, now, ours.leased, found))
        if not counts:
            assert self._all() == before, "a late decision changes nothing"
        elif not still:
            lane.advance(self.now)
        elif send:
            ours.parcel.state, ours.parcel.hold = "sending", None
            self.hands.append(
                Ours(leased=ours.leased, record=ours.record, parcel=ours.parcel, waiting=False)
            )
        else:
            lane.parcels.remove(ours.parcel)
            lane.advance(self.now)

    @precondition(lambda self: self.hands)
    @rule(pick=st.integers(0, 20))
    def vanish(self, pick: int) -> None:
        """A worker dies with what it has in hand."""
        self._take(pick)

    # What operators and clocks do

    @rule(dt=st.sampled_from([1, 999, 5_000, GRACE, LEASE - 1, LEASE, 600_000, -1, -30_000]))
    def tick(self, dt: int) -> None:
        self.ledger.now += dt

    @rule()
    def pause_or_resume(self) -> None:
        if self.paused:
            self.ledger.run(lambda conn, now: destinations.resume(conn, now, "aha"))
            for lane in self.lanes.values():
                head = lane.head
                if head and head.state == "retrying" and lane.next_at and lane.next_at > self.now:
                    lane.next_at = self.now
        else:
            self._pause()
        self.paused = not self.paused

    def _pause(self) -> None:
        with self.ledger.transaction() as conn:
            conn.execute(t.destinations.update().values(paused="the token is gone"))

    @precondition(lambda self: any(lane.parcels for lane in self.lanes.values()))
    @rule(pick=st.integers(0, 20), discard=st.booleans())
    def operate(self, pick: int, discard: bool) -> None:
        known = [(r, p) for r, lane in sorted(self.lanes.items()) for p in lane.parcels]
        record, parcel = known[pick % len(known)]
        lane = self.lanes[record]
        [row] = self.ledger.rows(t.deliveries, event=parcel.event)
        able = parcel.state in BLOCKING
        if discard:
            able = (able or parcel.state in ("queued", "retrying")) and parcel.hold is None
        try:
            self.ledger.run(
                lambda conn, now: (
                    operators.discard(conn, now, row["id"], who="me", reason="no")
                    if discard
                    else operators.retry(conn, now, row["id"], who="me")
                )
            )
        except WrongState:
            assert not able
            return
        assert able
        was_head = lane.head is parcel
        parcel.state = "discarded" if discard else "queued"
        if discard and was_head:
            lane.advance(self.now)
        elif not discard:
            lane.next_at = self.now

    # What must always be so

    def _all(self) -> list[Any]:
        return [self.ledger.rows(table) for table in (t.lanes, t.deliveries, t.attempts)]

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        for record, lane in self.lanes.items():
            row = self.ledger.lane(record=f"jira/{record}")
            queued = self.ledger.rows(t.deliveries, lane=row["id"])
            expected = [(p.event, p.state, p.hold) for p in lane.parcels]
            assert [(q["event"], q["state"], q["hold_until"]) for q in queued] == expected
            told = (lane.next_at, lane.lease, lane.fence)
            assert (row["next_at"], row["lease_until"], row["fence"]) == told
            assert bool(row["blocked"]) is bool(lane.head and lane.head.state in BLOCKING)

    def teardown(self) -> None:
        """Whatever happened: with patience, and an operator, everything leaves in order."""
        if self.paused:
            self.pause_or_resume()
        for _ in range(4 * self.told + 4):
            if all(lane.head is None for lane in self.lanes.values()):
                return
            self.ledger.now += 700_000
            for record, lane in self.lanes.items():
                if lane.head and lane.head.state in BLOCKING:
                    lane_parcels = lane.parcels
                    self.operate(_index(self.lanes, record, lane_parcels.index(lane.head)), False)
            self.lease(3)
            while self.hands:
                if self.hands[-1].waiting:
                    self.decide(len(self.hands) - 1, True)
                else:
                    self.settle(len(self.hands) - 1, "delivered", 0)
        raise AssertionError("something is stuck")


def _index(lanes: dict[str, Lane], record: str, place: int) -> int:
    """Tell which pick of `operate` means the parcel at a place of a lane."""
    before = sum(len(lane.parcels) for name, lane in lanes.items() if name < record)
    return before + place


@pytest.mark.parametrize("steps", [40])
def test_lanes_keep_their_promises(database, steps):
    kept = Ledger(database, ROUTES)
    machine = type("LanesOfThis", (Lanes,), {"ledger": kept})
    longer = settings().max_examples > 100
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=settings().max_examples if longer else 16, stateful_step_count=steps
        ),
    )
    kept.close()


@pytest.mark.parametrize("state", ["delivered", "retrying", "parked", "queued"])
def test_what_is_settled_twice_counts_once(ledger, state):
    ledger.keep(event("e1", change(1)), event("e2", change(2)))
    [leased] = ledger.lease()
    assert ledger.settle(leased, State(state), delay_ms=5_000, outcome="x")
    ledger.now += 1
    before = [ledger.rows(table) for table in t.metadata.sorted_tables]
    assert not ledger.settle(leased, State(state), delay_ms=9_000, outcome="x")
    assert [ledger.rows(table) for table in t.metadata.sorted_tables] == before
