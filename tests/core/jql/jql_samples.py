"""Bodies and sites that filters are judged against."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.core import jql
from bridge.model import Site

SHARED = Path(__file__).parents[4] / "shared" / "corpus" / "jql"

SITE = Site(
    name="acme",
    priorities=("Highest", "High", "Medium", "Low", "Lowest"),
    fields={
        "Sprint": "customfield_10020",
        "Story Points": "customfield_10016",
        "City": "customfield_10030",
        "Target start": "customfield_10031",
        "Approvers": "customfield_10032",
        "Notes": "customfield_10033",
    },
)
#: Thursday, 2026-10-08 18:00 UTC.
NOW = 1_791_482_400_000

FIELDS: Mapping[str, Any] = {
    "project": {
        "id": "10000",
        "key": "PLAT",
        "name": "Platform",
        "projectTypeKey": "software",
        "projectCategory": {"id": "10100", "name": "Core"},
    },
    "issuetype": {"id": "10001", "name": "Bug", "subtask": False, "hierarchyLevel": 0},
    "status": {
        "id": "3",
        "name": "In Progress",
        "statusCategory": {"id": 4, "key": "indeterminate", "name": "In Progress"},
    },
    "priority": {"id": "2", "name": "High"},
    "resolution": None,
    "labels": ["backend", "ci-red"],
    "components": [{"id": "100", "name": "API"}, {"id": "101", "name": "Store"}],
    "fixVersions": [{"id": "200", "name": "1.10", "released": False}],
    "versions": [],
    "assignee": {
        "accountId": "5b10ac8d82e05b22cc7d4ef5",
        "displayName": "Anna Berg",
        "emailAddress": "anna@acme.example",
    },
    "reporter": {"accountId": "557058:aa", "displayName": "Ben Dahl"},
    "creator": {"name": "ben", "key": "JIRAUSER1", "displayName": "Ben Dahl"},
    "created": "2026-10-08T15:00:00.000+0000",
    "updated": "2026-10-08T16:00:00.000+0000",
    "resolutiondate": None,
    "duedate": "2026-10-09",
    "summary": "Windows wins: issue collector in full screen mode",
    "description": "Please see the screenshot.",
    "environment": None,
    "votes": {"votes": 5},
    "watches": {"watchCount": 0},
    "parent": {
        "id": "10001",
        "key": "PLAT-1",
        "fields": {"issuetype": {"name": "Epic", "hierarchyLevel": 1}},
    },
    "timeoriginalestimate": 3600,
    "timeestimate": None,
    "timespent": 60,
    "workratio": 25,
    "security": None,
    "attachment": [],
    "issuelinks": [
        {
            "id": "1",
            "type": {"id": "9", "name": "Blocks", "inward": "is blocked by", "outward": "blocks"},
            "inwardIssue": {"id": "10050", "key": "MOB-5"},
        }
    ],
    "customfield_10016": 5,
    "customfield_10020": [{"id": 7, "name": "Sprint 7", "state": "active"}],
    "customfield_10030": {"id": "1", "value": "Berlin", "child": {"id": "2", "value": "Mitte"}},
    "customfield_10031": "2026-10-20",
    "customfield_10032": [{"accountId": "557058:bb", "displayName": "Cleo Eng"}],
    "customfield_10033": "Ask the store team",
}


def body(
    changes: Mapping[str, Any] | None = None, /, *, without: str = "", **more: object
) -> dict[str, Any]:
    """Make a body like Jira's of an issue; changes are put into its fields."""
    fields = copy.deepcopy(dict(FIELDS)) | dict(changes or {})
    fields.pop(without, None)
    issue = {"id": "10042", "key": "PLAT-10", "fields": fields}
    return {"webhookEvent": "jira:issue_updated", "issue": issue, **more}


def judge(
    query: str, told: Mapping[str, Any] | None = None, site: Site = SITE, now: int = NOW
) -> bool | None:
    """Say what a filter makes of a body."""
    found = jql.compile(query, site, lookup=True).match(body() if told is None else told, now)
    assert found.why
    assert "\n" not in found.why
    return found.value


def shared(name: str) -> Iterator[dict[str, Any]]:
    """Read a file of the corpus beside the project, where there is one."""
    file = SHARED / name
    if not file.exists():
        pytest.skip(f"{file} is not here")
    if file.suffix == ".json":
        yield from json.loads(file.read_text("utf-8"))
    else:
        yield from map(json.loads, file.read_text("utf-8").splitlines())
