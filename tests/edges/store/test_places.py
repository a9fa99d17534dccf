"""Order within a record when some of it comes late: from a spool, or from another process's."""

import threading
import time
from dataclasses import replace

import pytest
from ledger import GRACE, NOW, settlement
from made_up import change, comment, event, thin
from running import WISH, Running, request, until
from sqlalchemy import select

from bridge.model import State
from bridge.store import operators
from bridge.store import schema as t
from bridge.store.queue import watermark as draining
from bridge.store.writer import loop as writer


def late(ledger, name, number, place, **known):
    """Make an entry of what was received at `place`, and comes only now."""
    made = ledger.entry(event(name, change(number), **known), again=True)
    return replace(made, place=place)


def sent(ledger, count=10):
    """Deliver all there is, one after the other."""
    order = []
    for _ in range(count):
        for claimed in ledger.claim():
            order.append(claimed.event)
            ledger.settle(claimed)
    return order


def test_what_comes_late_goes_where_it_belongs(ledger):
    ledger.keep(event("e2", change(2)))
    ledger.now += 50
    ledger.keep(event("e4", change(4)))
    ledger.keep(late(ledger, "e3", 3, NOW + 20), late(ledger, "e1", 1, NOW - 20))
    assert sent(ledger) == ["e1", "e2", "e3", "e4"]


def test_what_is_received_at_one_instant_keeps_the_order_it_was_kept_in(ledger):
    ledger.keep(event("e1", change(1)))
    ledger.keep(late(ledger, "e2", 2, NOW), late(ledger, "e3", 3, NOW))
    assert sent(ledger) == ["e1", "e2", "e3"]


def test_a_clock_that_is_put_back_changes_no_order(ledger):
    ledger.keep(event("e1", change(1)))
    ledger.now -= 5_000
    ledger.keep(event("e2", change(2)), event("e3", change(3)))
    ledger.now -= 5_000
    ledger.keep(event("e4", change(4)))
    ledger.now += 10_000
    assert sent(ledger) == ["e1", "e2", "e3", "e4"]


def test_what_is_on_its_way_is_not_called_back(ledger):
    ledger.keep(event("e2", change(2)))
    [claimed] = ledger.claim()
    ledger.keep(late(ledger, "e1", 1, NOW - 20))
    assert ledger.claim() == []
    assert ledger.settle(claimed)
    assert sent(ledger) == ["e1"]


def test_what_another_told_of_before_moves_up(ledger):
    ledger.keep(late(ledger, "e2", 2, NOW - 10), late(ledger, "e1b", 1, NOW - 5))
    ledger.keep(late(ledger, "e1", 1, NOW - 20))
    assert ledger.verdict("e1")["first"] == "e1b"
    assert sent(ledger) == ["e1b", "e2"]


def test_only_in_its_own_lane(ledger):
    ledger.keep(late(ledger, "e2", 2, NOW - 10), late(ledger, "e1b", 1, NOW - 5))
    ledger.keep(late(ledger, "e1", 1, NOW - 20, record="moved"))
    assert sent(ledger) == ["e2", "e1b"]


def test_a_lane_goes_on_when_what_is_discarded_is_not_its_head(ledger):
    ledger.keep(event("e2", change(2)))
    [claimed] = ledger.claim()
    ledger.settle(claimed, State.PARKED)
    ledger.keep(late(ledger, "e1", 1, NOW - 20))
    assert ledger.claim() == []
    ledger.run(
        lambda conn, now: operators.discard(conn, now, claimed.delivery, who="x", reason="y")
    )
    assert sent(ledger) == ["e1"]


def test_what_is_discarded_behind_a_head_that_waits_hurries_nobody(ledger):
    ledger.keep(event("e2", change(2)))
    ledger.keep(late(ledger, "e1", 1, NOW - 20))
    [claimed] = ledger.claim()
    ledger.settle(claimed, State.RETRYING, delay=30_000)
    [second] = ledger.rows(t.deliveries, event="e2")
    ledger.run(lambda conn, now: operators.discard(conn, now, second["id"], who="x", reason="y"))
    assert ledger.lane()["next_at"] == NOW + 30_000


@pytest.mark.parametrize("place", [-1, 0, 20])
def test_what_another_process_may_still_have_before_it_is_waited_for(ledger, place):
    ledger.keep(event("e2", change(2)))
    ledger.run(lambda conn, now: draining.tell(conn, now, "other", NOW + place))
    found = [claimed.event for claimed in ledger.claim()]
    assert found == (["e2"] if place > 0 else [])
    if not found:
        assert ledger.lane()["next_at"] == NOW + draining.AGAIN


def test_it_goes_on_as_the_other_drains(ledger):
    ledger.keep(event("e2", change(2), record="2"))
    ledger.now += 100
    ledger.keep(event("e3", change(3), record="3"))
    for place, allowed in ((NOW - 10, []), (NOW + 50, ["e2"]), (None, ["e3"])):
        if place is None:
            ledger.run(lambda conn, now: draining.end(conn, now, "other"))
        else:
            ledger.run(lambda conn, now, at=place: draining.tell(conn, now, "other", at))
        ledger.now += draining.AGAIN
        assert sent(ledger) == allowed


def test_the_slowest_of_several_is_waited_for(ledger):
    ledger.keep(event("e1", change(1)))
    for name, oldest in (("a", NOW + 9), ("b", NOW - 9)):
        ledger.run(lambda conn, now, who=name, at=oldest: draining.tell(conn, now, who, at))
    assert ledger.claim() == []
    ledger.run(lambda conn, now: draining.end(conn, now, "b"))
    ledger.now += draining.AGAIN
    assert sent(ledger) == ["e1"]


def test_a_process_that_is_gone_is_not_waited_for(ledger):
    ledger.keep(event("e1", change(1)))
    ledger.run(lambda conn, now: draining.tell(conn, now, "gone", NOW - 9))
    ledger.now += draining.PATIENCE - 1
    assert ledger.claim() == []
    ledger.now += draining.AGAIN
    assert sent(ledger) == ["e1"]
    ledger.run(lambda conn, now: draining.end(conn, now, "mine"))
    assert ledger.rows(t.spools) == []


def test_what_waits_for_a_fuller_telling_waits_for_that_first(ledger):
    ledger.keep(thin("t1", comment(1)))
    ledger.run(lambda conn, now: draining.tell(conn, now, "other", NOW - 9))
    ledger.now += GRACE
    assert ledger.claim() == []
    assert ledger.lane()["next_at"] == ledger.now + draining.AGAIN


# Processes


@pytest.fixture
def two(postgresql, tmp_path, monkeypatch):
    """Run two bridges on one database, each with its own spool; none sends soon after an outage."""
    monkeypatch.setattr(writer, "SETTLING", 6.0)
    made = [Running(postgresql, tmp_path / name) for name in ("a", "b")]
    for each in made:
        each.begin()
    yield made
    for each in made:
        each.store.close()


def at(name, received):
    return replace(request(name), received=received)


def taken(bridge, count):
    """Take so many deliveries, and settle each."""
    found, done = [], None
    while len(found) < count:
        turn = bridge.store.exchange(done, WISH)
        done = None
        if turn.claimed is not None:
            found.append(turn.claimed.event)
            done = settlement(turn.claimed, outcome="delivered")
    bridge.store.exchange(done, None)
    return found


@pytest.mark.postgres
def test_who_is_back_first_does_not_overtake(two):
    first, second = two
    now = time.time_ns() // 1_000_000
    with first.away():
        for bridge, name in ((second, "e1"), (first, "e2")):
            bridge.keep(at(name, now + int(name[1])))
        second.store.writer._again_at = time.monotonic() + 60
    until(lambda: not first.store.writer.backlog)
    first.keep(at("e3", now + 3))
    assert first.queued() == ["e2", "e3"]
    assert first.claim() is None
    second.store.writer._again_at = 0
    until(lambda: not second.store.writer.backlog)
    assert taken(first, 3) == ["e1", "e2", "e3"]
    with first.store.reading() as conn:
        assert conn.execute(select(t.spools)).all() == []


class Stepping:
    """A host's clock that steps, and one that does not."""

    def __init__(self):
        self.by = 0

    def host(self):
        return self.steady() + self.by

    def steady(self):
        return NOW + time.monotonic_ns() // 1_000_000


@pytest.mark.parametrize("step", [-3_600_000, 3_600_000])
def test_a_step_while_the_database_is_away_changes_no_order(database, tmp_path, step):
    clock = Stepping()
    bridge = Running(database, tmp_path, clock=clock.host, steady_clock=clock.steady).begin()

    def keep(name):
        bridge.keep(replace(request(name), received=clock.host()))

    keep("e1")
    with bridge.away():
        keep("e2")
        clock.by += step
        keep("e3")
    until(lambda: not bridge.store.writer.backlog)
    keep("e4")
    order, settled = [], None
    while (turn := bridge.store.exchange(settled, WISH)).claimed is not None:
        order.append(turn.claimed.event)
        settled = settlement(turn.claimed, State.DELIVERED)
    bridge.store.close()
    assert order == ["e1", "e2", "e3", "e4"]


@pytest.mark.parametrize("step", [-3_600_000, 7_000])
def test_a_step_while_a_request_waits_for_the_writer_changes_no_order(database, tmp_path, step):
    clock = Stepping()

    def begin(name):
        folder, clocks = tmp_path / name, {"clock": clock.host, "steady_clock": clock.steady}
        return Running(database, folder, process=name, **clocks).begin()

    def keep(bridge, name):
        bridge.keep(replace(request(name), received=clock.host()))
        kept = clock.steady()
        until(lambda: clock.steady() > kept)

    first, other = begin("first"), begin("other")
    keep(other, "e1")
    waiting = threading.Thread(target=keep, args=(first, "e2"))
    with first.held():
        waiting.start()
        until(lambda: first.store.writer._jobs)
        clock.by += step
        first.store.writer._again_at = time.monotonic() + 60
    waiting.join(20)
    assert first.store.writer.backlog
    first.store.close()
    keep(other, "e3")
    third = begin("first")
    until(lambda: not third.store.writer.backlog)
    assert taken(other, 3) == ["e1", "e2", "e3"]
    third.store.close()
    other.store.close()
