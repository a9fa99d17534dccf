"""What `aha-bridge jql` makes of clauses, by Atlassian's pages about JQL's fields and operators."""

import copy
import json

import pytest
from commands import run

from bridge.demo.bodies import Change, Issue, Item
from bridge.demo.stories import ANA, CLOUD

T = 1_772_697_600_000  # 2026-03-05T08:00:00Z
NOW = "2026-03-05T09:00:00Z"
BLOCKS = {"id": "1", "name": "Blocks", "inward": "is blocked by", "outward": "blocks"}
CLONERS = {"id": "2", "name": "Cloners", "inward": "is cloned by", "outward": "clones"}
LINKS = [
    {"id": "1", "type": BLOCKS, "outwardIssue": {"id": "10050", "key": "MOB-5"}},
    {"id": "2", "type": BLOCKS, "inwardIssue": {"id": "10060", "key": "MOB-6"}},
    {"id": "3", "type": CLONERS, "outwardIssue": {"id": "10070", "key": "MOB-7"}},
]
CITY = {"id": "11", "value": "Berlin"}
EPIC = {"id": "10001", "key": "PLAT-1"}
TASK = {"id": "10014", "key": "PLAT-14"}
OUT = {"id": "1", "name": "1.0", "released": True}
AHEAD = {"id": "2", "name": "2.0", "released": False}
STATUS = Item(field="status", field_id="status", was=("1", "Open"), now=("3", "In Progress"))


def body(fields, key="PLAT-12"):
    issue = Issue(id=10012, key=key, reporter=ANA, created=T - 86_400_000, updated=T)
    told = CLOUD.issue_updated(issue, ANA, "issue_generic", Change(id=7, items=(STATUS,)))
    told = copy.deepcopy(told)
    told["issue"]["fields"].update(fields)
    return told


def judged(tmp_path, query, told):
    (tmp_path / "body.json").write_text(json.dumps(told))
    site = tmp_path / "mappings"
    site.mkdir(exist_ok=True)
    (site / "bridge.yaml").write_text(
        "version: 1\nhooks: {h: {source: jira, site: acme, token: aaaaaaaaaaaaaaaaaaaa}}\n"
        "destinations: {aha: {kind: aha, url: https://acme.aha.io, token: bbbbbbbbbbbbbbbbbbbb,"
        " run_as: {name: I, email: i@acme.example}}}\n"
        "sites: {acme: {fields: {Story Points: customfield_10016, Journey: customfield_10099}}}\n"
    )
    (site / "all.yaml").write_text('version: 1\nfrom: h\nto: aha\nwhen: ""\n')
    result = run(
        *("jql", query, "--against", tmp_path / "body.json", "--now", NOW, "--json"),
        *("--site", "acme", "--mappings", site),
    )
    assert result.stdout, result.stderr
    return json.loads(result.stdout)["value"]


JUDGED = [
    # workRatio: -1 is how a body says that there is no estimate
    ("workRatio is EMPTY", {"workratio": -1}, True),
    ("workRatio is not EMPTY", {"workratio": -1}, False),
    ("workRatio < 50", {"workratio": -1}, False),
    ("workRatio != 50", {"workratio": -1}, False),
    ("workRatio < 50", {"workratio": 0}, True),
    # choiceOption: an option's id or its value
    ("cf[10030] in choiceOption(11)", {"customfield_10030": CITY}, True),
    ("cf[10030] in choiceOption(Berlin)", {"customfield_10030": CITY}, True),
    ("cf[10030] in choiceOption(Rome, berlin)", {"customfield_10030": [CITY]}, True),
    ("cf[10030] in choiceOption(12, Rome)", {"customfield_10030": CITY}, False),
    ("cf[10030] not in choiceOption(Rome)", {"customfield_10030": CITY}, True),
    # linkedWorkItem: above and below, and not across
    ("linkedWorkItem = PLAT-1", {"parent": EPIC}, True),
    ("linkedIssue = 10001", {"parent": EPIC}, True),
    ("linkedIssue = PLAT-14", {"subtasks": [TASK]}, True),
    ("linkedIssue in (PLAT-14, PLAT-1)", {"parent": None, "subtasks": [TASK]}, True),
    ("linkedIssue = PLAT-2", {"parent": EPIC, "subtasks": [TASK]}, False),
    ("linkedIssue != PLAT-2", {"parent": EPIC, "subtasks": [TASK]}, True),
    ("linkedIssue = PLAT-2", {"subtasks": [TASK]}, None),
    ("linkedIssue = MOB-5", {"parent": EPIC, "issuelinks": LINKS}, False),
    ("linkedIssue = PLAT-2", {"parent": None,
                              "issuetype": {"name": "Epic", "hierarchyLevel": 1}}, None),
    # a key's number
    ('key ~ "-12"', {}, True),
    ('workItemKey ~ "-1"', {}, False),
    ('key ~ "-1*"', {}, True),
    ('key !~ "-12*"', {}, False),
    ('key ~ "-2*"', {}, False),
    ('key ~ "PLAT-*"', {}, True),
    ('key ~ "*AT-1*"', {}, True),
    # links, of one type or of any
    ("issueLinkType is EMPTY", {"issuelinks": []}, True),
    ("workItemLinkType is not EMPTY", {"issuelinks": LINKS}, True),
    ("issueLinkType = EMPTY", {"issuelinks": LINKS}, False),
    ('workItemLink["blocks"] = MOB-5', {"issuelinks": LINKS}, True),
    ('workItemLink["blocks"] = MOB-6', {"issuelinks": LINKS}, False),
    ('workItemLink["is blocked by"] in (MOB-6, MOB-1)', {"issuelinks": LINKS}, True),
    ('issueLink["Is Blocked By"] = 10060', {"issuelinks": LINKS}, True),
    ('issueLink[clones] != MOB-7', {"issuelinks": LINKS}, False),
    ('issueLink["duplicates"] = MOB-7', {"issuelinks": LINKS}, False),
    ("workItemBlocks = MOB-5", {"issuelinks": LINKS}, True),
    ("issueBlocks = MOB-6", {"issuelinks": LINKS}, False),
    ("workItemIsBlockedBy = MOB-6", {"issuelinks": LINKS}, True),
    ("issueIsBlockedBy not in (MOB-6)", {"issuelinks": LINKS}, False),
    ("issueIsBlockedBy is EMPTY", {"issuelinks": LINKS[:1]}, True),
    ("issueBlocks is not EMPTY", {"issuelinks": LINKS[:1]}, True),
    ("issueBlocks = MOB-5", {"issuelinks": [{"id": "1", "outwardIssue": {"key": "MOB-5"}}]}, None),
    # units in full
    ("created > -4days", {}, True),
    ("created > -1day", {}, False),
    ("created > -26hours", {}, True),
    ("created > -24hours", {}, False),
    ('created > "-10w, 3minutes"', {}, True),
    ('created > "-1week 1hour"', {}, True),
    ("due < 2weeks", {"duedate": "2026-03-10"}, True),
    ('timeSpent = "1hour 30minutes"', {"timespent": 5400}, True),
    # ON one of several days
    ("status WAS Open ON (2026-03-01, 2026-03-05)", {}, True),
    ("status WAS Open ON (2026-03-01, 2026-03-02)", {}, False),
    ("status CHANGED ON (2026-03-05, 2026-03-06)", {}, True),
    ("status WAS Open ON (2026-03-06, startOfDay())", {}, True),
    ("status WAS Open ON (2026-03-05)", {}, True),
    # versions of several projects
    ("fixVersion = latestReleasedVersion(PLAT, MOB)", {"fixVersions": [AHEAD]}, False),
    ("fixVersion = latestReleasedVersion(PLAT, MOB)", {"fixVersions": [OUT]}, None),
    ("fixVersion in latestReleasedVersion(HR, MOB)", {"fixVersions": [OUT]}, False),
    ("fixVersion = earliestUnreleasedVersion(PLAT, MOB)", {"fixVersions": [OUT]}, False),
    # journeys
    ("journeyID = 123", {}, None),
    ("journeyType in (onboarding, 123)", {}, None),
    ("journeyID is not EMPTY", {}, None),
    # numbers
    ('"Story Points[Number]" = 5', {"customfield_10016": 5.0}, True),
    ('"Story Points[Number]" in (3, "5")', {"customfield_10016": 5.0}, True),
    ('"Story Points[Number]" is EMPTY', {"customfield_10016": None}, True),
    # dates as Jira takes them
    ('created < "2026-03-04 08:01"', {}, True),
    ('created >= "2026/03/04"', {}, True),
]  # fmt: skip


@pytest.mark.parametrize(("query", "fields", "value"), JUDGED)
def test_a_clause_and_a_body(tmp_path, query, fields, value):
    assert judged(tmp_path, query, body(fields)) is value


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ('created > "2026-03-04 08:00:00"', "Date value '2026-03-04 08:00:00'"),
        ('created > "2026-03-04T08:00"', "Date value '2026-03-04T08:00'"),
        ('due = "2026-03-04T08:00:00"', "is invalid"),
        ("status CHANGED AFTER 2026-03-04T08:00", "is invalid"),
        ("status WAS Open ON (2026-03-04T08:00, 2026-03-05)", "is invalid"),
        ("status WAS Open ON (EMPTY, 2026-03-05)", "is not a date"),
        ("created > -4dayss", "is invalid"),
        ('created > "-10w; 3minutes"', "is invalid"),
        ("created > -4months", "no unit for months"),
        (
            '"Story Points[Number]" = five',
            "'five' for field 'Story Points' is not a number",
        ),
        ('"Story Points[Number]" in (5, five)', "is not a number"),
        ('"Story Points[Number]" > 2026-03-04', "is not a number"),
        ('"Story Points[Date]" = five', "Date value 'five'"),
        ('"Story Points[Time stamp]" >= five', "Date value 'five'"),
        ("journeyID ~ x", "The operator '~' is not supported by the 'journeyID' field"),
        ("journeyType > 3", "The operator '>' is not supported by the 'journeyType' field"),
        ("workItemBlocks ~ x", "The operator '~' is not supported"),
        ('project["blocks"] = X-1', "has no properties"),
        ('workItemLink["blocks"].x = X-1', "has no properties"),
    ],
)
def test_what_jira_refuses_is_refused(tmp_path, query, says):
    (tmp_path / "body.json").write_text(json.dumps(body({})))
    site = tmp_path / "mappings"
    with pytest.raises(AssertionError):  # nothing is printed but the complaint
        judged(tmp_path, query, body({}))
    result = run("jql", query, "--against", tmp_path / "body.json", "--site", "acme",
                 "--mappings", site)  # fmt: skip
    assert result.exit_code == 1
    assert says in result.stderr
