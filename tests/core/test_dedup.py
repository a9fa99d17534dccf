"""Deduplication, step by step: each branch by a table, with a database in memory."""

from dataclasses import replace

import pytest
from in_memory import GRACE_MS, NOW, InMemory
from made_up import InProject, change, comment, deletion, event, issue, plan, route, thin

from bridge.core.dedup import STEPS
from bridge.core.dedup.changes import Entry, MovedClaim
from bridge.core.dedup.claims import Claims
from bridge.model import Verdict, VerdictName

CHANGE, COMMENT = change().identity, comment().identity
EVERYTHING = plan(route(hooks=("main", "second")))
#: The hook `main` wants what is in OPS, and `second` what is in PLAT.
APART = plan(
    route("ops", InProject("OPS"), hooks=("main",)),
    route("plat", InProject("PLAT"), hooks=("second",)),
)
BOTH = pytest.mark.parametrize("together", [True, False])


def kept(*given, together=True, by=EVERYTHING):
    memory = InMemory(by)
    for batch in [given] if together else [[each] for each in given]:
        memory.keep(*batch)
    return memory


def outcomes(memory, to="aha"):
    return {event: memory.verdict(event, to).name.value for event in memory.events}


def test_the_steps_stand_in_one_list():
    assert [step.__name__ for step in STEPS] == [
        "drop_deleted",
        "take_claims",
        "drop_stale",
        "drop_duplicate",
        "deliver",
    ]


# Claims


@BOTH
def test_a_second_event_of_an_effect_is_a_duplicate(together):
    memory = kept(event("e1", change()), event("e2", change(), hook="second"), together=together)
    assert memory.carried() == [("e1", (CHANGE,))]
    found = memory.verdict("e2")
    assert (found.name, found.first) == (VerdictName.DUPLICATE, "e1")
    assert (found.reason, found.identities) == (f"event e1 reported {CHANGE} before", ())


def test_a_second_route_of_an_event_is_a_duplicate():
    memory = InMemory(plan(route("a"), route("b")))
    changes = memory.keep(event("e1", change()))
    _, second = changes.verdicts["e1"]
    assert (second.name, second.first, second.route) == (VerdictName.DUPLICATE, "e1", "b")
    assert second.reason == "another route of this event already carries it"


@BOTH
def test_an_event_goes_out_without_the_effects_that_others_carry(together):
    memory = kept(event("e1", comment()), event("e2", change(), comment()), together=together)
    assert memory.carried() == [("e1", (COMMENT,)), ("e2", (CHANGE,))]
    reason = f"everything; without effects reported before: {COMMENT} (event e1)"
    assert memory.verdict("e2").reason == reason


def test_a_verdict_that_wants_nothing_stays_as_it_is():
    by = plan(route(), ignored=("robot",))
    memory = kept(event("e1", change(), handles=frozenset({"robot"})), by=by)
    assert outcomes(memory) == {"e1": "echo"}
    assert (memory.claims, memory.rows) == ({}, {})


@BOTH
def test_an_effect_is_also_known_by_its_other_identities(together):
    first = replace(comment(), identity="a", also=("b",))
    second = replace(comment(), identity="b", also=("a", "c"))
    memory = kept(event("e1", first), event("e2", second), together=together)
    assert outcomes(memory) == {"e1": "deliver", "e2": "duplicate"}
    assert memory.held() == dict.fromkeys("abc", "e1"), "all of them belong to the first event"


def test_an_effect_that_an_older_version_claimed_is_a_duplicate():
    memory = InMemory(EVERYTHING)
    memory.claims["aha", "jira", "old"] = "e0"
    memory.keep(event("e1", replace(change(), formerly="old")))
    assert memory.verdict("e1").first == "e0"
    assert memory.held() == {"old": "e0"}


def test_an_identity_that_no_effect_has_is_claimed_all_the_same():
    verdict = Verdict(name=VerdictName.DELIVER, reason="so", destination="aha", identities=("x",))
    memory = InMemory(EVERYTHING)
    memory.keep(Entry(event=event("e1"), verdicts=(verdict,), packed=None))
    assert memory.held() == {"x": "e1"}


def test_claims_are_moved_and_released_by_what_their_rows_name():
    claims = Claims({("aha", "jira", "a"): "e1"}, {("aha", "jira", "b"): "e0"})
    a, b, c = (("aha", "jira", name) for name in "abc")
    assert (claims.take([a], "e1"), claims.take([b], "e1")) == ("", "e0")
    assert (claims.holder(a), claims.holder(c)) == ("e1", "")
    claims.release([a], "e1")
    assert claims.released == (a,)
    assert claims.take([a], "e2") == ""
    claims.move([b, c], "e0", "e2")
    assert claims.released == ()
    assert claims.moved == (
        MovedClaim(key=a, before="e1", after="e2"),
        MovedClaim(key=b, before="e0", after="e2"),
        MovedClaim(key=c, before="e0", after="e2"),
    )
    claims.release([c], "e2")
    assert claims.released == (c,)


# Deletions


@BOTH
def test_an_effect_that_is_deleted_is_stale(together):
    memory = kept(
        event("d1", deletion()),
        event("e1", comment()),
        event("e2", change(), comment()),
        event("e3", change(3)),
        together=together,
    )
    assert outcomes(memory) == {"d1": "deliver", "e1": "stale", "e2": "deliver", "e3": "deliver"}
    reason = "event d1 reported the comment's deletion before"
    assert (memory.verdict("e1").reason, memory.verdict("e1").first) == (reason, "d1")
    assert memory.verdict("e2").reason == f"everything; stale in part: {reason}"
    assert memory.held() == {deletion().identity: "d1", CHANGE: "e2", change(3).identity: "e3"}


# Staleness


def changed(id, number, *fields, as_of, **known):
    effect = replace(change(number), sets=fields, **known.pop("effect", {}))
    return event(id, effect, as_of=as_of, change_id=number, **known)


OLDER = changed("older", 1, "status", as_of=1_000)
NEWER = changed("newer", 2, "status", as_of=2_000)


@BOTH
def test_an_event_that_newer_ones_leave_nothing_of_is_stale(together):
    again = replace(OLDER, id="again", effects=(replace(OLDER.effects[0], also=("x",)),))
    memory = kept(NEWER, OLDER, again, together=together)
    assert outcomes(memory) == {"newer": "deliver", "older": "stale", "again": "stale"}
    assert memory.held() == {"change:2:1": "newer"}
    found = memory.verdict("older")
    assert found.first == "newer"
    reason = "event newer was accepted before and is newer: nothing is left to send of change:1:1"
    assert found.reason == reason


@BOTH
def test_an_event_goes_out_late_without_its_stale_effects(together):
    effects = (replace(change(1), sets=("status", "labels")), replace(change(9), sets=("status",)))
    memory = kept(NEWER, replace(OLDER, effects=(*effects, comment())), together=together)
    assert memory.carried()[1] == ("older", ("change:1:1", COMMENT))
    [row] = [row for row in memory.rows.values() if row.event == "older"]
    assert row.late
    assert memory.verdict("older").reason == (
        "everything; late: sent with the newer state of event newer; "
        "without what was set later: status; without what is stale: change:9:1 (event newer)"
    )


@BOTH
def test_an_event_without_fields_is_not_late_but_leaves_out_what_was_set_later(together):
    effect = replace(change(1), sets=("status", "labels"))
    memory = kept(NEWER, replace(OLDER, effects=(effect,), body={}), together=together)
    assert memory.verdict("older").reason == "everything; without what was set later: status"
    assert [row.late for row in memory.rows.values()] == [False, False]


@BOTH
def test_versions_of_a_comment_are_compared_too(together):
    of = {"of": "comment:10", "event": "comment_updated"}
    new, old = (comment(identity=f"v{n}", version=n, **of) for n in (2, 1))
    memory = kept(event("e2", new), event("e1", old), together=together)
    assert outcomes(memory) == {"e2": "deliver", "e1": "stale"}


@pytest.mark.parametrize(("place", "outcome"), [(NOW - 5_000, "deliver"), (NOW, "stale")])
def test_an_event_from_a_spool_goes_before_a_newer_one_that_waits(place, outcome):
    memory = kept(NEWER)
    memory.keep(replace(memory.entry(OLDER), place=place))
    assert memory.verdict("older").name == outcome


def test_an_event_from_a_spool_moves_the_holder_of_its_effect_forward():
    memory = kept(event("e2", change(2)), event("e1", change(1)))
    assert [who for who, _ in memory.carried()] == ["e2", "e1"]
    for id, place in (("s1", NOW - 20), ("s2", NOW - 10)):
        memory.keep(replace(memory.entry(event(id, change(1))), place=place))
    assert [who for who, _ in memory.carried()] == ["e1", "e2"]
    assert {row.event: row.place for row in memory.rows.values()} == {"e1": NOW - 20, "e2": NOW}


# Takeovers


@BOTH
@pytest.mark.parametrize("first", ["thin", "complete"])
def test_the_complete_event_is_sent_whichever_comes_first(together, first):
    given = [thin("t1"), event("f1", change(), comment())]
    memory = kept(*(given if first == "thin" else given[::-1]), together=together)
    assert memory.carried() == [("f1", (CHANGE, COMMENT))]
    assert outcomes(memory) == {"t1": "duplicate", "f1": "deliver"}
    [row] = memory.rows.values()
    assert (row.hold_until, row.writes) == (None, True)
    assert memory.held() == {CHANGE: "f1", COMMENT: "f1"}


@BOTH
def test_one_event_takes_over_all_thin_events_of_its_comments(together):
    given = (thin("t1", comment(10)), thin("t2", comment(11)))
    memory = kept(*given, event("f1", comment(10), comment(11)), together=together)
    [row] = memory.rows.values()
    assert (row.event, len(row.identities), row.hold_until) == ("f1", 2, None)
    assert outcomes(memory) == {"t1": "duplicate", "t2": "duplicate", "f1": "deliver"}


def test_a_takeover_wakes_the_lane():
    memory = kept(thin("t1"))
    [row] = memory.rows.values()
    assert row.hold_until == NOW + GRACE_MS
    changes = memory.keep(event("f1", comment()))
    assert list(changes.woken.values()) == [NOW + GRACE_MS]


@BOTH
def test_a_thin_event_in_another_lane_is_taken_out_of_it(together):
    by = plan(route(events=frozenset({"comment_created"})))
    memory = kept(thin("t1", record=""), event("f1", comment()), together=together, by=by)
    [row] = memory.rows.values()
    assert (row.event, row.record) == ("f1", "1")
    assert outcomes(memory) == {"t1": "duplicate", "f1": "deliver"}


@BOTH
def test_the_duplicates_of_a_thin_event_follow_the_complete_one(together):
    memory = kept(thin("t1"), thin("t2"), event("f1", comment()), together=together)
    assert {memory.verdict(name).first for name in ("t1", "t2")} == {"f1"}


@BOTH
def test_a_thin_event_whose_complete_one_is_unwanted_ends(together):
    given = thin("t1"), event("f1", comment(), body=issue("PLAT-1")), event("e2", comment(12))
    memory = kept(*given, together=together, by=APART)
    assert memory.carried() == []
    assert memory.held() == {}
    reason = "event f1 reports the same change in full, and no route accepts it"
    assert (memory.verdict("t1").reason, memory.verdict("t1").first) == (reason, "f1")


@BOTH
def test_a_deleted_comment_ends_the_thin_event_of_its_hook(together):
    given = thin("t1"), event("d1", deletion()), event("f1", comment())
    memory = kept(*given, together=together)
    assert memory.carried() == [("d1", (deletion().identity,))]
    assert outcomes(memory) == {"t1": "duplicate", "d1": "deliver", "f1": "stale"}


FIRST, SECOND = thin("t1"), thin("t2", hook="second")
THIRD = thin("t3", hook="second")
UNWANTED = event("f1", comment(), body=issue("PLAT-1"))
BATCHES = pytest.mark.parametrize(
    "batches",
    [
        [[FIRST, SECOND, THIRD, UNWANTED]],
        [[FIRST], [SECOND], [THIRD], [UNWANTED]],
        [[FIRST], [SECOND, THIRD, UNWANTED]],
        [[FIRST, SECOND], [THIRD, UNWANTED]],
    ],
)


@BATCHES
def test_a_duplicate_from_another_hook_inherits_the_place(batches):
    memory = InMemory(APART)
    for batch in batches:
        memory.keep(*batch)
    assert memory.carried() == [("t2", (COMMENT,))]
    assert memory.held() == {COMMENT: "t2"}
    found = {name: memory.verdict(name) for name in ("t1", "t2", "t3")}
    assert [(v.name.value, v.first) for v in found.values()] == [
        ("duplicate", "f1"),
        ("undecided", ""),
        ("duplicate", "t2"),
    ]
    assert found["t2"].route == "plat"
    reason = f"event t1 reported {COMMENT} before, but no route of the hook main accepts it"
    assert found["t2"].reason == reason
    memory.keep(event("f2", comment(), hook="second", body=issue("PLAT-1")))
    assert memory.carried() == [("f2", (COMMENT,))]
    assert {memory.verdict(name).first for name in ("t2", "t3")} == {"f2"}


@BATCHES
def test_all_of_it_in_one_batch_with_the_events_that_follow(batches):
    """The heir of an heir: the second hook's complete event is not wanted either."""
    memory = InMemory(APART)
    unwanted = event("f2", comment(), hook="second", body=issue("OPS-1"))
    *before, last = batches
    for batch in (*before, [*last, unwanted]):
        memory.keep(*batch)
    assert memory.carried() == []
    assert memory.held() == {}
    firsts = {name: memory.verdict(name).first for name in ("t1", "t2")}
    assert firsts == {"t1": "f1", "t2": "f2"}


def test_a_thin_event_that_is_dropped_after_its_grace_hands_its_place_on():
    memory = kept(FIRST, SECOND, together=False, by=APART)
    memory.now += GRACE_MS
    memory.end_grace(False)
    assert memory.carried() == [("t2", (COMMENT,))]
    [row] = memory.rows.values()
    assert row.hold_until == memory.now
    memory.end_grace(False)
    assert (memory.rows, memory.claims) == ({}, {})
    assert outcomes(memory) == {"t1": "filtered", "t2": "filtered"}
