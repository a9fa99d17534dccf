"""What clauses mean: by kind of field, empty and absent, multi-valued and malformed."""

from __future__ import annotations

from typing import Any

import pytest
from jql_samples import FIELDS, SITE, body, judge

from bridge.core import jql
from bridge.errors import BadFilter
from bridge.model import Site

TRUE = """
project = PLAT | project = plat | project = Platform | project = 10000 | project in (MOB, PLAT)
project != MOB | project not in (MOB, 5) | project is not EMPTY | space = PLAT
type = Bug | issuetype = bug | workType = 10001 | type in (Story, Bug) | type != Story
key = PLAT-10 | issue = plat-10 | id = 10042 | issuekey in (A-1, PLAT-10) | workItem != PLAT-11
key > PLAT-9 | key < PLAT-11 | key >= PLAT-10 | id <= 10042 | key ~ "*LAT-1*" | key !~ "*MOB*"
parent = PLAT-1 | parent = 10001 | parent in (PLAT-1) | parent is not EMPTY | parent != PLAT-2
status = "in progress" | status = 3 | status != Open | status not in (Open, Closed)
statusCategory = "In Progress" | statusCategory = indeterminate | statusCategory = 4
statusCategory != Done | statusCategory in (Done, "in progress")
priority = High | priority = 2 | priority > Medium | priority >= high | priority < Highest
priority <= High | priority != Low | priority in (High, Low)
resolution is EMPTY | resolution = Unresolved | resolution = "unresolved" | resolution = null
resolution in (Unresolved, Fixed) | not resolution != Unresolved
labels = backend | labels = BACKEND | labels in (x, ci-red) | labels != x | labels not in (x, y)
labels is not EMPTY | label = backend | labels not in (x, EMPTY)
component = API | component = 101 | component = API and component = Store | component != X
fixVersion = 1.10 | fixVersion = 200 | fixVersion in (1.10, 2.0) | fixVersion >= 1.10
fixVersion <= 200 | fixVersion ~ "1.*" | fixVersion !~ "[1]*" | affectedVersion is EMPTY
assignee = 5b10ac8d82e05b22cc7d4ef5 | assignee = "Anna Berg" | assignee = "anna@acme.example"
assignee != nobody | assignee not in ("x@y.example", 557058:aa) | assignee is not EMPTY
reporter = 557058:AA | reporter = "Ben Dahl" | creator = ben | creator = JIRAUSER1
created = "2026/10/08 15:00" | created < "2026/10/09" | createdDate > -1d
due = "2026/10/09" | due != "2026/10/10" | duedate in ("2026-10-09", 5d) | resolved is EMPTY
originalEstimate = 1h | originalEstimate > 59m | originalEstimate = 60 | timeSpent <= 0.5h
remainingEstimate is EMPTY | timeOriginalEstimate != 1d | timeSpent = 1
votes = 5 | votes > 4.5 | votes in (4, 5) | watchers = 0 | watchers < 1 | workRatio <= 25
hierarchyLevel = 0 | voter is not EMPTY | watcher is EMPTY | workRatio is not EMPTY
summary ~ windows | summary ~ "WINDOWS issue" | summary !~ linux | description ~ "the screenshot"
environment is EMPTY | environment = EMPTY | summary is not EMPTY | summary != EMPTY
text ~ screenshot | textfields ~ windows
level is EMPTY | category = Core | category = 10100 | projectType = software
attachments is EMPTY | issueLinkType = "is blocked by" | issueLinkType = Blocks
issueLinkType is not EMPTY | issueLink["is blocked by"] = MOB-5 | workItemBlocks is EMPTY
workItemIsBlockedBy in (MOB-5, MOB-6) | issueBlocks = EMPTY | key ~ "-10" | key ~ "-1*"
issueLink = MOB-5 | linkedIssue in (10001, MOB-6) | workItemLinkType != Cloners
sprint = "Sprint 7" | sprint = 7 | sprint in openSprints() | sprint is not EMPTY
"Epic Link" = PLAT-1 | "epic link" != PLAT-2 | "Epic Link" is not EMPTY
"Story Points" = 5 | "story points" >= 5 | cf[10016] < 6 | "Story Points[Number]" in (4, 5)
"Story Points" = "5" | cf[10016] != 4
City = Berlin | City = 1 | City in (berlin, x) | City = Mitte | City = 2 | City != Paris
City is not EMPTY | "City[Dropdown]" = Berlin
"Target start" = "2026/10/20" | "Target start" > "2026-10-19" | cf[10031] <= 12d
"Target start" >= startOfMonth() | "Target start" != now() | "Target start[Date]" = 2026-10-20
Approvers = 557058:bb | Approvers = "Cleo Eng" | Approvers != "Anna Berg"
Notes ~ "store team" | Notes = "ask the store team" | Notes !~ linux | Notes != x
"Notes[Paragraph]" ~ store
cf[99999] = 5 or project = PLAT
"""

FALSE = """
project = MOB | project != PLAT | project is EMPTY | project not in (MOB, Platform)
project = null or type = Story | key = MOB-10 | key > MOB-1 | key <= MOB-99 | not key > MOB-1
key < PLAT-10 | id = 5 | id < 10042 | id > 10042 | parent is EMPTY | parent = PLAT-2
status = Open | status = 5 | statusCategory = done | statusCategory = "To Do"
priority > High | priority < High | priority > Highest | priority in (Low, 5)
resolution = Fixed | resolution != Fixed | resolution not in (Fixed) | resolution > Fixed
labels = backen | labels != backend | labels not in (x, BACKEND) | labels is EMPTY
labels in (x, EMPTY) | labels not in (EMPTY, backend)
component = API and component = Web | component not in (API) | fixVersion = 1.1 | fixVersion < 200
fixVersion > 1.10 | fixVersion ~ "2*" | affectedVersion = 1 | affectedVersion != 1
affectedVersion > 1 | affectedVersion not in (1) | not affectedVersion = 1
assignee = nobody | assignee is EMPTY | assignee != "anna berg"
created > "2026/10/08 15:00" | created != "2026/10/08 15:00" | resolved > -1d | resolved <= now()
not resolved > -1d | due < "2026/10/09" | due = now() | due is EMPTY
originalEstimate > 2d | remainingEstimate > 0 | remainingEstimate != 5 | votes < 5 | watchers > 0
summary ~ linux | summary !~ windows | environment ~ x | environment !~ x | environment is not EMPTY
voter is EMPTY | watcher = anna | watcher != anna | level = Secret | attachments is not EMPTY
issueLinkType = "blocks it" | issueLink = MOB-6 | projectType = business | category != Core
sprint = 8 | sprint not in openSprints() | sprint is EMPTY | "Epic Link" = PLAT-2
"Story Points" > 5 | "Story Points" = 5.5 | "Story Points" = five | cf[10016] is EMPTY
City = Paris | City = 3 | City not in (Mitte) | Approvers = "Anna Berg"
"Target start" < "2026-10-20" | "Target start" = "2026/10/21" | Notes ~ linux | Notes = ask
"""

UNKNOWN = """
cf[99999] = 5 | cf[99999] is EMPTY | not cf[99999] is EMPTY | cf[99999] > 1 | cf[99999] ~ word
reporter = "ben@acme.example" | creator = "x@y" | voter = anna
reporter != "ben@acme.example" | voter not in (anna)
fixVersion > 1.9 | fixVersion <= 9 | id > 10041 | priority > 5
comment ~ word | text ~ absent | textfields ~ absent | text !~ absent | worklogComment ~ x
worklogAuthor = anna | worklogDate > -1d | lastCommentedBy = anna
filter = 12000 | issueFunction in hasComments("x") | issue in linkedIssues(PLAT-1)
assignee in membersOf(devs) | assignee not in membersOf(devs) | component in componentsLeadByUser()
issue.property[a].b = c | project.property[a].b = c | organizations = ACME
"Epic Link" = "The epic's name" | City > 5 | Approvers < 5 | "Story Points" > 2026-01-01
"Target start" > 5.5 | Notes > 5 | City ~ Berlin | project in projectsLeadByUser()
"Story Points" ~ five | summary ~ collection | resolution = Fixed or cf[99999] = 1
"""


def cases(text: str) -> list[str]:
    return [one.strip() for line in text.strip().split("\n") for one in line.split(" | ")]


@pytest.mark.parametrize("query", cases(TRUE))
def test_true(query: str) -> None:
    assert judge(query) is True


@pytest.mark.parametrize("query", cases(FALSE))
def test_false(query: str) -> None:
    assert judge(query) is False


@pytest.mark.parametrize("query", cases(UNKNOWN))
def test_unknown(query: str) -> None:
    assert judge(query) is None


#: A filter, a field's value, and what comes of it.
WITH = [
    ("assignee = anna", None, False),
    ("assignee != anna", None, False),
    ("assignee not in (anna, ben)", None, False),
    ("not assignee = anna", None, False),
    ("not not assignee = anna", None, False),
    ("not assignee is EMPTY", None, False),
    ("assignee not in (anna) or assignee is EMPTY", None, True),
    ("not (assignee = anna and priority = Low)", None, True),
    ("not (assignee = anna or priority = Low)", None, False),
    ("assignee in (anna, EMPTY)", None, True),
    ("assignee not in (anna, EMPTY)", None, False),
    ("assignee in membersOf(x)", None, False),
    ("assignee = EMPTY", None, True),
    ('assignee = "EMPTY"', None, False),
    ("assignee = anna", {"name": "anna", "displayName": "Anna Berg"}, True),
    ("assignee = ben", {"name": "anna", "displayName": "Anna Berg"}, False),
    ("assignee = ben", {"name": "anna"}, None),
    ("assignee = ben", {"displayName": "Anna Berg"}, None),
    ("assignee = ben", {}, None),
    ("assignee = 557058:cc", {"name": "anna", "displayName": "Anna Berg"}, False),
    ("assignee = 557058:cc", {"displayName": "Anna Berg"}, None),
    ('assignee = "a@b.example"', {"accountId": "1", "displayName": "A"}, None),
    ("assignee is EMPTY", "anna", None),
    ("assignee = anna", ["anna"], None),
    ("status = Open", {"id": "1"}, None),
    ("status = 1", {"name": "Open"}, None),
    ("status = Open", {"name": 5, "id": None}, False),
    ("status = Open", "Open", None),
    ("status = Open", True, None),
    ("status != Open", {}, None),
    ("status = 3", {"id": 3}, True),
    ("statusCategory = Done", {"statusCategory": {"name": "Fertig", "key": "done"}}, True),
    ("statusCategory = Done", {"name": "Open"}, None),
    ("statusCategory = Done", None, False),
    ("statusCategory = Done", "Open", None),
    ("priority > Low", {"name": "Blocker"}, None),
    ("priority > Low", None, False),
    ("priority > Low", "High", None),
    ("priority >= 2", {"id": "2", "name": "High"}, True),
    ("labels = a", ["b", 5], False),
    ("labels = 5", [5], True),
    ("labels = a", ["b", None], None),
    ("labels = b", [None, "b"], True),
    ("labels != b", [None, "b"], False),
    ("labels != b", [None], None),
    ("labels is not EMPTY", [None], True),
    ("labels is EMPTY", [], True),
    ("labels is EMPTY", None, True),
    ("labels is EMPTY", "a", None),
    ("labels not in (a)", [], False),
    ("labels in (a, EMPTY)", [], True),
    ("component != fred", [{"name": "fred"}, {"name": "bob"}], False),
    ("component != fred", [{"name": "bob"}], True),
    ("component != fred", ["bob"], None),
    ("component = 100", [{"name": "bob"}], None),
    ("fixVersion > 1", [], False),
    ("fixVersion ~ 1.1", [{"id": "1"}], None),
    ("created > -1d", "yesterday", None),
    ("created > -1d", "2026-10-08", True),
    ("created > -1d", 5, None),
    ("created > -1d", "2026-10-08T15:00:00Z", True),
    ("created > -1d", "9999-99-99T99:99:99Z", None),
    ("created in (-1d, -2d)", "soon", None),
    ("due > -1d", "", False),
    ("due > -1d", "soon", None),
    ("votes > 1", {"votes": "5"}, None),
    ("votes > 1", {"votes": True}, None),
    ("votes > 1", {}, None),
    ("votes > 1", [], None),
    ("voter = anna", {"votes": "5"}, None),
    ("voter is EMPTY", {}, None),
    ("originalEstimate > 1h", "3600", None),
    ("timeSpent > 1m", 61.5, True),
    ("summary ~ word", 5, None),
    ("summary is EMPTY", "", True),
    ("description ~ word", {"type": "doc", "content": [{"text": "A word"}]}, True),
    ("description ~ word", {"type": "doc", "content": [{"text": 5}, 5, {"text": "wo"}]}, False),
    ("parent = PLAT-1", {"id": "10001"}, None),
    ("parent = 10001", {"key": "PLAT-2"}, None),
    ("sprint = 8", ["com.Sprint@1[id=8,state=FUTURE,name=Eight, or 8,goal=]"], True),
    ('sprint = "Eight, or 8"', ["com.Sprint@1[id=8,state=FUTURE,name=Eight, or 8]"], True),
    ("sprint in futureSprints()", ["com.Sprint@1[id=8,state=FUTURE,name=Eight]"], True),
    ("sprint in closedSprints()", ["com.Sprint@1[id=8,state=FUTURE,name=Eight]"], False),
    ("sprint in closedSprints()", ["x[" + "a" * 10_000], None),
    ("sprint = 8", ["what", 5], None),
    ("sprint = 8", [], False),
    ("sprint is EMPTY", None, True),
    ("issueLink = MOB-5", [{"outwardIssue": {"key": "MOB-5"}}], True),
    ("issueLink = MOB-5", [{}, 5], None),
    ("issueLinkType = blocks", [{"type": {"outward": "blocks"}, "outwardIssue": {}}], True),
    ("issueLinkType = blocks", [{"type": 5}], None),
    ("issueLink = MOB-5", None, False),
    ("issueBlocks = MOB-5", [{"type": 5}, {"outwardIssue": {"key": "MOB-5"}}, 5], None),
    ("issueBlocks is EMPTY", [{"type": 5}], None),
    ("issueBlocks is EMPTY", None, True),
    ("issueBlocks is EMPTY", "MOB-5", None),
    ("workRatio is EMPTY", -1, True),
    ("workRatio >= 0", -1, False),
    ("workRatio = 0", "0", None),
    ("linkedIssue = PLAT-1", [], True),
    ("linkedIssue = PLAT-2", [], False),
    ("linkedIssue = PLAT-2", [{"id": "5", "key": "PLAT-2"}], True),
    ("linkedIssue = PLAT-2", [5], None),
    ("linkedIssue = PLAT-2", 5, None),
    ("issueLink = MOB-5", "MOB-5", None),
    ('"Story Points" = 5', 5.0, True),
    ('"Story Points" = 5', True, None),
    ('"Story Points" = 5', [4, 5], True),
    ('"Story Points" > 4', "5", None),
    ('"Story Points" is EMPTY', "", True),
    ('"Story Points" = 5', [[5]], None),
    ("City = Berlin", {"self": "x"}, None),
    ("City = 5", {"value": "Berlin"}, None),
    ("City = Berlin", ["Berlin", "Rome"], True),
    ("City = Berlin", None, False),
    ('"Target start" = 2026-10-20', "2026-10-20T12:00:00.000+0000", False),
    ('"Target start" > 2026-10-20', "2026-10-20T12:00:00.000+0000", True),
    ('"Target start" = 2026-10-20', "2026-99-99", None),
    ("Notes ~ ask", {"type": "doc"}, None),
]
PLACES = {
    "component": "components",
    "sprint": "customfield_10020",
    '"Story Points"': "customfield_10016",
    "City": "customfield_10030",
    '"Target start"': "customfield_10031",
    "Notes": "customfield_10033",
    "fixVersion": "fixVersions",
    "due": "duedate",
    "statusCategory": "status",
    "voter": "votes",
    "originalEstimate": "timeoriginalestimate",
    "timeSpent": "timespent",
    "issueLink": "issuelinks",
    "issueLinkType": "issuelinks",
    "issueBlocks": "issuelinks",
    "workRatio": "workratio",
    "linkedIssue": "subtasks",
}


@pytest.mark.parametrize(("query", "value", "wanted"), WITH)
def test_with_another_value(query: str, value: object, wanted: bool | None) -> None:
    name = query.replace("not ", "").lstrip("(").split(" ")[0]
    name = '"Story Points"' if name == '"Story' else '"Target start"' if name == '"Target' else name
    assert judge(query, body({PLACES.get(name, name): value})) is wanted


def test_a_family_that_a_body_says_nothing_of() -> None:
    assert judge("linkedIssue = PLAT-1", body(without="parent")) is None
    epic = {"subtasks": [], "issuetype": {"name": "Epic", "hierarchyLevel": 1}}
    assert judge("linkedIssue = PLAT-2", body(epic)) is None
    old = {"subtasks": [], "issuetype": {"name": "Epic"}}
    assert judge("linkedIssue = PLAT-2", body(old)) is None


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_what_is_absent_is_unknown(name: str) -> None:
    queries = {
        "project": "category = x",
        "issuetype": "type = Bug",
        "components": "component = x",
        "fixVersions": "fixVersion = 1",
        "versions": "affectedVersion is EMPTY",
        "resolutiondate": "resolved is EMPTY",
        "duedate": "due is EMPTY",
        "watches": "watcher is EMPTY",
        "timeoriginalestimate": "originalEstimate > 1",
        "timeestimate": "remainingEstimate is EMPTY",
        "timespent": "timeSpent is EMPTY",
        "security": "level is EMPTY",
        "attachment": "attachments is EMPTY",
        "issuelinks": "issueLink = A-1",
        "summary": "summary ~ x",
    }
    custom = f"cf[{name.removeprefix('customfield_')}]" if name.startswith("customfield_") else name
    query = queries.get(name, f"{custom} = 5")
    query = query if name not in ("description", "environment") else f"{name} is EMPTY"
    assert judge(query, body(without=name)) is None
    assert judge(f"not ({query})", body(without=name)) is None


def test_an_absent_project_is_told_by_the_key() -> None:
    told = body(without="project")
    assert judge("project = PLAT", told) is True
    assert judge("project = plat", told) is True
    assert judge("project = MOB", told) is False
    assert judge("project = mob", told) is None
    assert judge("project = Platform", told) is None
    assert judge("project = 10000", told) is None
    assert judge("category = Core", told) is None
    told["issue"]["key"] = None
    assert judge("project = PLAT", told) is None


def test_a_body_without_an_issue_is_unknown() -> None:
    for told in ({}, {"issue": None}, {"issue": []}, {"issue": {"fields": []}}):
        for query in ("project = PLAT", "labels is EMPTY", "key = A-1", "summary ~ x", "text ~ x"):
            assert judge(query, told) is None


def test_a_project_that_is_no_object_is_unknown() -> None:
    assert judge("project = PLAT", body({"project": "PLAT"})) is None
    assert judge("category = Core", body({"project": "PLAT"})) is None
    assert judge("category is EMPTY", body({"project": None})) is True


@pytest.mark.parametrize(
    ("comment", "more", "query", "wanted"),
    [
        ({"comments": [{"body": "a word"}], "total": 1}, {}, "comment ~ word", True),
        ({"comments": [{"body": "a word"}], "total": 1}, {}, "comment ~ other", False),
        ({"comments": [{"body": "a word"}], "total": 1}, {}, "comment !~ other", True),
        ({"comments": [{"body": "a word"}], "total": 2}, {}, "comment ~ other", None),
        ({"comments": [], "total": 0}, {}, "comment ~ other", False),
        ({"comments": [5, {}], "total": 2}, {}, "comment ~ other", False),
        ("none", {"comment": {"body": "a word"}}, "comment ~ word", True),
        ("none", {"comment": {"body": "a word"}}, "comment ~ other", None),
        ("none", {"comment": {"body": "a word"}}, "text ~ word", True),
        (
            "none",
            {"comment": {"body": "a word"}, "webhookEvent": "comment_deleted"},
            "comment ~ word",
            None,
        ),
    ],
)
def test_comments(comment: object, more: dict[str, Any], query: str, wanted: bool | None) -> None:
    assert judge(query, body({"comment": comment}, **more)) is wanted


def test_worklogs() -> None:
    log = {"author": {"name": "anna", "displayName": "Anna"}, "started": "2026-10-08T22:30:00Z"}
    told = {"worklogs": [log | {"comment": "some words"}], "total": 1}
    for query, wanted in (
        ("worklogAuthor = anna", True),
        ("worklogAuthor = ben", False),
        ("worklogAuthor != ben", True),
        ("worklogDate = 2026-10-08", True),
        ("worklogDate < 2026-10-08", False),
        ("worklogComment ~ word", True),
        ("worklogComment ~ other", False),
    ):
        assert judge(query, body({"worklog": told})) is wanted
    berlin = Site(name="b", timezone="Europe/Berlin")
    assert judge("worklogDate = 2026-10-09", body({"worklog": told}), berlin) is True
    assert judge("worklogAuthor is EMPTY", body({"worklog": {"worklogs": []}})) is None


def test_sprints_are_found_where_the_site_does_not_name_them() -> None:
    bare = Site(name="bare")
    assert judge("sprint = 7", site=bare) is True
    assert judge("sprint = 8", site=bare) is False
    assert judge("sprint = 7", body({"customfield_10020": []}), bare) is None
    assert judge("sprint = 7", body({"customfield_10020": [{"state": "odd"}]}), bare) is None


def test_the_epic_is_told_by_its_field_or_by_a_parent() -> None:
    site = Site(name="s", fields={"Epic Link": "customfield_1"})
    assert judge('"Epic Link" = PLAT-5', body({"customfield_1": "PLAT-5"}), site) is True
    assert judge('"Epic Link" = PLAT-6', body({"customfield_1": "PLAT-5"}), site) is False
    assert judge('"Epic Link" = name', body({"customfield_1": "PLAT-5"}), site) is None
    assert judge('"Epic Link" is EMPTY', body({"customfield_1": None}), site) is True
    story = {"key": "PLAT-5", "fields": {"issuetype": {"name": "Story", "hierarchyLevel": 0}}}
    assert judge('"Epic Link" = PLAT-5', body({"parent": story})) is None
    assert judge('"Epic Link" = PLAT-5', body({"parent": {"key": "PLAT-5"}})) is True
    assert judge('"Epic Link" is EMPTY', body({"parent": None})) is True
    assert judge('"Epic Link" is EMPTY', body(without="parent")) is None


def test_properties_of_the_issue() -> None:
    told = body()
    told["issue"]["properties"] = {"a": {"b": {"c": "x"}, "d": ["y", "z"], "e": None, "f": 5}}
    for query, wanted in (
        ("issue.property[a].b.c = x", True),
        ("issue.property[a].b.c = y", False),
        ("issue.property[a].d = z", True),
        ("issue.property[a].e is EMPTY", True),
        ("issue.property[a].f > 4", True),
        ("issue.property[a].g = z", None),
        ("issue.property[z].g = z", None),
        ("workItem.property[a].f = 5", True),
    ):
        assert judge(query, told) is wanted


def test_without_an_order_priorities_compare_only_when_equal() -> None:
    bare = Site(name="bare")
    assert judge("priority >= High", site=bare) is True
    assert judge("priority > High", site=bare) is False
    assert judge("priority > Low", site=bare) is None
    assert any("`priorities`" in why for _, why in jql.compile("priority > Low", bare).warnings)


def test_names_of_custom_fields() -> None:
    site = Site(
        name="s", fields={"A": "customfield_1", "a": "customfield_2", "Team": "customfield_3"}
    )
    assert judge("team = x", body({"customfield_3": {"id": "5", "name": "x"}}), site) is True
    with pytest.raises(BadFilter, match=r"given to customfield_1 and customfield_2; use cf\[N\]"):
        jql.compile("A = 5", site)
    mapped = Site(name="s", fields={"Organizations": "customfield_4"})
    assert (
        judge("organizations = ACME", body({"customfield_4": [{"name": "ACME"}]}), mapped) is True
    )
    assert judge('"Organizations[x]" = ACME', body({"customfield_4": []}), mapped) is False
    assert judge('"Sprint[Sprint]" = 7 order by "Sprint[Sprint]", Rank') is True
    with pytest.raises(BadFilter, match="does not exist"):
        jql.compile('"Nothing[Number]" = 7', SITE)
    assert judge('"Status[x]" = 3') is True


@pytest.mark.parametrize(
    "query",
    [
        '"Story Points[Number]" ~ x',
        '"Notes[Paragraph]" = x',
        '"City[Dropdown]" > 5',
        "City changed",
    ],
)
def test_the_type_behind_a_name_says_which_operators_go(query: str) -> None:
    with pytest.raises(BadFilter, match="is not supported by"):
        jql.compile(query, SITE)
