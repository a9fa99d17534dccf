"""Accepting: every table of who carries what, on both databases."""

import threading
from dataclasses import replace
from itertools import pairwise, permutations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import GRACE, NOW, verdict
from made_up import InProject, change, comment, deletion, event, issue, plan, route, thin

from bridge.core.storable import storable_event
from bridge.model import Comments, State
from bridge.store import schema as t
from bridge.store.inbox.grace import drop_after_grace, send_after_grace
from bridge.store.snapshots import counterpart_of, latest_snapshot

CHANGE, COMMENT, DELETED = change().identity, comment().identity, deletion().identity
PLAT = InProject("PLAT")


def wiped(ledger):
    with ledger.transaction() as conn:
        for table in (t.events, t.verdicts, t.claims, t.sightings, t.lanes, t.deliveries):
            conn.execute(table.delete())
    return ledger


# One effect, told more than once


def test_the_same_effect_is_carried_once(ledger):
    ledger.keep(event("e1", change()))
    ledger.keep(event("e2", change(), hook="second"))
    assert ledger.deliveries() == [("e1", [CHANGE])]
    assert ledger.outcomes() == {"e1": "deliver", "e2": "duplicate"}
    found = ledger.verdict("e2")
    assert (found["first"], found["reason"]) == ("e1", f"event e1 reported {CHANGE} before")
    assert {(s["event"], s["hook"]) for s in ledger.rows(t.sightings)} == {
        ("e1", "main"),
        ("e2", "second"),
    }


def test_the_same_effect_32_times_in_one_batch(ledger):
    ledger.keep(*(event(f"e{n:02}", change()) for n in range(32)))
    assert ledger.deliveries() == [("e00", [CHANGE])]
    assert sorted(ledger.outcomes().values()) == ["deliver", *["duplicate"] * 31]
    assert {ledger.verdict(f"e{n:02}")["first"] for n in range(1, 32)} == {"e00"}


def test_effects_are_claimed_for_each_destination_and_site(ledgers):
    both = route(destinations=("aha", "crm"), hooks=("main", "second", "other"))
    ledger = ledgers(plan(both, route("crm-only", hooks=("second",), destinations=("crm",))))
    ledger.keep(event("e1", change()))
    ledger.keep(event("e2", change(), hook="other", site="other"))
    ledger.keep(event("e3", change(), hook="second"))
    assert ledger.deliveries("aha") == [("e1", [CHANGE]), ("e2", [CHANGE])]
    assert ledger.deliveries("crm") == [("e1", [CHANGE]), ("e2", [CHANGE])]
    assert {lane["record"] for lane in ledger.rows(t.lanes)} == {"jira/1", "other/1"}
    assert ledger.outcome("e3") == "duplicate"


def test_two_routes_to_one_destination_send_an_effect_once(ledgers):
    ledger = ledgers(plan(route("a"), route("b")))
    ledger.keep(event("e1", change()))
    assert ledger.deliveries() == [("e1", [CHANGE])]
    found = {v["route"]: (v["verdict"], v["first"]) for v in ledger.rows(t.verdicts)}
    assert found == {"a": ("deliver", ""), "b": ("duplicate", "e1")}
    second = next(v for v in ledger.rows(t.verdicts) if v["route"] == "b")
    assert second["reason"] == "another route of this event already carries it"
    assert ledger.outcome("e1") == "deliver"


def test_two_routes_share_an_event_by_its_effects(ledgers):
    ledger = ledgers(
        plan(
            route("a", events=frozenset({"issue_updated"})),
            route("b", events=frozenset({"comment_created"})),
        )
    )
    ledger.keep(event("e1", change(), comment()))
    assert ledger.deliveries() == [("e1", [CHANGE]), ("e1", [COMMENT])]


def test_a_change_goes_out_without_the_comment_that_was_told_before(ledger):
    ledger.keep(event("e1", comment(), name="comment_created"))
    ledger.keep(event("e2", change(), comment()))
    assert ledger.deliveries() == [("e1", [COMMENT]), ("e2", [CHANGE])]
    found = ledger.verdict("e2")
    assert found["verdict"] == "deliver"
    assert found["reason"] == f"everything; without effects reported before: {COMMENT} (event e1)"
    ledger.keep(event("e3", change(), comment()))
    assert ledger.outcome("e3") == "duplicate"
    assert ledger.verdict("e3")["reason"] == f"event e2 reported {CHANGE}, {COMMENT} before"


def test_what_writes_is_marked(ledger):
    ledger.keep(event("e1", change(1), comment()), event("e2", change(2)))
    ledger.keep(event("e3", change(3), comment()))
    found = {row["event"]: bool(row["writes"]) for row in ledger.rows(t.deliveries)}
    assert found == {"e1": True, "e2": False, "e3": False}


@pytest.mark.parametrize("again", [True, False])
def test_draining_twice_changes_nothing(ledger, again):
    ledger.keep(event("e1", change(1)), event("e2", change(2)))
    before = [ledger.rows(table) for table in t.metadata.sorted_tables]
    again = [ledger.entry(event(f"e{n}", change(n)), again=True) for n in (1, 2)]
    assert ledger.keep(*again) == {}
    assert [ledger.rows(table) for table in t.metadata.sorted_tables] == before
    ledger.keep(*again, ledger.entry(event("e3", change(3)), again=True))
    assert ledger.deliveries() == [("e1", [CHANGE]), ("e2", ["change:2:1"]), ("e3", ["change:3:1"])]


def test_bodies_are_kept_but_for_duplicates_and_what_must_not_be(ledger):
    ledger.keep(event("e1", change()), event("e2", change()), event("e3"))
    ledger.keep(replace(ledger.entry(event("e4", change(4))), packed=None))
    kept = {row["id"]: row["body"] is not None for row in ledger.rows(t.events)}
    assert kept == {"e1": True, "e2": False, "e3": True, "e4": False}


def test_accepting_tells_which_lanes_have_something_to_do(ledgers):
    ledger = ledgers(plan(route(destinations=("aha", "crm")), route("b", destinations=("aha",))))
    assert ledger.keep(event("e1", change(1)), event("e2", change(2))) == {"aha": 1, "crm": 1}
    assert ledger.keep(event("e3", change(3), record="3")) == {"aha": 1, "crm": 1}
    assert ledger.keep(event("e4", change(3), record="3")) == {}
    assert ledger.keep(event("e5")) == {}
    assert ledger.keep() == {}


# Thin and fuller


def settled(ledger):
    """Tell who carries the comment, and what became of both tellings."""
    [(carrier, effects)] = ledger.deliveries()
    [row] = ledger.rows(t.deliveries)
    assert ledger.holders() == dict.fromkeys(effects, carrier)
    assert row["hold_until"] is None
    assert ledger.lane()["next_at"] == ledger.now
    return carrier, effects, ledger.outcomes()


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("first", ["thin", "fuller"])
@pytest.mark.parametrize("effects", [(comment(),), (change(), comment())])
def test_the_fuller_carrier_is_sent_whichever_came_first(ledger, together, first, effects):
    given = [thin("t1"), event("f1", *effects)]
    given = given if first == "thin" else given[::-1]
    for batch in [given] if together else [[each] for each in given]:
        ledger.keep(*batch)
    carrier, carried, outcomes = settled(ledger)
    assert (carrier, sorted(carried)) == ("f1", sorted(e.identity for e in effects))
    assert outcomes == {"f1": "deliver", "t1": "duplicate"}
    assert ledger.verdict("t1")["first"] == "f1"
    if first == "thin":
        reason = "event f1 reports the same change in full and takes its place"
        assert ledger.verdict("t1")["reason"] == reason
        assert ledger.verdict("t1")["route"] == "platform"


COPIES = [
    thin("t1"),
    thin("t2", hook="second"),
    event("f1", comment()),
    event("f2", comment(), hook="second"),
]


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_two_hooks_tell_of_one_comment_four_times(ledger, cut):
    for told in permutations(COPIES):
        wiped(ledger).keep(*told[:cut])
        ledger.keep(*told[cut:])
        fuller = next(each.id for each in told if not each.thin)
        carrier, effects, outcomes = settled(ledger)
        assert (carrier, effects) == (fuller, [COMMENT])
        assert outcomes.pop(fuller) == "deliver"
        assert set(outcomes.values()) == {"duplicate"}


def test_the_fuller_carrier_keeps_the_place_in_the_lane(ledger):
    ledger.keep(thin("t1"))
    ledger.keep(event("e2", change(2)))
    ledger.keep(event("f1", change(), comment()))
    assert ledger.deliveries() == [("f1", [CHANGE, COMMENT]), ("e2", ["change:2:1"])]
    assert ledger.lane()["next_at"] == NOW


def test_the_fuller_carrier_keeps_the_place_in_the_batch(ledger):
    ledger.keep(thin("t1"), event("e2", change(2)), event("f1", comment()))
    assert ledger.deliveries() == [("f1", [COMMENT]), ("e2", ["change:2:1"])]


def test_a_thin_event_waits_for_its_grace_and_later_ones_behind_it(ledger):
    ledger.keep(thin("t1"), event("e2", change(2)))
    assert ledger.outcome("t1") == "undecided"
    assert ledger.lane()["next_at"] == NOW + GRACE
    assert ledger.lease() == []
    ledger.now += GRACE - 1
    assert ledger.lease() == []
    assert ledger.due() == NOW + GRACE
    ledger.now += 1
    [leased] = ledger.lease()
    assert (leased.event, leased.waiting, leased.in_doubt) == ("t1", True, False)
    assert ledger.lease() == []


def test_a_fuller_carrier_that_comes_after_the_decision_is_the_duplicate(ledger):
    ledger.keep(thin("t1"))
    ledger.now += GRACE
    [leased] = ledger.lease()
    assert ledger.run(
        lambda c, now: send_after_grace(c, now, leased, verdict(COMMENT, by="platform"))
    )
    ledger.keep(event("f1", change(), comment()))
    assert ledger.outcomes() == {"t1": "deliver", "f1": "deliver"}
    assert ledger.deliveries() == [("t1", [COMMENT]), ("f1", [CHANGE])]
    assert ledger.settle(leased)
    [next_] = ledger.lease()
    assert (next_.event, next_.identities) == ("f1", (CHANGE,))


def test_a_fuller_carrier_that_comes_while_it_is_being_decided_is_sent(ledger):
    ledger.keep(thin("t1"))
    ledger.now += GRACE
    [leased] = ledger.lease()
    assert ledger.keep(event("f1", comment())) == {"aha": 1}
    assert not ledger.run(lambda c, now: send_after_grace(c, now, leased, verdict(COMMENT)))
    [taken] = ledger.lease()
    assert (taken.event, taken.waiting, taken.fence) == ("f1", False, leased.fence + 1)
    ledger.run(lambda c, now: drop_after_grace(c, now, leased, verdict(name="filtered")))
    assert ledger.outcomes() == {"t1": "duplicate", "f1": "deliver"}
    assert ledger.settle(taken)


def test_what_was_dropped_may_be_told_again(ledger):
    ledger.keep(thin("t1"))
    ledger.now += GRACE
    [leased] = ledger.lease()
    ledger.run(lambda c, now: drop_after_grace(c, now, leased, verdict(name="filtered")))
    assert ledger.outcome("t1") == "filtered"
    assert ledger.holders() == {}
    assert ledger.lane()["next_at"] is None
    ledger.keep(event("f1", comment()))
    assert ledger.deliveries() == [("f1", [COMMENT])]


def test_destinations_decide_apart(ledgers):
    both = plan(route("a", destinations=("aha", "crm")))
    ledger = ledgers(both)
    ledger.keep(thin("t1"))
    ledger.now += GRACE
    [leased] = ledger.lease(to="crm")
    ledger.run(lambda c, now: drop_after_grace(c, now, leased, verdict(name="filtered", to="crm")))
    assert ledger.outcome("t1") == "undecided"
    ledger.keep(event("f1", comment()))
    assert ledger.deliveries("aha") == [("f1", [COMMENT])]
    assert ledger.deliveries("crm") == [("f1", [COMMENT])]
    assert ledger.verdict("t1", "aha")["verdict"] == "duplicate"
    assert ledger.verdict("t1", "crm")["verdict"] == "filtered"
    assert ledger.outcome("t1") == "duplicate"


@pytest.mark.parametrize("together", [True, False])
def test_a_fuller_telling_that_no_route_wants_ends_the_waiting(ledgers, together):
    ledger = ledgers(plan(route(when=PLAT, destinations=("aha", "crm"))))
    given = [thin("t1"), event("f1", comment(), body=issue("OPS-1")), event("e2", change(2))]
    for batch in [given] if together else [[each] for each in given]:
        ledger.keep(*batch)
    for to in ("aha", "crm"):
        assert ledger.deliveries(to) == [("e2", ["change:2:1"])]
        assert ledger.holders(to) == {"change:2:1": "e2"}
        assert ledger.lane(to)["next_at"] == NOW
        assert ledger.verdict("t1", to)["first"] == "f1"
        reason = "event f1 reports the same change in full, and no route accepts it"
        assert ledger.verdict("t1", to)["reason"] == reason
    assert ledger.outcomes() == {"t1": "duplicate", "f1": "filtered", "e2": "deliver"}


@pytest.mark.parametrize("together", [True, False])
def test_what_another_hooks_routes_do_not_want_ends_no_waiting(ledgers, together):
    ledger = ledgers(plan(route("a"), route("b", InProject("OPS"), hooks=("second",))))
    given = [thin("t1"), event("f2", comment(), hook="second"), event("f1", comment())]
    for batch in [given] if together else [[each] for each in given]:
        ledger.keep(*batch)
    assert ledger.deliveries() == [("f1", [COMMENT])]
    assert ledger.outcomes() == {"t1": "duplicate", "f2": "filtered", "f1": "deliver"}
    assert ledger.verdict("t1")["first"] == "f1"


@pytest.mark.parametrize("together", [True, False])
def test_a_hook_that_tells_no_more_is_still_heard(ledgers, together):
    ledger = ledgers(plan(route("a"), route("b", InProject("OPS"), hooks=("second",))))
    given = [thin("t1"), event("f2", comment(), hook="second")]
    for batch in [given] if together else [[each] for each in given]:
        ledger.keep(*batch)
    assert ledger.deliveries() == [("t1", [COMMENT])]
    assert ledger.outcome("t1") == "undecided"
    assert ledger.holders() == {COMMENT: "t1"}


def test_what_arrives_in_a_blocked_lane_waits_for_an_operator(ledger):
    ledger.keep(event("e1", change(1)))
    [leased] = ledger.lease()
    ledger.settle(leased, State.PARKED)
    ledger.keep(event("e2", change(2)))
    assert ledger.lane()["next_at"] is None
    ledger.now += 10**9
    assert ledger.lease() == []
    assert ledger.due() is None


def test_what_one_hook_does_not_want_another_may_carry_in_the_same_batch(ledgers):
    ledger = ledgers(plan(route("a", InProject("OPS")), route("b", hooks=("second",))))
    ledger.keep(thin("t1"), event("f1", comment()), event("f2", comment(), hook="second"))
    assert ledger.deliveries() == [("f2", [COMMENT])]
    assert ledger.holders() == {COMMENT: "f2"}
    assert ledger.outcomes() == {"t1": "duplicate", "f1": "filtered", "f2": "deliver"}


def test_the_comment_is_private_or_an_echo_and_the_change_is_not(ledgers):
    ledger = ledgers(plan(route(), route("with", comments=Comments(private="keep"))))
    ledger.keep(event("e1", change(), comment(private=True)))
    assert ledger.deliveries() == [("e1", [CHANGE]), ("e1", [COMMENT])]
    ledger.keep(
        event("e2", change(2), comment(11, echo="ours")), event("e3", comment(11, echo="o"))
    )
    assert ledger.deliveries()[2:] == [("e2", ["change:2:1"])]
    assert ledger.outcome("e3") == "echo"


def test_an_unwanted_comment_ends_its_twin_though_the_change_is_wanted(ledgers):
    ledger = ledgers(plan(route("c", events=frozenset({"issue_updated"})), route("d", PLAT)))
    ledger.keep(thin("t1"))
    ledger.keep(event("f1", change(), comment(), body=issue("OPS-1")))
    assert ledger.deliveries() == [("f1", [CHANGE])]
    assert ledger.outcomes() == {"t1": "duplicate", "f1": "deliver"}


def test_a_thin_event_in_another_lane_is_taken_out_of_it(ledgers):
    named = route(events=frozenset({"comment_created", "issue_updated"}))
    for together in (True, False):
        ledger = ledgers(plan(named))
        n = int(together)
        given = [thin(f"t{n}", comment(n), record=""), event(f"f{n}", comment(n))]
        for batch in [given] if together else [[each] for each in given]:
            ledger.keep(*batch)
        [row] = ledger.rows(t.deliveries, event=f"f{n}")
        [lane] = ledger.rows(t.lanes, id=row["lane"])
        assert lane["record"] == "jira/1"
        assert ledger.rows(t.deliveries, event=f"t{n}") == []
        assert ledger.outcome(f"t{n}") == "duplicate"
        assert ledger.holders()[comment(n).identity] == f"f{n}"


def test_a_thin_event_that_an_operator_has_in_hand_is_not_taken_over(ledger):
    ledger.keep(thin("t1"))
    ledger.now += GRACE
    [leased] = ledger.lease()
    assert ledger.settle(leased, State.PARKED, cause="mistake")
    ledger.keep(event("f1", comment()))
    assert ledger.deliveries() == [("t1", [COMMENT])]
    assert ledger.outcomes() == {"t1": "undecided", "f1": "duplicate"}


# Deletions


@pytest.mark.parametrize("together", [True, False])
def test_what_comes_after_a_deletion_is_stale(ledger, together):
    given = [
        event("d1", deletion(), full=False),
        event("e1", comment(), full=False),
        event("e2", change(), comment()),
        thin("t1"),
    ]
    for batch in [given] if together else [[each] for each in given]:
        ledger.keep(*batch)
    assert ledger.deliveries() == [("d1", [DELETED]), ("e2", [CHANGE])]
    assert ledger.outcomes() == {
        "d1": "deliver",
        "e1": "stale",
        "e2": "deliver",
        "t1": "stale",
    }
    told = "event d1 reported the comment's deletion before"
    assert ledger.verdict("e1")["reason"] == told
    assert ledger.verdict("e2")["reason"] == f"everything; stale in part: {told}"


def test_a_deletion_counts_though_no_route_wants_it(ledgers):
    ledger = ledgers(plan(route(events=frozenset({"comment_created"}))))
    ledger.keep(event("d1", deletion(), full=False))
    ledger.keep(event("e1", comment()))
    assert ledger.deliveries() == []
    assert ledger.outcome("e1") == "stale"
    assert ledger.verdict("e1")["reason"].startswith("event d1 ")


@pytest.mark.parametrize("together", [True, False])
def test_what_came_before_a_deletion_goes_before_it(ledger, together):
    given = [event("e1", comment()), event("d1", deletion()), event("d2", deletion(11))]
    for batch in [given] if together else [[each] for each in given]:
        ledger.keep(*batch)
    assert [each for each, _ in ledger.deliveries()] == ["e1", "d1", "d2"]


def test_a_deletion_at_another_site_or_of_another_comment_says_nothing(ledgers):
    ledger = ledgers(plan(route(hooks=("main", "other"))))
    ledger.keep(event("d1", deletion(), hook="other", site="other"), event("d2", deletion(11)))
    ledger.keep(event("e1", comment()))
    assert ledger.outcome("e1") == "deliver"


def test_a_verdict_that_wants_nothing_stays_when_its_effects_are_stale(ledgers):
    ledger = ledgers(plan(route(), ignored=("robot",)))
    ledger.keep(event("d1", deletion()))
    ledger.keep(event("e1", comment(), handles=frozenset({"robot"})))
    assert ledger.outcome("e1") == "echo"


# Memory

SIX = {"issue": {"id": "1", "key": "", "fields": {}}}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("key", "unknown", "outcome"),
    [
        ("PLAT-1", ("remember", "drop"), "deliver"),
        ("OPS-1", ("remember", "deliver"), "filtered"),
        ("", ("remember", "drop"), "filtered"),
        ("", ("remember", "deliver"), "deliver"),
        ("PLAT-1", ("drop",), "filtered"),
    ],
)
def test_the_latest_full_body_decides(ledgers, together, key, unknown, outcome):
    ledger = ledgers(plan(route(when=PLAT, unknown=unknown)))
    older = event("e1", change(1), body=issue("X-1"))
    full = event("e2", change(2), body=issue(key) if key else SIX, full=bool(key))
    elsewhere = event("e3", change(3), record="2", body=issue("Y-1"))
    asked = event("e4", comment(), full=False, body=SIX)
    given = [older, full, elsewhere, asked] if key else [elsewhere, asked]
    for batch in [given] if together else [[each] for each in given]:
        ledger.keep(*batch)
    assert ledger.outcome("e4") == outcome
    reason = ledger.verdict("e4")["reason"]
    assert ("as remembered from event e2 of 2024-05-01 08:00:00 UTC" in reason) is (
        bool(key) and "remember" in unknown
    )
    if not key:
        assert "nothing is remembered of the record" in reason


def test_nothing_is_remembered_of_no_record(ledgers):
    named = route(when=PLAT, unknown=("remember", "drop"), events=frozenset({"comment_created"}))
    ledger = ledgers(plan(named))
    ledger.keep(event("e1", comment(1), record="", key=""))
    ledger.keep(event("e2", comment(2), record="", key="", full=False, body={}))
    assert ledger.outcome("e2") == "filtered"


def test_a_fuller_telling_is_found_whatever_became_of_it(ledgers):
    ledger = ledgers(plan(route(when=PLAT)))
    ledger.keep(event("f1", comment(), body=issue("OPS-1")), event("g2", comment(11)))
    with ledger.transaction() as conn:
        found = counterpart_of(conn, thin("t1"))
        assert (found.event, found.counterpart) == ("f1", True)
        assert found.body == issue("OPS-1")
        assert counterpart_of(conn, thin("t1", comment(12))) is None
        assert counterpart_of(conn, thin("t1", site="other")) is None
        assert latest_snapshot(conn, "jira", "1").event == "g2"
        assert latest_snapshot(conn, "jira", "2") is None


# What senders may write

HORRID = "a\0b\ud800c"


@pytest.mark.parametrize("long", [300, 5_000])
def test_nothing_that_a_sender_writes_is_refused(ledger, long):
    key = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(long)) + HORRID
    effect = replace(comment(), identity=f"comment:{key}", stale_after=f"deleted:{key}")
    told = event("e1", effect, key=key, record=key, actor=HORRID, name=HORRID, delivery_id=HORRID)
    told = replace(told, time=2**70, attempt=2**40)
    ledger.keep(ledger.entry(told, replace(verdict(effect.identity), reason=HORRID)))
    ledger.keep(ledger.entry(replace(told, id="e2"), verdict(effect.identity)))
    ledger.keep(ledger.entry(replace(told, id="e3", effects=()), verdict(name="filtered")))
    assert ledger.outcomes() == {"e1": "deliver", "e2": "duplicate", "e3": "filtered"}
    [row] = ledger.rows(t.events, id="e1")
    assert (row["time"], row["attempt"]) == (None, 2**31 - 1)
    assert row["actor"] == "a\ufffdb?c"
    [leased] = ledger.lease()
    assert leased.identities == tuple(each.identity for each in leased.effects)
    assert leased.key == row["key"]
    assert len(leased.key) == 250
    assert ledger.settle(leased, outcome="delivered", answer=HORRID)
    kept = storable_event(told)
    assert leased.identities == tuple(each.identity for each in kept.effects), (
        "as it is found again"
    )
    assert storable_event(kept) == kept


def test_what_is_too_long_is_still_told_apart(ledger):
    names = ["x" * 5_000 + str(n) for n in range(3)]
    for n, name in enumerate(names):
        effect = replace(change(), identity=name)
        ledger.keep(ledger.entry(event(f"e{n}", effect, record=name), verdict(name)))
    assert list(ledger.outcomes().values()) == ["deliver"] * 3
    assert len(ledger.rows(t.lanes)) == 3


# Many at once


def test_the_same_effect_from_32_threads(ledgers):
    ledger = ledgers()
    start = threading.Barrier(32)

    def tell(n):
        start.wait()
        ledger.keep(event(f"e{n:02}", change(), comment()))

    threads = [threading.Thread(target=tell, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.deliveries()) == 1
    assert sorted(ledger.outcomes().values()) == ["deliver", *["duplicate"] * 31]


# Laws

EFFECTS = [change(1), change(2), comment(10), comment(11), deletion(10)]


@st.composite
def streams(draw):
    """Make batches of events, thin ones among them."""
    told = draw(
        st.lists(
            st.tuples(
                st.lists(st.sampled_from(EFFECTS), max_size=3, unique=True),
                st.booleans(),
                st.sampled_from(["main", "second"]),
                st.sampled_from(["PLAT-1", "OPS-1"]),
            ),
            max_size=12,
        )
    )
    events = []
    for n, (effects, is_thin, hook, key) in enumerate(told):
        if is_thin:
            events.append(thin(f"e{n:02}", draw(st.sampled_from(EFFECTS[2:4])), hook=hook))
        else:
            events.append(event(f"e{n:02}", *effects, hook=hook, body=issue(key)))
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=4)))
    edges = [0, *cuts, len(events)]
    return [events[a:b] for a, b in pairwise(edges)]


ROUTES = plan(
    route("a", hooks=("main", "second"), destinations=("aha", "crm")),
    route("b", PLAT, hooks=("second",), events=frozenset({"comment_created"})),
    ignored=("robot",),
)
MODEST = settings(max_examples=settings().max_examples // 4)


def test_every_effect_is_held_once_and_by_who_carries_it(ledgers):
    kept = ledgers(ROUTES)

    @MODEST
    @given(streams())
    def law(batches):
        ledger = wiped(kept)
        for batch in batches:
            ledger.keep(*batch)
        known = ledger.outcomes()
        assert sorted(known) == [each.id for batch in batches for each in batch]
        told = ledger.rows(t.verdicts)
        assert all(v["first"] in known for v in told if v["verdict"] == "duplicate")
        for to in ("aha", "crm"):
            queued = ledger.deliveries(to)
            carried = [(name, who) for who, names in queued for name in names]
            assert sorted(carried) == sorted(ledger.holders(to).items()), "held, and once"
            sent = [v for v in told if v["verdict"] in ("deliver", "undecided")]
            assert {v["event"] for v in sent if v["destination"] == to} == {w for w, _ in queued}

    law()


def test_no_effect_is_lost(ledgers):
    """What some route wants of an event is carried by some event, unless it is deleted then."""
    kept = ledgers(ROUTES)

    @MODEST
    @given(streams())
    def law(batches):
        ledger = wiped(kept)
        wanted, deleted = set(), set()
        for each in (each for batch in batches for each in batch):
            stale = {e.identity for e in each.effects if e.stale_after in deleted}
            deleted.update(e.identity for e in each.effects)
            for found in ROUTES.judge(each, NOW):
                if found.name in ("deliver", "undecided"):
                    wanted.update((found.destination, name) for name in {*found.identities} - stale)
        for batch in batches:
            ledger.keep(*batch)
        carried = {(to, name) for to in ("aha", "crm") for name in ledger.holders(to)}
        gone = {e.identity for e in EFFECTS if e.stale_after in deleted}
        assert {name for _, name in wanted - carried} <= gone

    law()


def test_rows_speak_json(ledger):
    ledger.keep(event("e1", change(), comment()))
    [row] = ledger.rows(t.events)
    assert orjson.loads(row["effects"]) == [
        [CHANGE, "issue_updated", "changelog", False],
        [COMMENT, "comment_created", "comment", True],
    ]
