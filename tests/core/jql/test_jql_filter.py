"""A compiled filter: its answers and reasons, and the projects and types it can be indexed by."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from jql_samples import FIELDS, NOW, SHARED, SITE, body, judge, shared

from bridge.core import jql
from bridge.errors import BadFilter
from bridge.model import Answer, Clause, Filter, Site

DESIGN = (
    "project = PLAT AND issuetype in (Story, Epic) "
    "AND (labels is EMPTY OR labels not in (internal))"
)


def why(query: str, **changes: object) -> str:
    return jql.compile(query, SITE, lookup=True).match(body(changes), NOW).why


def test_a_filter_is_what_routes_expect() -> None:
    found: Filter = jql.compile(DESIGN, SITE)
    assert found.text == DESIGN
    assert found.match(body({"issuetype": {"name": "Epic"}}), NOW).value is True


@pytest.mark.parametrize("text", ["", "  ", "ORDER BY created"])
def test_an_empty_filter_lets_everything_through(text: str) -> None:
    found = jql.compile(text, SITE)
    assert found.match({}, NOW) == Answer(value=True, why="the filter lets everything through")
    assert found.explain({}, NOW) == (
        Clause(depth=0, text=text, value=True, why="the filter lets everything through"),
    )
    assert (found.projects, found.types) == (None, None)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("project = MOB", 'project = MOB is false: project is "PLAT"'),
        ("labels = x", 'labels = x is false: labels is "backend", "ci-red"'),
        ("cf[5] = x", "cf[5] = x is unknown: cf[5] is not in the body"),
        ("resolution = Fixed", "resolution = Fixed is false: resolution is empty"),
        ("not labels = x", 'labels != x is true: labels is "backend", "ci-red"'),
        ("assignee = Ben", 'assignee = Ben is false: assignee is "Anna Berg"'),
        ("summary ~ linux", "summary ~ linux is false: summary does not have it"),
        ("summary !~ linux", "summary !~ linux is true: summary does not have it"),
        ("description ~ screenshot", "description ~ screenshot is true: description has it"),
        ("description is EMPTY", "description IS EMPTY is false: description is not empty"),
        ("environment is EMPTY", "environment IS EMPTY is true: environment is empty"),
        ("votes > 9", "votes > 9 is false: votes is 5"),
        ("City = Rome", 'City = Rome is false: City is "Berlin"'),
        (
            "assignee in membersOf(devs)",
            "assignee IN membersOf(devs) is unknown: who is in a group is not in the body",
        ),
        ("filter = 5", "filter = 5 is unknown: what a saved filter finds is not in the body"),
        (
            "reporter = 'x@y.example'",
            'reporter = "x@y.example" is unknown: the body lacks the user\'s e-mail '
            "address, or any id of the user; account ids are surest",
        ),
        (
            "status was Open",
            "status WAS Open is unknown: the past of status is not in the body, beyond "
            "this event's changelog",
        ),
    ],
)
def test_reasons_name_the_clause_and_what_was_found(query: str, reason: str) -> None:
    assert why(query) == reason


def test_the_reason_of_and_is_what_broke_it_or_all_that_held() -> None:
    assert why("project = PLAT and status = Open and type = x") == (
        'status = Open is false: status is "In Progress"'
    )
    assert why("project = PLAT and type = Bug and labels is not EMPTY") == (
        'project = PLAT is true: project is "PLAT"; type = Bug is true: issuetype is "Bug"; '
        'labels IS NOT EMPTY is true: labels is "backend", "ci-red"'
    )
    assert why("cf[1] = 5 and project = PLAT") == "cf[1] = 5 is unknown: cf[1] is not in the body"
    assert why("project = A or key = A-1 or type = A or status = A or labels = A").endswith(
        "; and 1 more"
    )
    assert why("project = PLAT and (type = Bug and (votes = 5 and key = PLAT-10))").count(";") == 3


def test_reasons_never_quote_more_than_a_line() -> None:
    assert why("labels = x", labels=["a\nb\x1b[31m"]) == (
        'labels = x is false: labels is "a b [31m"'
    )
    assert why("labels = x", labels=["y" * 500]).endswith(f'"{"y" * 120}…"')
    assert why("labels = x", labels=list("abcdefg")).endswith('"e", 2 more')
    assert why("labels in (x, y)", labels=["a", None]).endswith("can be read")
    assert why("cf[1] = 5", customfield_1=[4, 4.5]).endswith("cf[1] is 4, 4.5")
    assert why("votes = 5", votes={"votes": 10**30}).endswith("nothing that can be read")
    assert why("component = x", components=[{"name": "a"}, {"name": "b"}]).endswith('"a", "b"')
    assert "…" in why(f"labels in ({', '.join('abcdefgh' * 9 for _ in range(99))})")
    secret = {"comments": [{"body": "the secret word"}], "total": 1}
    for query in ("comment ~ secret", "comment ~ absent", "text ~ secret"):
        assert "the secret word" not in why(query, comment=secret)


def test_values_that_cannot_be_read_are_not_shown() -> None:
    assert why("status is not EMPTY", status={}) == (
        "status IS NOT EMPTY is true: status is nothing that can be read"
    )
    assert why("labels is not EMPTY", labels=[{}, None, 10**30]) == (
        "labels IS NOT EMPTY is true: labels is nothing that can be read, nothing, "
        "nothing that can be read"
    )


def test_reasons_of_the_past() -> None:
    item = {"field": "status", "fromString": "Open", "toString": "In Progress"}
    told = body(changelog={"items": [item]})
    found = jql.compile("status changed", SITE)
    assert found.match(told, NOW).why == (
        'status CHANGED is true: status is "In Progress", '
        'this event changed it from "Open" to "In Progress"'
    )
    told["webhookEvent"] = "jira:issue_created"
    assert found.match(told, NOW).why == (
        'status CHANGED is false: status is "In Progress", this event changed it from "Open" to '
        '"In Progress", the issue has just been created'
    )
    del told["issue"]["fields"]["status"], told["changelog"]
    assert jql.compile("not status changed", SITE).match(told, NOW).why == (
        "NOT status CHANGED is true: the issue has just been created"
    )
    late = jql.compile("status changed after now()", SITE)
    told["webhookEvent"] = "jira:issue_updated"
    assert late.match(told, NOW).why.startswith("status CHANGED AFTER now() is false: the past of")


def test_explaining_goes_clause_by_clause() -> None:
    found = jql.compile("not (project = MOB or status = Open and cf[5] = x)", SITE)
    told = [(c.depth, c.text, c.value, c.why) for c in found.explain(body(), NOW)]
    assert told == [
        (0, "AND", True, ""),
        (1, "project != MOB", True, 'project is "PLAT"'),
        (1, "OR", True, ""),
        (2, "status != Open", True, 'status is "In Progress"'),
        (2, "cf[5] != x", None, "cf[5] is not in the body"),
    ]


@pytest.mark.parametrize(
    ("query", "projects", "types"),
    [
        (DESIGN, {"plat"}, {"story", "epic"}),
        ("project = PLAT", {"plat"}, None),
        ("project in (PLAT, 'Mobile App', 10000)", {"plat", "mobile app", "10000"}, None),
        ("project = PLAT or project = MOB", {"plat", "mob"}, None),
        ("project = PLAT or status = Open", None, None),
        ("project = PLAT and project in (A, B)", {"plat"}, None),
        ("(project = A and type = X) or (space = B and workType in (Y))", {"a", "b"}, {"x", "y"}),
        ("project != PLAT", None, None),
        ("not project != PLAT", {"plat"}, None),
        ("not (project != PLAT or type != Bug)", {"plat"}, {"bug"}),
        ("project not in (PLAT)", None, None),
        ("project in (PLAT, EMPTY)", None, None),
        ("project in (PLAT, projectsLeadByUser())", None, None),
        ("project is not EMPTY", None, None),
        ("type in standardIssueTypes()", None, None),
        ("status = PLAT and cf[1] = Bug", None, None),
    ],
)
def test_projects_and_types(query: str, projects: set[str] | None, types: set[str] | None) -> None:
    found = jql.compile(query, SITE, lookup=True)
    assert (found.projects, found.types) == (projects, types)


def test_a_filter_with_thousands_of_clauses() -> None:
    text = " or ".join(f"labels = x{n}" for n in range(3_000))
    found = jql.compile(text, SITE)
    assert found.match(body(), NOW).why.endswith("and 2996 more")
    assert found.match(body({"labels": ["x2999"]}), NOW).value is True


def test_the_deepest_filter_can_be_judged_and_explained() -> None:
    text = "project = PLAT and (type = X or (" * 100 + "status = Open" + "))" * 100
    found = jql.compile(text, SITE)
    assert found.match(body(), NOW).value is False
    assert len(found.explain(body(), NOW)) == 401


def test_the_same_body_and_instant_give_the_same_answer() -> None:
    found = jql.compile(DESIGN + " and due < endOfDay()", SITE)
    assert found.match(body(), NOW) == found.match(body(), NOW)
    assert "part" not in repr(found)


def corpus_site(config: dict[str, object]) -> Site:
    names = config["field_names"]
    order = config["priority_order"]
    assert isinstance(names, dict)
    assert isinstance(order, list)
    return Site(
        name="corpus",
        timezone=str(config["tz"]),
        week_starts=str(config["week_starts"]),
        priorities=tuple(order),
        fields={name: identity for identity, name in names.items()},
    )


def test_the_meanings_of_the_corpus() -> None:
    cases = list(shared("semantics.jsonl"))
    base = json.loads((SHARED / "semantics_base.json").read_text("utf-8"))
    site = corpus_site(base["config"])
    now = int(datetime.fromisoformat(base["config"]["now"]).timestamp() * 1000)
    words = {True: "match", False: "no-match", None: "unknown"}
    wrong = []
    for case in cases:
        fields = {**base["issue"]["fields"], **case.get("override", {})}
        told = {"webhookEvent": case["event"], "issue": {**base["issue"], "fields": fields}}
        if "changelog" in case:
            told["changelog"] = {"items": case["changelog"]}
        try:
            found = words[judge(case["jql"], told, site, now)]
        except BadFilter:
            found = "reject"
        if found != case["expect"]:
            wrong.append((case["id"], case["jql"], case["expect"], found))
    assert wrong == []


def test_nothing_of_the_body_is_changed() -> None:
    told = body()
    for query in (DESIGN, "sprint = 7", "text ~ x", "status was 5", "issueLinkType = x"):
        judge(query, told)
    assert told["issue"]["fields"] == FIELDS
