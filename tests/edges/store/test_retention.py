"""Looking after what is kept: destinations, mended mappings, retention, jobs that run alone."""

import pytest
from ledger import GRACE, NOW, Ledger, verdict
from made_up import change, comment, event, plan, route, thin

from bridge.model import State
from bridge.store import operators, retention
from bridge.store import schema as t
from bridge.store.queue import destinations
from bridge.store.retention import PURGE_BATCH, Retention

DAY = 24 * 3600 * 1000
KEEP = Retention(bodies=14, decisions=90, effects=400)
TWO = plan(route(destinations=("aha", "crm")))


# Destinations


def test_a_destination_is_made_known_once(ledger):
    before = ledger.gate()
    ledger.run(lambda conn, now: destinations.register(conn, now, {"aha": "hash", "new": "n"}))
    ledger.run(lambda conn, now: destinations.register(conn, now, {}))
    assert ledger.gate() == before
    assert ledger.gate("new")["token_hash"] == "n"


def test_a_new_token_ends_a_pause_and_hurries(ledgers):
    ledger = ledgers(TWO)
    ledger.keep(event("e1", change()))
    for to in ("aha", "crm"):
        [leased] = ledger.lease(to=to)
        ledger.settle(leased, State.RETRYING, delay_ms=900_000, pause_reason="410", failed=True)
    ledger.run(
        lambda conn, now: destinations.register(conn, now, {"aha": "another", "crm": "hash"})
    )
    gate = ledger.gate("aha")
    assert (gate["token_hash"], gate["paused"], gate["failures"]) == ("another", "", 0)
    assert ledger.lane("aha")["next_at"] == NOW
    assert ledger.gate("crm")["paused"] == "410"
    assert ledger.lane("crm")["next_at"] == NOW + 900_000


def test_resuming(ledger):
    ledger.keep(event("e1", change()))
    [leased] = ledger.lease()
    ledger.settle(leased, State.RETRYING, delay_ms=900_000, pause_reason="410", block_ms=60_000)
    assert ledger.run(lambda conn, now: destinations.resume(conn, now, "aha")) is True
    gate = ledger.gate()
    assert (gate["paused"], gate["blocked_until"], gate["failures"]) == ("", 0, 0)
    assert len(ledger.lease()) == 1
    assert ledger.run(lambda conn, now: destinations.resume(conn, now, "nobody")) is False


def test_hurrying_moves_only_what_is_tried_again(ledger):
    ledger.keep(event("e1", change(1), record="1"), thin("t2", record="2"))
    [leased] = ledger.lease()
    ledger.settle(leased, State.RETRYING, delay_ms=900_000)
    ledger.run(lambda conn, now: destinations.resume(conn, now, "aha"))
    assert ledger.lane(record="jira/1")["next_at"] == NOW
    assert ledger.lane(record="jira/2")["next_at"] == NOW + GRACE, "a grace is not cut short"


# Mended mappings


@pytest.mark.parametrize(
    ("cause", "revision", "now_known", "freed"),
    [
        ("mapping", "old", {"platform": "new"}, 1),
        ("mapping", "old", {"platform": "old"}, 0),
        ("mapping", "old", {"another": "new"}, 0),
        ("mapping", "old", {}, 0),
        ("route", "", {"platform": "x"}, 1),
        ("route", "", {"another": "x"}, 0),
        ("refused", "old", {"platform": "new"}, 0),
        ("mistake", "old", {"platform": "new"}, 0),
    ],
)
def test_what_could_not_be_mapped_is_sent_once_it_can_be(ledger, cause, revision, now_known, freed):
    ledger.keep(event("e1", change(1)), event("e2", change(2)))
    [leased] = ledger.lease()
    ledger.settle(leased, State.PARKED, cause=cause, revision=revision)
    assert ledger.lease() == []
    assert ledger.run(lambda conn, now: operators.requeue_unmappable(conn, now, now_known)) == freed
    assert ledger.run(lambda conn, now: operators.requeue_unmappable(conn, now, now_known)) == 0
    found = ledger.lease()
    assert [each.event for each in found] == ["e1"] * freed
    if freed:
        assert ledger.settle(found[0])
        assert [each.event for each in ledger.lease()] == ["e2"]


def test_what_was_freed_by_another_process_is_left_alone(ledger):
    ledger.keep(event("e1", change()))
    [leased] = ledger.lease()
    before = ledger.rows(t.deliveries), ledger.rows(t.lanes)
    ledger.run(lambda conn, now: operators.requeue(conn, now, leased.delivery, leased.lane))
    assert (ledger.rows(t.deliveries), ledger.rows(t.lanes)) == before


# Retention


def forget(ledger, days, keep=KEEP):
    """Forget all there is to forget so many days later; returns how often it took."""
    ledger.now = NOW + days * DAY
    times = 0
    while ledger.run(lambda conn, now: retention.purge_expired(conn, now, keep)):
        times += 1
        assert times < 50
    return times


def deliver(ledger):
    for leased in ledger.lease(1_000):
        ledger.settle(leased, outcome="delivered")


def counted(ledger):
    return {table.name: len(ledger.rows(table)) for table in t.metadata.sorted_tables}


def test_bodies_go_first_then_decisions_then_effects(ledger):
    ledger.keep(event("e1", change(), comment()))
    ledger.keep(event("e2", change(), hook="second"))
    deliver(ledger)
    whole = counted(ledger)
    assert forget(ledger, 14) == 0, "not a day too early"
    assert forget(ledger, 15) == 1
    assert [row["body"] for row in ledger.rows(t.events)] == [None, None]
    assert forget(ledger, 90) == 0
    assert counted(ledger) == whole
    assert forget(ledger, 91) == 1
    left = counted(ledger)
    assert {name for name, count in left.items() if count} == {
        "claims",
        "destinations",
        "sightings",
    }
    assert left["claims"] == 2
    ledger.now = NOW + 399 * DAY
    ledger.keep(event("e3", change(), received=ledger.now))
    assert ledger.outcome("e3") == "duplicate", "an effect is known for long"
    assert forget(ledger, 401) == 1
    assert ledger.holders() == {}
    assert [row["event"] for row in ledger.rows(t.sightings)] == ["e3"]


@pytest.mark.parametrize("state", [None, "queued", "retrying", "parked", "in_doubt"])
def test_what_is_still_on_its_way_is_not_forgotten(ledger, state):
    ledger.keep(event("e1", change(1), comment()), event("e2", change(2)))
    [leased] = ledger.lease()
    if state:
        ledger.settle(leased, State(state), outcome="x", delay_ms=10**12)
    before = counted(ledger)
    assert forget(ledger, 5_000) == 0
    assert counted(ledger) == before
    assert all(row["body"] for row in ledger.rows(t.events))
    ledger.now = NOW + 5_000 * DAY
    assert ledger.lease() == [] or state in (None, "queued"), "and its lane is still there"


def test_a_discarded_delivery_is_over(ledger):
    ledger.keep(event("e1", change()))
    [leased] = ledger.lease()
    ledger.settle(leased, State.DISCARDED)
    assert ledger.lane()["next_at"] is None
    forget(ledger, 500)
    assert set(counted(ledger).values()) == {0, 1}


def test_no_claim_goes_before_its_decision(ledger):
    ledger.keep(event("e1", change()))
    deliver(ledger)
    forget(ledger, 80, Retention(bodies=1, decisions=90, effects=30))
    assert ledger.holders() == {change().identity: "e1"}


def test_slices(sqlite):
    ledger = Ledger(sqlite)
    count = 2 * PURGE_BATCH + 1
    ledger.keep(*(event(f"e{n:04}", change(n), record=str(n)) for n in range(count)))
    deliver(ledger)
    deliver(ledger)
    ledger.now += 15 * DAY
    gone = ledger.run(lambda conn, now: retention.purge_expired(conn, now, KEEP))
    assert gone == PURGE_BATCH
    assert sum(row["body"] is None for row in ledger.rows(t.events)) == PURGE_BATCH
    assert forget(ledger, 15) == 2
    assert forget(ledger, 91) == 3
    assert forget(ledger, 401) == 3
    assert {name for name, left in counted(ledger).items() if left} == {"destinations"}
    ledger.close()


def test_a_lane_goes_with_the_last_event_of_its_record(ledger):
    named = event("e3", change(3), record="", key="")
    ledger.keep(event("e1", change(1), record="1"), event("e2", change(2), record="2"))
    ledger.keep(ledger.entry(named, verdict(change(3).identity)))
    deliver(ledger)
    ledger.now = NOW + 50 * DAY
    ledger.keep(event("e4", change(4), record="2", received=ledger.now))
    ledger.keep(event("e5", record="1", site="other", hook="other", received=ledger.now))
    deliver(ledger)
    forget(ledger, 95)
    assert [lane["record"] for lane in ledger.rows(t.lanes)] == ["jira/2"]
    ledger.keep(event("e6", change(6), record="1", received=ledger.now))
    assert (ledger.lane()["fence"], ledger.lane()["next_at"]) == (0, ledger.now)


@pytest.mark.parametrize("lane", [{"next_at": 1}, {"blocked": True}, {"lease_until": 10**15}])
def test_a_lane_that_has_something_to_do_stays(ledger, lane):
    ledger.keep(event("e1", change()))
    deliver(ledger)
    with ledger.transaction() as conn:
        conn.execute(t.lanes.update().values(lane))
    forget(ledger, 95)
    assert ledger.rows(t.events) == []
    assert len(ledger.rows(t.lanes)) == 1


# Jobs


def test_a_job_runs_alone(ledger):
    def take(owner):
        return ledger.run(lambda conn, now: retention.acquire_job_lock(conn, now, "tidy", owner))

    assert take("a") is True
    assert take("b") is False
    assert take("a") is True, "its own process may have it again"
    assert ledger.run(lambda conn, now: retention.acquire_job_lock(conn, now, "other", "b")) is True
    ledger.now += retention.JOB_LEASE_MS
    assert take("b") is True
    assert take("a") is False
