"""How much a destination is sent: rates, the breaker, pauses."""

import pytest
from ledger import GRACE, NOW, POLICY, settlement, verdict
from made_up import change, event, plan, route, thin

from bridge.model import Limits, State
from bridge.store import schema as t
from bridge.store.inbox.grace import drop_after_grace, send_after_grace
from bridge.store.queue import destinations
from bridge.store.queue.settle import settle

MANY = plan(route(), route("crm", destinations=("crm",)))


def queue(ledger, count):
    ledger.keep(*(event(f"e{n:02}", change(n), record=str(n)) for n in range(count)))


def test_leases_are_counted_by_the_second(ledger):
    queue(ledger, 12)
    allowed = Limits(per_second=10)
    found = ledger.lease(12, limits=allowed)
    assert len(found) == 1
    at = ledger.due(limits=allowed)
    assert at == NOW + 100
    ledger.now = at - 1
    assert ledger.lease(12, limits=allowed) == []
    ledger.now = at
    assert len(ledger.lease(12, limits=allowed)) == 1


def test_the_lane_that_waited_longest_is_leased_first(ledger):
    queue(ledger, 2)
    [first] = ledger.lease(1)
    assert ledger.settle(first, State.QUEUED, delay_ms=1_000)
    ledger.now += 2_000
    assert [leased.event for leased in ledger.lease(1)] == ["e01"]
    assert [leased.event for leased in ledger.lease(1)] == ["e00"]


def test_each_of_a_burst_is_counted(ledger):
    queue(ledger, 12)
    allowed = Limits(per_second=20)
    assert len(ledger.lease(12, limits=allowed)) == 2
    assert ledger.due(limits=allowed) == NOW + 53


def test_what_is_not_sent_is_not_counted(ledger):
    ledger.keep(thin("t1"))
    ledger.now += GRACE
    [leased] = ledger.lease()
    ledger.settle(leased, State.PARKED)
    before = ledger.gate()
    with ledger.transaction() as conn:
        conn.execute(t.lanes.update().values(blocked=False, next_at=NOW))
    assert ledger.lease(limits=Limits(per_second=1)) == []
    assert ledger.gate() == before
    assert ledger.lane()["blocked"]
    assert ledger.lane()["next_at"] is None


def test_a_lane_with_nothing_in_it_is_put_to_rest(ledger):
    ledger.keep(event("e1", change()))
    with ledger.transaction() as conn:
        conn.execute(t.deliveries.delete())
    assert ledger.lease() == []
    assert (ledger.lane()["next_at"], ledger.lane()["lease_until"]) == (None, 0)


def test_a_lane_looked_at_before_its_grace_is_over_is_put_back(ledger):
    ledger.keep(thin("t1"))
    with ledger.transaction() as conn:
        conn.execute(t.lanes.update().values(next_at=NOW))
    assert ledger.lease() == []
    assert (ledger.lane()["next_at"], ledger.lane()["lease_until"]) == (NOW + GRACE, 0)


def fail(ledger, times, **known):
    """Let so many deliveries in a row fail; returns the instant of the last."""
    for _ in range(times):
        [leased] = ledger.lease()
        ledger.settle(leased, State.RETRYING, delay_ms=600_000, failed=True, **known)
        ledger.now += 1
    return ledger.now - 1


def test_five_failures_in_a_row_open_the_breaker(ledger):
    queue(ledger, 9)
    fail(ledger, 4)
    assert ledger.gate()["opened"] == 0
    last = fail(ledger, 1)
    assert (ledger.gate()["failures"], ledger.gate()["opened"]) == (5, last)
    assert ledger.lease(5) == []
    assert ledger.due() == last + 10_000


def test_what_comes_through_ends_the_row(ledger):
    queue(ledger, 9)
    fail(ledger, 4)
    [leased] = ledger.lease()
    ledger.settle(leased)
    assert (ledger.gate()["failures"], ledger.gate()["blocked_until"]) == (0, 0)
    [*retried] = ledger.rows(t.deliveries, state="retrying")
    waiting = {lane["id"]: lane["next_at"] for lane in ledger.rows(t.lanes)}
    assert len(retried) == 4
    assert all(waiting[row["lane"]] > ledger.now for row in retried), "nothing was wrong for long"


def test_one_probe_at_a_time_and_its_success_closes_the_breaker_and_hurries(ledger):
    queue(ledger, 9)
    fail(ledger, 5)
    ledger.now += 10_000
    [probe] = ledger.lease(5)
    assert ledger.lease(5) == []
    assert ledger.due() == ledger.now + 20_000
    ledger.now += 1
    assert ledger.lease(5) == []
    ledger.settle(probe)
    assert (ledger.gate()["failures"], ledger.gate()["opened"]) == (0, 0)
    assert len(ledger.lease(20)) == 8, "those that had backed off, too"


def test_a_probe_that_fails_makes_the_pause_longer(ledger):
    queue(ledger, 14)
    last = fail(ledger, 5)
    pause = 10_000
    for probes in range(7):
        assert ledger.gate()["probes"] == probes
        ledger.now = last + pause - 1
        assert ledger.lease(5) == []
        assert ledger.due() == last + pause
        ledger.now = last + pause
        last = fail(ledger, 1)
        pause = min(2 * pause, POLICY.longest_break_ms)


def test_a_probe_whose_sender_vanished_is_followed_by_another(ledger):
    queue(ledger, 9)
    fail(ledger, 5)
    ledger.now += 10_000
    assert len(ledger.lease(5)) == 1
    ledger.now += 20_000
    assert len(ledger.lease(5)) == 1


@pytest.mark.parametrize(
    ("state", "known", "failures", "wait"),
    [
        (State.PARKED, {"cause": "mapping"}, 5, 0),  # nothing was sent: another one may try
        (State.PARKED, {"cause": "refused"}, 0, 0),  # it answered: it works
        (State.PARKED, {"cause": "failing", "failed": True}, 5, 20_000),
        (State.RETRYING, {"block_ms": 90_000}, 5, 90_000),
        (State.IN_DOUBT, {"failed": True}, 5, 20_000),
        (State.QUEUED, {}, 5, 0),
    ],
)
def test_what_a_probe_may_come_to(ledger, state, known, failures, wait):
    queue(ledger, 9)
    fail(ledger, 5)
    ledger.now += 10_000
    [probe] = ledger.lease()
    ledger.settle(probe, state, **known)
    gate = ledger.gate()
    assert (gate["failures"], bool(gate["opened"])) == (failures, failures > 0)
    assert ledger.due() == ledger.now + max(wait, 1)
    ledger.now += max(wait - 1, 0)
    assert bool(ledger.lease(5)) is not bool(wait)
    ledger.now += 1
    assert bool(ledger.lease(5)) is bool(wait or not failures)


def test_a_straggler_from_before_the_breaker_opened_is_no_probe(ledger):
    queue(ledger, 9)
    [early, late, failing] = ledger.lease(3)
    fail(ledger, 5)
    before = ledger.gate()
    ledger.settle(early, State.PARKED, cause="mapping")
    ledger.settle(failing, State.RETRYING, failed=True)
    assert ledger.gate() == before
    ledger.settle(late)
    assert (ledger.gate()["failures"], ledger.gate()["opened"]) == (0, 0)


def test_many_that_fail_together_open_the_breaker_no_longer_than_one(ledger):
    queue(ledger, 9)
    for leased in ledger.lease(8):
        ledger.settle(leased, State.RETRYING, delay_ms=600_000, failed=True)
    assert ledger.due() == ledger.now + 10_000


def test_many_that_fail_in_one_transaction_open_the_breaker_no_longer_than_one(ledger):
    queue(ledger, 12)
    failed = {"delay_ms": 600_000, "failed": True}
    together = [settlement(each, State.RETRYING, **failed) for each in ledger.lease(10)]
    assert ledger.settle_all(together) == 10
    gate = ledger.gate()
    assert (gate["failures"], gate["opened"], gate["probes"]) == (10, ledger.now, 0)
    assert ledger.due() == ledger.now + 10_000
    ledger.now += 10_000
    assert len(ledger.lease(5)) == 1
    assert ledger.due() == ledger.now + 20_000


@pytest.mark.parametrize("taken_over", [True, False])
def test_a_probe_that_was_only_to_be_decided_lets_another_one_be_it(ledger, taken_over):
    queue(ledger, 9)
    fail(ledger, 5)
    ledger.keep(thin("t1", record="thin"))
    with ledger.transaction() as conn:
        conn.execute(t.lanes.update().where(t.lanes.c.record != "jira/thin").values(next_at=None))
    ledger.now += GRACE
    [leased] = ledger.lease()
    assert ledger.gate()["probe"] == leased.lane
    if taken_over:
        ledger.keep(event("f1", *thin().effects, record="thin"))
        assert not ledger.run(lambda c, now: send_after_grace(c, now, leased, verdict("x")))
    else:
        ledger.run(lambda c, now: drop_after_grace(c, now, leased, verdict(name="filtered")))
    gate = ledger.gate()
    assert (gate["probe"], gate["probes"], gate["failures"]) == (0, 0, 5)
    assert max(gate["newcomer_at"], gate["anyone_at"]) == ledger.now


def test_a_pause_that_was_asked_for_holds(ledger):
    queue(ledger, 9)
    [first, second, third, fourth] = ledger.lease(4)
    ledger.settle(first, State.RETRYING, block_ms=60_000, delay_ms=60_000)
    assert ledger.due() == NOW + 60_000
    ledger.settle(second, State.RETRYING, block_ms=1_000)
    assert ledger.gate()["blocked_until"] == NOW + 60_000, "a shorter one does not end it"
    ledger.settle(third, State.RETRYING, failed=True)
    ledger.settle(fourth)
    assert ledger.gate()["blocked_until"] == NOW + 60_000, "nor does what came through"
    assert ledger.lease() == []
    ledger.now += 60_000
    assert len(ledger.lease()) == 1


def test_failures_do_not_cut_a_pause_short(ledger):
    queue(ledger, 9)
    found = ledger.lease(6)
    ledger.settle(found[0], State.RETRYING, block_ms=600_000)
    for leased in found[1:]:
        ledger.settle(leased, State.RETRYING, failed=True)
    assert ledger.gate()["failures"] == 5
    assert ledger.gate()["blocked_until"] == NOW + 600_000
    assert ledger.due() == NOW + 600_000


def test_a_destination_that_is_gone_is_paused_until_its_token_is_replaced(ledger):
    queue(ledger, 3)
    [first, second, _] = ledger.lease(3)
    ledger.settle_all([_settled(first, pause_reason="410"), _settled(second)])
    assert ledger.gate()["paused"] == "410"
    ledger.now += 10**9
    assert ledger.lease() == []
    assert ledger.due() is None
    ledger.run(lambda conn, now: destinations.register(conn, now, {"aha": "hash"}))
    assert ledger.gate()["paused"] == "410", "the same token as before"
    ledger.run(lambda conn, now: destinations.register(conn, now, {"aha": "another"}))
    assert ledger.gate()["paused"] == ""
    assert len(ledger.lease(5)) == 3


def _settled(leased, **known):
    return settlement(leased, State.RETRYING, delay_ms=900_000, **known)


def test_destinations_are_kept_still_in_one_order(ledgers):
    ledger = ledgers(MANY)
    queue(ledger, 2)
    first, second = ledger.lease(2)
    [other] = ledger.lease(to="crm") or [None]
    assert other is not None
    told = [settlement(each, State.RETRYING, failed=True) for each in (other, second, first)]
    counted = ledger.run(lambda conn, now: settle(conn, now, told, POLICY, leasing=["crm", "aha"]))
    assert counted == told
    assert (ledger.gate("aha")["failures"], ledger.gate("crm")["failures"]) == (2, 1)


def test_a_destination_that_nobody_made_known_is_sent_nothing(ledger):
    assert ledger.lease(to="nobody") == []
    assert ledger.due(to="nobody") is None


def test_destinations_fail_apart(ledgers):
    ledger = ledgers(MANY)
    ledger.keep(*(event(f"e{n}", change(n), record=str(n)) for n in range(6)))
    fail(ledger, 5)
    assert ledger.gate("crm")["failures"] == 0
    assert len(ledger.lease(6, to="crm")) == 6
