"""Reading: every filter of the log, its pages, one event's whole life, and the account."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import GRACE, NOW, Ledger, verdict
from made_up import InProject, change, comment, deletion, event, issue, plan, route, thin

from bridge.model import State
from bridge.store import operators
from bridge.store import schema as t
from bridge.store.history import LogEntry, Query, deliveries, entries
from bridge.store.history.entries import PAGE
from bridge.store.history.events import history_of
from bridge.store.history.totals import count as count_totals

HOUR = 3_600_000


def read(ledger, limit=None, newest=False, **asked):
    with ledger.transaction() as conn:
        return list(entries.read(conn, Query(**asked), limit=limit, newest=newest))


def events(found):
    return [line.event for line in found]


@pytest.fixture
def story(ledgers):
    """Return a ledger in which something of everything happened."""
    ledger = ledgers(
        plan(
            route("a", InProject("PLAT"), hooks=("main", "second"), destinations=("aha", "crm")),
            route("b", InProject("PLAT"), hooks=("main", "second"), events=frozenset({"x"})),
            route("filtered", InProject("OPS"), destinations=("crm",)),
            ignored=("robot",),
        )
    )
    known = [
        event("e1", change(1), key="PLAT-1", record="1"),
        event("e2", change(1), key="PLAT-1", record="1", hook="second", received=NOW + HOUR),
        thin("e3", comment(3), record="3", received=NOW + HOUR),
        event("e4", change(4), body=issue("OPS-4"), key="OPS-4", record="4", received=NOW + HOUR),
        event("e5", change(5), handles=frozenset({"robot"}), record="5", key="PLAT-5"),
        event("e6", change(6), hook="nobody", record="6", key="PLAT-6", received=NOW + 2 * HOUR),
    ]
    ledger.keep(known[0])
    [leased] = ledger.lease()
    ledger.settle(leased, State.PARKED, outcome="refused", status=422, answer="no")
    [leased] = ledger.lease(to="crm")
    ledger.settle(leased, outcome="delivered", status=200)
    for each in known[1:]:
        ledger.keep(each)
    return ledger


def test_what_a_line_says(story):
    first, second, *_ = read(story)
    assert first == LogEntry(
        event="e1",
        received=NOW,
        hook="main",
        source="jira",
        name="jira:issue_updated",
        record="1",
        key="PLAT-1",
        route="a",
        destination="aha",
        verdict="deliver",
        stage="passes_filter",
        reason="project is PLAT",
        state="parked",
        identities=("change:1:1",),
        error="no",
    )
    assert (second.destination, second.state) == ("crm", "delivered")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["e1", "e2", "e3", "e4", "e5", "e6"]),
        ({"issue": "PLAT-1"}, ["e1", "e2"]),
        ({"issue": "4"}, ["e4"]),
        ({"issue": "nothing"}, []),
        ({"hook": "second"}, ["e2"]),
        ({"route": "b"}, ["e1", "e2", "e3", "e5"]),
        ({"route": "filtered"}, ["e4"]),
        ({"destination": "crm"}, ["e1", "e2", "e3", "e4", "e5"]),
        ({"verdict": "deliver"}, ["e1", "e4"]),
        ({"verdict": "duplicate"}, ["e2"]),
        ({"verdict": "undecided"}, ["e3"]),
        ({"verdict": "echo"}, ["e5"]),
        ({"verdict": "filtered"}, ["e1", "e2", "e3", "e4", "e5", "e6"]),
        ({"verdict": "rejected"}, []),
        ({"verdict": "deliver", "destination": "crm"}, ["e1", "e4"]),
        ({"verdict": "filtered", "route": "a"}, []),
        ({"verdict": "deliver", "route": "filtered"}, ["e4"]),
        ({"stage": "passes_filter"}, ["e1", "e3", "e4"]),
        ({"stage": "claimed"}, ["e2"]),
        ({"stage": "not_an_echo"}, ["e5"]),
        ({"stage": "routed"}, ["e1", "e4", "e5", "e6"]),
        ({"stage": "read"}, []),
        ({"stage": "passes_filter", "route": "a"}, ["e1", "e3"]),
        ({"stage": "asked_for", "verdict": "deliver"}, []),
        ({"state": "parked"}, ["e1"]),
        ({"state": "delivered"}, ["e1"]),
        ({"state": "queued", "destination": "aha"}, ["e3"]),
        ({"state": "parked", "destination": "crm"}, []),
        ({"since": NOW + HOUR}, ["e2", "e3", "e4", "e6"]),
        ({"until": NOW + HOUR}, ["e1", "e5"]),
        ({"since": NOW + HOUR, "until": NOW + HOUR + 1, "hook": "main"}, ["e3", "e4"]),
        ({"after": "e4"}, ["e5", "e6"]),
        ({"after": "e6"}, []),
    ],
)
def test_filters(story, asked, found):
    told = read(story, **asked)
    assert list(dict.fromkeys(events(told))) == found, "in order of arrival"
    assert {*events(read(story, newest=True, **asked))} == {*found}
    for line in told:
        for name in ("route", "destination", "verdict", "stage", "state", "hook"):
            if asked.get(name):
                assert getattr(line, name) == asked[name]


def test_what_all_routes_let_go_is_one_line(ledgers):
    ledger = ledgers(
        plan(
            route("a", events=frozenset({"x"}), destinations=("aha", "crm")),
            route("b", events=frozenset({"y"}), destinations=("crm",)),
        )
    )
    ledger.keep(event("e1", change()))
    [line] = read(ledger)
    assert (line.verdict, line.route, line.destination) == ("filtered", "", "")
    assert line.reason == "issue_updated is not among the route's events"
    [line] = read(ledger, route="a")
    assert (line.route, line.destination) == ("a", "")
    [line] = read(ledger, route="b")
    assert (line.route, line.destination) == ("b", "crm")


def test_reasons_that_differ_are_all_told(ledgers):
    ledger = ledgers(plan(route("a", events=frozenset({"x"})), route("b", InProject("OPS"))))
    ledger.keep(event("e1", change(), body={"issue": {"fields": {"project": {"key": "PLAT"}}}}))
    [line] = read(ledger)
    assert line.reason == "issue_updated is not among the route's events; project is PLAT"


def test_two_deliveries_to_one_destination_have_a_state_each(ledgers):
    ledger = ledgers(
        plan(
            route("a", events=frozenset({"issue_updated"})),
            route("b", events=frozenset({"comment_created"})),
        )
    )
    ledger.keep(event("e1", change(), comment()))
    [leased] = ledger.lease()
    ledger.settle(leased)
    assert {line.route: line.state for line in read(ledger)} == {"a": "delivered", "b": "queued"}
    assert [line.route for line in read(ledger, state="queued")] == ["b"]


def test_pages(sqlite):
    ledger = Ledger(sqlite)
    count = 2 * PAGE + 50
    for start in range(0, count, 50):
        ledger.keep(
            *(event(f"e{n:03}", change(n // 3), record=str(n)) for n in range(start, start + 50))
        )
    names = [f"e{n:03}" for n in range(count)]
    assert events(read(ledger)) == names
    assert events(read(ledger, newest=True)) == names[::-1]
    assert events(read(ledger, limit=PAGE + 7)) == names[: PAGE + 7]
    assert events(read(ledger, limit=PAGE + 7, newest=True)) == names[: -PAGE - 8 : -1]
    assert events(read(ledger, limit=count + 1)) == names
    assert events(read(ledger, limit=0)) == []
    firsts = [name for n, name in enumerate(names) if n % 3 == 0]
    assert events(read(ledger, verdict="deliver", limit=100)) == firsts[:100]
    assert events(read(ledger, verdict="deliver", route="platform", limit=100)) == firsts[:100]
    assert events(read(ledger, after="e399", newest=True, limit=2)) == ["e449", "e448"]
    ledger.close()


def test_the_limit_counts_what_is_told(ledgers):
    """Events that pass the database's coarse look, and then have nothing to tell, do not count."""
    ledger = ledgers(plan(route("a"), route("b", events=frozenset({"comment_created"}))))
    ledger.keep(event("e1", comment()))
    ledger.keep(*(event(f"f{n}", change(n)) for n in range(5)))
    told = read(ledger, limit=1, newest=True, route="b", verdict="duplicate")
    assert events(told) == ["e1"]


# One event's life


def test_the_whole_life_of_an_event(story):
    with story.transaction() as conn:
        [parcel] = deliveries.blocked(conn, states=["parked"])
        operators.retry(conn, story.now, parcel.id, who="ana")
        told = history_of(conn, "e1")
        assert history_of(conn, "nothing") is None
    assert told.event["id"] == "e1"
    assert told.event["effects"] == ["change:1:1"]
    assert b"PLAT-1" in told.body
    assert [(v["route"], v["destination"], v["verdict"]) for v in told.verdicts] == [
        ("a", "aha", "deliver"),
        ("a", "crm", "deliver"),
        ("b", "aha", "filtered"),
        ("", "", "filtered"),
    ]
    assert [(d["destination"], d["state"], d["effects"]) for d in told.deliveries] == [
        ("aha", "queued", ["change:1:1"]),
        ("crm", "delivered", ["change:1:1"]),
    ]
    assert [(a["outcome"], a["status"], a["answer"]) for a in told.attempts] == [
        ("refused", 422, "no"),
        ("delivered", 200, ""),
    ]
    assert [(s["event"], s["hook"]) for s in told.sightings] == [("e1", "main"), ("e2", "second")]
    assert [(a["who"], a["what"]) for a in told.actions] == [("ana", "retry")]


def test_the_life_of_an_event_whose_body_is_not_kept(ledger):
    ledger.keep(event("e1", change()), event("e2", change()))
    with ledger.transaction() as conn:
        told = history_of(conn, "e2")
    assert told.body is None
    assert told.deliveries == told.attempts == told.actions == ()


# The account

EFFECTS = [change(1), change(2), comment(10), comment(11), deletion(10)]
OUTCOMES = st.sampled_from(["delivered", "retrying", "parked", "in_doubt"])


def test_the_account_of_an_empty_database(ledger):
    with ledger.transaction() as conn:
        told = count_totals(conn)
    assert (told.events, told.deliveries, told.open, told.oldest) == ({}, {}, {}, None)
    assert told.destinations == {
        "aha": {"paused": "", "blocked_until": 0, "failures": 0, "opened": 0, "anyone_at": 0}
    }


def test_the_account_adds_up(ledgers):
    kept = ledgers(
        plan(
            route("a", InProject("PLAT"), destinations=("aha", "crm")),
            route("b", events=frozenset({"comment_created"}), hooks=("main", "second")),
            ignored=("robot",),
        )
    )
    told = st.tuples(
        st.lists(st.sampled_from(EFFECTS), max_size=3, unique=True),
        st.sampled_from(["main", "second", "nobody"]),
        st.sampled_from(["PLAT-1", "OPS-1"]),
        st.sampled_from(["", "robot"]),
        st.booleans(),
    )

    @settings(max_examples=settings().max_examples // 4)
    @given(st.lists(told, max_size=10), st.lists(OUTCOMES, max_size=10))
    def law(stream, outcomes):
        with kept.transaction() as conn:
            for table in t.metadata.sorted_tables:
                if table.name != "destinations":
                    conn.execute(table.delete())
        for n, (effects, hook, key, who, is_thin) in enumerate(stream):
            made = thin if is_thin and effects and effects[0].stale_after else event
            given = made(f"e{n}", *effects[: 1 if made is thin else 3], hook=hook)
            body = {} if made is thin else issue(key)
            kept.keep(replace(given, body=body, handles=frozenset({who} - {""})))
        kept.now += GRACE
        for outcome in outcomes:
            for leased in kept.lease():
                kept.settle(leased, State(outcome), delay_ms=GRACE)
        kept.now -= GRACE
        with kept.transaction() as conn:
            found = count_totals(conn)
            told = list(entries.read(conn, Query(), limit=None, newest=False))
        assert sum(found.events.values()) == len(stream)
        assert {line.event for line in told} == {f"e{n}" for n in range(len(stream))}
        rows = kept.rows(t.deliveries)
        assert sum(found.deliveries.values()) == len(rows)
        carried = [v for v in kept.rows(t.verdicts) if v["verdict"] in ("deliver", "undecided")]
        assert len(carried) == len(rows), "each has its delivery"
        unfinished = sum(sum(states.values()) for states in found.open.values())
        assert unfinished == len(rows) - found.deliveries.get("delivered", 0)
        assert (found.oldest is None) is (unfinished == 0)
        strongest = {}
        for line in told:
            strongest.setdefault(line.event, set()).add(line.verdict)
        outcomes_told = kept.outcomes()
        assert all(outcomes_told[name] in said for name, said in strongest.items())

    law()


def test_a_verdict_without_a_name_of_its_own(ledger):
    ledger.keep(ledger.entry(event("e1", change()), verdict(name="rejected", to="", by="")))
    assert [line.verdict for line in read(ledger, verdict="rejected")] == ["rejected"]
