"""Order within a record when some of it comes late: from a spool, or from another process's."""

import contextlib
import threading
import time
from dataclasses import replace

import pytest
from ledger import GRACE, NOW, settlement
from made_up import change, comment, event, thin
from running import REQUEST, Running, request, until
from sqlalchemy import select

from bridge.model import State
from bridge.store import Clocks, operators
from bridge.store import schema as t
from bridge.store.queue import watermark
from bridge.store.spool import Spool
from bridge.timing import Timing


def late(ledger, name, number, place, **known):
    """Make an entry of what was received at `place`, and comes only now."""
    made = ledger.entry(event(name, change(number), **known), again=True)
    return replace(made, place=place)


def sent(ledger, count=10):
    """Deliver all there is, one after the other."""
    order = []
    for _ in range(count):
        for leased in ledger.lease():
            order.append(leased.event)
            ledger.settle(leased)
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
    [leased] = ledger.lease()
    ledger.keep(late(ledger, "e1", 1, NOW - 20))
    assert ledger.lease() == []
    assert ledger.settle(leased)
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
    [leased] = ledger.lease()
    ledger.settle(leased, State.PARKED)
    ledger.keep(late(ledger, "e1", 1, NOW - 20))
    assert ledger.lease() == []
    ledger.run(lambda conn, now: operators.discard(conn, now, leased.delivery, who="x", reason="y"))
    assert sent(ledger) == ["e1"]


def test_what_is_discarded_behind_a_head_that_waits_hurries_nobody(ledger):
    ledger.keep(event("e2", change(2)))
    ledger.keep(late(ledger, "e1", 1, NOW - 20))
    [leased] = ledger.lease()
    ledger.settle(leased, State.RETRYING, delay_ms=30_000)
    [second] = ledger.rows(t.deliveries, event="e2")
    ledger.run(lambda conn, now: operators.discard(conn, now, second["id"], who="x", reason="y"))
    assert ledger.lane()["next_at"] == NOW + 30_000


@pytest.mark.parametrize("place", [-1, 0, 20])
def test_what_another_process_may_still_have_before_it_is_waited_for(ledger, place):
    ledger.keep(event("e2", change(2)))
    ledger.run(lambda conn, now: watermark.publish(conn, now, "other", NOW + place))
    found = [leased.event for leased in ledger.lease()]
    assert found == (["e2"] if place > 0 else [])
    if not found:
        assert ledger.lane()["next_at"] == NOW + watermark.LOOK_AGAIN_MS


def test_it_goes_on_as_the_other_drains(ledger):
    ledger.keep(event("e2", change(2), record="2"))
    ledger.now += 100
    ledger.keep(event("e3", change(3), record="3"))
    for place, allowed in ((NOW - 10, []), (NOW + 50, ["e2"]), (None, ["e3"])):
        if place is None:
            ledger.run(lambda conn, now: watermark.clear(conn, now, "other"))
        else:
            ledger.run(lambda conn, now, at=place: watermark.publish(conn, now, "other", at))
        ledger.now += watermark.LOOK_AGAIN_MS
        assert sent(ledger) == allowed


def test_the_slowest_of_several_is_waited_for(ledger):
    ledger.keep(event("e1", change(1)))
    for name, oldest in (("a", NOW + 9), ("b", NOW - 9)):
        ledger.run(lambda conn, now, who=name, at=oldest: watermark.publish(conn, now, who, at))
    assert ledger.lease() == []
    ledger.run(lambda conn, now: watermark.clear(conn, now, "b"))
    ledger.now += watermark.LOOK_AGAIN_MS
    assert sent(ledger) == ["e1"]


def test_a_process_that_is_gone_is_not_waited_for(ledger):
    ledger.keep(event("e1", change(1)))
    ledger.run(lambda conn, now: watermark.publish(conn, now, "gone", NOW - 9))
    ledger.now += watermark.STALE_AFTER_MS - 1
    assert ledger.lease() == []
    ledger.now += watermark.LOOK_AGAIN_MS
    assert sent(ledger) == ["e1"]
    ledger.run(lambda conn, now: watermark.clear(conn, now, "mine"))
    assert ledger.rows(t.spools) == []


def test_what_waits_for_a_fuller_telling_waits_for_that_first(ledger):
    ledger.keep(thin("t1", comment(1)))
    ledger.run(lambda conn, now: watermark.publish(conn, now, "other", NOW - 9))
    ledger.now += GRACE
    assert ledger.lease() == []
    assert ledger.lane()["next_at"] == ledger.now + watermark.LOOK_AGAIN_MS


# Processes


@pytest.fixture
def two(postgresql, tmp_path):
    """Run two bridges on one database, each with its own spool; none sends soon after an outage."""
    quiet = Timing(quiet_period_s=6)
    made = [Running(postgresql, tmp_path / name, timing=quiet) for name in ("a", "b")]
    for each in made:
        each.begin()
    yield made
    for each in made:
        each.close()


def at(name, received):
    return replace(request(name), received=received)


def taken(bridge, count):
    """Take so many deliveries, and settle each."""
    found, done = [], None
    while len(found) < count:
        turn = bridge.store.settle_and_lease(done, REQUEST)
        done = None
        if turn.leased is not None:
            found.append(turn.leased.event)
            done = settlement(turn.leased, outcome="delivered")
    bridge.store.settle_and_lease(done, None)
    return found


@pytest.mark.postgres
def test_who_is_back_first_does_not_overtake(two):
    first, second = two
    now = time.time_ns() // 1_000_000
    with second.cut_off():
        with first.away():
            for bridge, name in ((second, "e1"), (first, "e2")):
                bridge.keep(at(name, now + int(name[1])))
        until(lambda: not first.store.backlog)
        first.keep(at("e3", now + 3))
        assert first.queued() == ["e2", "e3"]
        assert first.lease() is None
    until(lambda: not second.store.backlog)
    assert taken(first, 3) == ["e1", "e2", "e3"]
    with first.store._reading() as conn:
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
    bridge = Running(database, tmp_path, clocks=Clocks.given(clock.host, clock.steady)).begin()

    def keep(name):
        bridge.keep(replace(request(name), received=clock.host()))

    keep("e1")
    with bridge.away():
        keep("e2")
        clock.by += step
        keep("e3")
    until(lambda: not bridge.store.backlog)
    keep("e4")
    order, settled = [], None
    while (turn := bridge.store.settle_and_lease(settled, REQUEST)).leased is not None:
        order.append(turn.leased.event)
        settled = settlement(turn.leased, State.DELIVERED)
    bridge.close()
    assert order == ["e1", "e2", "e3", "e4"]


@pytest.mark.parametrize("step", [-3_600_000, 7_000])
def test_a_step_while_a_request_waits_for_the_writer_changes_no_order(database, tmp_path, step):
    clock = Stepping()

    def begin(name):
        clocks = Clocks.given(clock.host, clock.steady)
        return Running(database, tmp_path / name, process=name, clocks=clocks).begin()

    def keep(bridge, name):
        bridge.keep(replace(request(name), received=clock.host()))
        kept = clock.steady()
        until(lambda: clock.steady() > kept)

    first, other = begin("first"), begin("other")
    keep(other, "e1")
    waiting = threading.Thread(target=keep, args=(first, "e2"))
    with contextlib.ExitStack() as gone:
        with first.held():
            waiting.start()
            until(lambda: first.store._started_writer.waiting)
            clock.by += step
            gone.enter_context(first.cut_off())
        waiting.join(20)
        assert first.store.backlog
        first.close()
    keep(other, "e3")
    third = begin("first")
    until(lambda: not third.store.backlog)
    assert taken(other, 3) == ["e1", "e2", "e3"]
    third.close()
    other.close()


HOUR = 3_600_000


@pytest.mark.postgres
@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_a_host_whose_clock_is_not_the_servers_changes_no_order(postgresql, tmp_path, skew):
    clock = Stepping()

    def begin(name, host):
        clocks = Clocks.given(host, clock.steady, server=clock.steady)
        return Running(postgresql, tmp_path / name, process=name, clocks=clocks).begin()

    def keep(bridge, name, received):
        bridge.keep(replace(request(name), received=received))
        kept = clock.steady()
        until(lambda: clock.steady() > kept)

    exact, skewed = begin("exact", clock.steady), begin("skewed", lambda: clock.steady() + skew)
    keep(exact, "e0", clock.steady())
    with skewed.cut_off():
        keep(skewed, "e1", clock.steady() + skew)
        assert skewed.store.backlog
        keep(exact, "e2", clock.steady())
    until(lambda: not skewed.store.backlog)
    assert taken(exact, 3) == ["e0", "e1", "e2"]
    exact.close()
    skewed.close()


def test_what_a_host_spooled_before_its_boot_is_placed_by_the_engines_clock(sqlite, tmp_path):
    """The host's clock was put back since the engine's clock was set by it."""
    clock = Stepping()

    def begin():
        clocks = Clocks.given(clock.host, clock.steady)
        return Running(sqlite, tmp_path, clocks=clocks).begin()

    first = begin()
    first.keep(replace(request("e1"), received=clock.host()))
    first.close()
    kept = clock.steady()
    until(lambda: clock.steady() > kept)
    clock.by -= HOUR
    spool = Spool(tmp_path / "spool", limit=1 << 30, process="dead")
    spool.append([replace(request("e2"), received=clock.host(), boot="another")])
    spool.close()
    second = begin()
    until(lambda: not second.store.backlog)
    assert taken(second, 2) == ["e1", "e2"]
    second.close()
