"""What becomes of an event: the stages, memory, moves, and which routes are asked at all."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import InProject, change, comment, event, issue, plan, route, target, thin

from bridge.core import changelog, decide, jira_body, jql
from bridge.core.snapshot import Snapshot, newest_of
from bridge.core.unknown import resolve, wants_snapshot
from bridge.model import Answer, Comments, Event, Route, Site, Stage, VerdictName

NOW = 1_714_550_400_000
DELIVER, FILTERED, ECHO = VerdictName.DELIVER, VerdictName.FILTERED, VerdictName.ECHO
UNDECIDED, FORBIDDEN = VerdictName.UNDECIDED, VerdictName.FORBIDDEN
COMMENT, CHANGE = comment().identity, change().identity
PLAT, OPS = InProject("PLAT"), InProject("OPS")


def told(found):
    return [(v.name, v.destination) for v in found]


def decided(given, by=None, **known):
    return decide.decide(decide.case_of(given, by or route(), now=NOW, **known))


# The stages


@dataclass(frozen=True, kw_only=True)
class Row:
    """An event, a route, and the verdict that they come to."""

    given: Event
    by: Route = field(default_factory=route)
    name: VerdictName
    stage: str
    carried: tuple[str, ...] = (CHANGE,)
    reason: str = "everything"


COMMENTS = frozenset({"comment_created"})
ROWS = {
    "a change": Row(given=event("e", change()), name=DELIVER, stage="passes_filter"),
    "no effect": Row(
        given=event("e"),
        name=FILTERED,
        stage="says_something",
        carried=(),
        reason="the event reports no change",
    ),
    "no effect, and why": Row(
        given=event("e", empty="it is empty"),
        name=FILTERED,
        stage="says_something",
        carried=(),
        reason="it is empty",
    ),
    "about no record": Row(
        given=event("e", change(), record="", name="project_created"),
        name=FILTERED,
        stage="about_a_record",
        reason="project_created is not about a record",
    ),
    "about no record, but asked for": Row(
        given=event("e", change(), record=""),
        by=route(events=frozenset({"issue_updated"})),
        name=DELIVER,
        stage="passes_filter",
    ),
    "one of two effects is asked for": Row(
        given=event("e", change(), comment()),
        by=route(events=COMMENTS),
        name=DELIVER,
        stage="passes_filter",
        carried=(COMMENT,),
    ),
    "none of two effects is asked for": Row(
        given=event("e", change(), comment()),
        by=route(events=frozenset({"issue_deleted"})),
        name=FILTERED,
        stage="asked_for",
        carried=(CHANGE, COMMENT),
        reason="comment_created, issue_updated is not among the route's events",
    ),
    "a change with a private comment": Row(
        given=event("e", change(), comment(private=True)), name=DELIVER, stage="passes_filter"
    ),
    "a private comment": Row(
        given=event("e", comment(private=True)),
        name=FILTERED,
        stage="open_to_all",
        carried=(COMMENT,),
        reason="the comment is private (comments.private: drop)",
    ),
    "a private comment that is kept": Row(
        given=event("e", comment(private=True)),
        by=route(comments=Comments(private="keep")),
        name=DELIVER,
        stage="passes_filter",
        carried=(COMMENT,),
    ),
    "a change with an echo": Row(
        given=event("e", change(), comment(echo="it says so")), name=DELIVER, stage="passes_filter"
    ),
    "an echo": Row(
        given=event("e", comment(echo="it says so")),
        name=ECHO,
        stage="not_an_echo",
        carried=(COMMENT,),
        reason="it says so",
    ),
    "inside the filter": Row(
        given=event("e", change()),
        by=route(when=PLAT),
        name=DELIVER,
        stage="passes_filter",
        reason="project is PLAT",
    ),
    "outside the filter": Row(
        given=event("e", change()),
        by=route(when=OPS),
        name=FILTERED,
        stage="passes_filter",
        reason="project is PLAT",
    ),
    "unknown to the filter": Row(
        given=event("e", change(), body={}),
        by=route(when=PLAT),
        name=UNDECIDED,
        stage="passes_filter",
        reason="unknown: the project is not in the body",
    ),
    "of another site": Row(
        given=event("e", change(), site="gone"),
        by=route(when=PLAT),
        name=UNDECIDED,
        stage="passes_filter",
        reason="unknown: platform is not for the site gone any more",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_stages(row):
    verdict = decided(row.given, row.by)
    found = (verdict.name, verdict.identities, verdict.reason)
    assert found == (row.name, row.carried, row.reason)
    assert verdict.route == row.by.name
    assert verdict.stage == row.stage


def test_a_walk_without_the_filter_ends_with_the_case_that_is_left():
    given = event("e", change(), comment(private=True))
    *_, (name, left) = decide.walk(
        decide.case_of(given, route(when=OPS), now=NOW), decide.BEFORE_FILTER
    )
    assert (name, [each.identity for each in left.effects]) == ("open_to_all", [CHANGE])


def test_a_plan_with_one_route_judges_it_as_among_the_others():
    made = plan(route("a", PLAT), route("b", OPS))
    alone = made.alone("main", made.configuration.routes["a"])
    given = event("e", change())
    assert alone.judge(given, NOW) == made.judge(given, NOW)[:1]


def test_the_stages_of_a_route_are_among_all_stages_in_their_order():
    names = [stage.__name__ for stage in decide.STAGES]
    assert names == [stage for stage in Stage if stage in names]
    assert {row.stage for row in ROWS.values()} == {*names}


@pytest.mark.parametrize(
    ("handles", "name"), [({"sync@acme.example", "x"}, ECHO), ({"ana"}, DELIVER), (set(), DELIVER)]
)
def test_changes_of_an_ignored_actor_are_echoes(handles, name):
    given = event("e", change(), handles=frozenset(handles))
    verdict = decided(given, ignored=frozenset({"sync@acme.example", "robot"}))
    assert verdict.name is name
    assert ("sync@acme.example" in verdict.reason) is (name is ECHO)


def test_an_echo_comes_before_the_filter_and_the_events_before_the_echo():
    given = event("e", comment(echo="it says so"))
    assert decided(given, route(when=OPS)).name is ECHO
    assert decided(given, route(events=frozenset({"issue_updated"}))).name is FILTERED


# Moves


def moved(*items, key="OPS-9", **fields):
    body = {**issue(key, **fields), "changelog": {"items": list(items)}}
    return event("e", change(), body=body, moved=True, key=key)


KEY = {"field": "Key", "fromString": "PLAT-1", "toString": "OPS-9"}
PROJECT = {"field": "project", "from": "id-PLAT", "fromString": "The PLAT", "toString": "The OPS"}


@pytest.mark.parametrize(
    "items",
    [
        [KEY, PROJECT],
        [PROJECT, KEY],
        [PROJECT, {"fieldId": "issuekey", "fromString": "PLAT-1", "toString": "OPS-9"}],
        [PROJECT, {"field": "Vorgangsschlüssel", "fromString": "PLAT-1", "toString": "OPS-9"}],
        [KEY],
    ],
)
def test_a_move_goes_through_where_it_was_inside_before(items):
    given = moved(*items)
    verdict = decided(given, route(when=PLAT))
    assert verdict.name is DELIVER
    assert verdict.reason == "moves: follow; it was inside before (project is OPS)"
    assert decided(given, route(when=PLAT, moves="filter")).name is FILTERED
    assert decided(given, route(when=InProject("ELSE"))).name is FILTERED
    assert decided(given, route(when=OPS)).reason == "project is OPS"
    assert decided(replace(given, moved=False), route(when=PLAT)).name is FILTERED


def test_a_move_without_the_old_key_goes_through():
    assert decided(moved(PROJECT), route(when=PLAT)).name is DELIVER


@pytest.mark.parametrize(
    ("item", "field", "before"),
    [
        ({"field": "Status", "from": "3", "fromString": "Open"}, "status", "Open"),
        ({"fieldId": "issuetype", "from": "1", "fromString": "Bug"}, "issuetype", "Bug"),
        ({"field": "resolution", "from": None, "fromString": None}, "resolution", None),
        ({"field": "priority", "fromString": "Low"}, "priority", "Low"),
        ({"field": "summary", "fromString": "old"}, "summary", "new"),
        ({}, "summary", "new"),
    ],
)
def test_a_body_before_its_change(item, field, before):
    body = issue(status={"name": "Done"}, summary="new", resolution={"name": "Fixed"})
    after = {**body, "changelog": {"items": [item, "nothing"]}}
    found = jira_body.before_change(after)["issue"]["fields"][field]
    assert (found["name"] if isinstance(found, dict) else found) == before
    assert after["issue"] == body["issue"], "a body is never changed in place"


def test_a_body_before_a_move():
    given = moved(PROJECT, KEY).body
    before = jira_body.before_change(given)["issue"]
    assert before["key"] == "PLAT-1"
    assert before["fields"]["project"] == {"id": "id-PLAT", "name": "The PLAT", "key": "PLAT"}
    assert given["issue"]["key"] == "OPS-9"


@pytest.mark.parametrize(
    "body", [{}, {"issue": None}, {"issue": {"fields": []}}, {"changelog": {"items": 3}}, issue()]
)
def test_a_body_without_a_change_is_as_before(body):
    before = jira_body.before_change(body)
    found = body.get("issue") or {}
    assert before["issue"].get("key") == found.get("key")
    assert changelog.changes(body) == []


# Snapshots


def snapshot(key="PLAT-1", *, counterpart=False, **fields):
    return Snapshot(event="e0", when="then", body=issue(key, **fields), counterpart=counterpart)


def test_the_values_of_a_body_win_over_those_of_a_snapshot():
    body = {"comment": 1, "issue": {"id": "1", "key": "PLAT-2", "fields": {"summary": "new"}}}
    found = jira_body.completed(body, issue("PLAT-1", summary="old", labels=["a"]))
    assert found["comment"] == 1
    assert found["issue"]["key"] == "PLAT-2"
    assert found["issue"]["fields"]["summary"] == "new"
    assert found["issue"]["fields"]["labels"] == ["a"]
    assert found["issue"]["fields"]["project"]["key"] == "PLAT"


fields = st.dictionaries(st.sampled_from("abcde"), st.integers(), max_size=4)


@given(fields, fields)
def test_a_snapshot_adds_values_and_changes_none(known, full):
    found = jira_body.completed({"issue": {"fields": known}}, {"issue": {"fields": full}, "x": 1})
    assert found["issue"]["fields"] == {**full, **known}
    assert "x" not in found


SIX = event("e", comment(), full=False, body={"issue": {"id": "1", "key": "PLAT-1"}})


WITHOUT = "unknown: the project is not in the body"
NOTHING = f"{WITHOUT}; nothing is remembered of the record"
BY_SNAPSHOT = "project is PLAT (as remembered from event e0 of then)"
BY_COUNTERPART = "project is PLAT (as in event e0, which reports the same change)"


@pytest.mark.parametrize(
    ("unknown", "known", "name", "stage", "reason"),
    [
        pytest.param(
            ("remember", "deliver"),
            snapshot(),
            DELIVER,
            "passes_filter",
            BY_SNAPSHOT,
            id="a snapshot decides",
        ),
        pytest.param(
            ("remember", "deliver"),
            snapshot(counterpart=True),
            DELIVER,
            "passes_filter",
            BY_COUNTERPART,
            id="a counterpart decides",
        ),
        pytest.param(
            ("remember", "drop"),
            None,
            FILTERED,
            "unknown",
            f"{NOTHING}; unknown: drop",
            id="no snapshot, then drop",
        ),
        pytest.param(
            ("remember", "deliver"),
            None,
            DELIVER,
            "unknown",
            f"{NOTHING}; unknown: deliver",
            id="no snapshot, then deliver",
        ),
        pytest.param(
            ("deliver",),
            snapshot("OPS-1"),
            DELIVER,
            "unknown",
            f"{WITHOUT}; unknown: deliver",
            id="a snapshot is not asked for: deliver",
        ),
        pytest.param(
            ("drop",),
            snapshot(),
            FILTERED,
            "unknown",
            f"{WITHOUT}; unknown: drop",
            id="a snapshot is not asked for: drop",
        ),
        pytest.param(
            ("drop",),
            snapshot(counterpart=True),
            DELIVER,
            "passes_filter",
            BY_COUNTERPART,
            id="a counterpart decides without being asked for",
        ),
        pytest.param(
            ("remember", "deliver"),
            snapshot("OPS-1"),
            FILTERED,
            "routed",
            "the record is in id-ops, ops, the ops (as remembered from event e0 of then)",
            id="a snapshot of another project",
        ),
        pytest.param(
            ("remember", "drop"),
            Snapshot(event="e0", when="then", body={"issue": {"fields": {}}}),
            FILTERED,
            "unknown",
            f"{WITHOUT} (as remembered from event e0 of then); unknown: drop",
            id="a snapshot that does not help",
        ),
    ],
)
def test_an_undecided_event_is_resolved(unknown, known, name, stage, reason):
    made = plan(route(when=PLAT, unknown=unknown))
    given = replace(SIX, key="", body={"issue": {"id": "1"}})
    [bare] = made.judge(given, NOW)
    assert bare.name is UNDECIDED
    assert wants_snapshot([bare], given)
    [found] = resolve(made, given, NOW, snapshot=known)
    assert (found.name, found.reason) == (name, reason)
    assert found.stage == stage
    assert found.identities == ((COMMENT,) if name is DELIVER else found.identities)


def test_a_snapshot_of_another_project_ends_a_route_that_needs_its_own():
    made = plan(route("a", PLAT), route("b", InProject()))
    given = replace(SIX, body={"issue": {"id": "1"}})
    found = resolve(made, given, NOW, snapshot=snapshot("OPS-1"))
    assert [(v.route, v.name) for v in found] == [("a", FILTERED), ("b", DELIVER)]


@given(
    st.lists(st.sampled_from([PLAT, OPS, InProject()]), min_size=1, max_size=4),
    st.sampled_from([("remember", "deliver"), ("drop",), ("deliver",), ("remember", "drop")]),
    st.sampled_from(
        [None, snapshot(), snapshot("OPS-1"), snapshot(counterpart=True), snapshot("X-1")]
    ),
    st.sampled_from([SIX, thin(), event("e", change()), event("e", change(), body={})]),
)
def test_resolving_leaves_nothing_undecided(filters, unknown, known, given):
    routes = [route(f"r{n}", when, unknown=unknown) for n, when in enumerate(filters)]
    found = resolve(plan(*routes), given, NOW, snapshot=known)
    assert UNDECIDED not in [verdict.name for verdict in found]
    assert all(verdict.identities for verdict in found if verdict.name is DELIVER)


# Every route and every destination


def test_every_route_is_decided_for_every_destination():
    made = plan(
        route("a", destinations=("aha", "crm")),
        route("b", PLAT, destinations=("crm",)),
        route("c", hooks=("second",)),
    )
    found = made.judge(event("e", change()), NOW)
    assert [(v.route, v.destination) for v in found] == [("a", "aha"), ("a", "crm"), ("b", "crm")]


def test_a_repaired_body_is_part_of_every_reason():
    given = event("e1", change(), note="half a character was read as U+FFFD")
    plain = plan(route(), route("mobile", InProject("MOB"))).judge(given, NOW)
    assert len(plain) == 2
    assert all(
        verdict.reason.endswith("; half a character was read as U+FFFD") for verdict in plain
    )


def test_a_hook_that_no_route_reads_from():
    [found] = plan(route()).judge(event("e", change(), hook="second"), NOW)
    assert (found.name, found.route, found.stage) == (FILTERED, "", "routed")
    assert found.reason == "no route reads from the hook second"


def test_routes_of_other_projects_share_one_verdict():
    made = plan(*(route(f"r{n}", OPS) for n in range(7)), route("z", PLAT))
    first, rest = made.judge(event("e", change()), NOW)
    assert (first.route, first.name) == ("z", DELIVER)
    assert (rest.name, rest.destination, rest.stage) == (FILTERED, "", "routed")
    assert rest.reason == (
        "in project id-plat, plat, the plat; other projects are asked for by "
        "r0, r1, r2, r3, r4 and 2 more"
    )
    [alone] = plan(route("r", OPS)).judge(event("e", change()), NOW)
    assert alone.reason.endswith("other projects are asked for by r")


@pytest.mark.parametrize(
    ("workspace", "workspaces", "name"),
    [
        ("PLAT", ("PLAT", "MOB"), DELIVER),
        ("PLAT", ("MOB",), FORBIDDEN),
        ("", ("MOB",), FORBIDDEN),
        ("", (), DELIVER),
        ("PLAT", (), DELIVER),
    ],
)
@pytest.mark.parametrize("given", [event("e", change()), thin()])
def test_where_the_run_as_user_may_write(workspace, workspaces, name, given):
    made = plan(route(workspace=workspace), targets=(target(workspaces=workspaces),))
    [found] = made.judge(given, NOW)
    assert found.name is (UNDECIDED if given.thin and name is DELIVER else name)
    if name is FORBIDDEN:
        assert found.stage == "permitted"
        assert found.identities == ()
        assert found.reason.startswith("Bridge of aha may not write in the workspace ")


def test_a_filtered_event_is_not_forbidden():
    made = plan(route(when=OPS), targets=(target(workspaces=("MOB",)),))
    body = {"issue": {"fields": {"project": {"key": "PLAT"}}}}
    assert told(made.judge(event("e", change(), body=body), NOW)) == [(FILTERED, "aha")]


# Thin events


def test_a_thin_event_waits_whether_or_not_it_passes_the_filter():
    [found] = plan(route()).judge(thin(), NOW)
    assert (found.name, found.identities, found.route) == (UNDECIDED, (COMMENT,), "platform")
    assert found.stage == "complete"
    assert found.reason == "comment_created names only the record's id; a complete event may follow"
    assert not wants_snapshot([found], thin())


def test_a_thin_event_waits_once_for_each_destination():
    made = plan(
        route("a", PLAT, destinations=("aha", "crm")),
        route("b", OPS),
        route("c", events=frozenset({"issue_created"})),
    )
    found = made.judge(thin(), NOW)
    assert [(v.destination, v.route, v.name) for v in found] == [
        ("aha", "", UNDECIDED),
        ("crm", "a", UNDECIDED),
        ("aha", "c", FILTERED),
    ]


def test_a_thin_event_that_is_filtered_anyway_does_not_wait():
    found = plan(route(events=frozenset({"issue_created"}))).judge(thin(), NOW)
    assert told(found) == [(FILTERED, "aha")]
    assert told(plan(route()).judge(thin("t", comment(private=True)), NOW)) == [(FILTERED, "aha")]


# Which routes are asked


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, set()),
        ({"issue": {"key": "PLAT-1"}}, {"plat"}),
        ({"issue": {"key": "A-B-1"}}, {"a-b"}),
        ({"issue": {"key": 7}}, set()),
        ({"issue": {"fields": {"project": {"id": 7, "name": "Straße"}}}}, {"7", "strasse"}),
        (moved(PROJECT, {}, KEY).body, {"ops", "id-ops", "the ops", "plat", "id-plat", "the plat"}),
        ({**issue(), "changelog": {"items": [{"field": "Key"}]}}, {"plat", "id-plat", "the plat"}),
        ({"changelog": {"items": [KEY]}}, set()),
    ],
)
def test_the_projects_a_body_speaks_of(body, found):
    assert jira_body.projects_of(body).names == found


QUERIES = st.sampled_from(
    [
        "",
        "project = PLAT",
        "project = OPS",
        'project = "The PLAT"',
        "project in (OPS, 123)",
        "project = 123 OR project = PLAT",
        "project = OPS AND issuetype = Bug",
        "project != OPS",
        "issuetype = Bug",
        "project = OPS OR issuetype = Bug",
        "key = OPS-9",
    ]
)


@st.composite
def bodies(draw):
    told = draw(st.sets(st.sampled_from(["id", "key", "name"])))
    project = {"id": draw(st.sampled_from(["123", "7"])), "key": "PLAT", "name": "The PLAT"}
    found = {"fields": draw(st.sampled_from([{}, {"issuetype": {"name": "Bug"}}]))}
    if draw(st.booleans()):
        found["key"] = draw(st.sampled_from(["PLAT-1", "OPS-9", ""]))
    if draw(st.booleans()):
        found["fields"] = {**found["fields"], "project": {name: project[name] for name in told}}
    items = draw(st.lists(st.sampled_from([KEY, PROJECT, {"field": "summary"}]), max_size=2))
    return {"issue": found, "changelog": {"items": items}}


@given(st.lists(QUERIES, min_size=1, max_size=4), bodies(), st.booleans())
def test_no_route_is_passed_over_that_might_let_it_through(queries, body, is_moved):
    site = Site(name="jira")
    routes = [
        route(f"r{n}", jql.compile(query, site) if query else InProject())
        for n, query in enumerate(queries)
    ]
    given = event("e", change(), body=body, moved=is_moved)
    made = plan(*routes)
    asked = made.routes(given, body)
    assert list(asked) == [each for each in routes if each in asked]
    for each in routes:
        if each not in asked:
            assert decided(given, each).name is FILTERED


def test_an_unknown_answer_never_becomes_a_verdict_of_its_own():
    class Silent(InProject):
        def match(self, body, now):
            return Answer(value=None, why="nobody knows")

    given = event("e", change(), body=issue("OPS-1"), moved=True)
    assert decided(given, route(when=Silent())).name is UNDECIDED


@pytest.mark.parametrize(
    ("first", "second", "picked"),
    [
        ((2, 0), (1, 9), "first"),
        ((1, 9), (2, 0), "second"),
        ((1, 1), (1, 2), "second"),
        ((1, 1), (1, 1), "first"),
        ((0, 0), (2, 0), "first"),  # how old it is, it does not say
        (None, (1, 0), "second"),
        ((1, 0), None, "first"),
        (None, None, None),
    ],
)
def test_the_snapshot_of_the_newer_state_is_used(first, second, picked):
    one, other = (
        None if state is None else Snapshot(event=name, when="then", body={}, state=state)
        for name, state in (("first", first), ("second", second))
    )
    found = newest_of(one, other)
    assert (found and found.event) == picked
