"""WAS and CHANGED: what one event can tell of the past, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from jql_samples import body, judge

ITEM = {
    "field": "status",
    "fieldId": "status",
    "from": "1",
    "fromString": "To Do",
    "to": "3",
    "toString": "In Progress",
}
#: 16:00 UTC, when the body was last updated.
AT = 1_791_475_200_000


def changed(*items: object, **more: object) -> dict[str, Any]:
    actor = {"accountId": "557058:aa", "displayName": "Ben Dahl"}
    log = {"id": "5", "items": list(items)}
    return body(**({"changelog": log, "user": actor, "timestamp": AT} | more))


def created(**more: object) -> dict[str, Any]:
    return changed(ITEM, webhookEvent="jira:issue_created", **more)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("status CHANGED", True),
        ("not status CHANGED", False),
        ('status CHANGED FROM "to do"', True),
        ("status CHANGED FROM 1 TO 3", True),
        ('status CHANGED FROM ("To Do", Open) TO "In Progress"', True),
        ('status CHANGED FROM "In Progress"', None),
        ("not status CHANGED TO Done", None),
        ("status CHANGED FROM EMPTY", None),
        ("status CHANGED BY 557058:aa", True),
        ('status CHANGED BY ("Ben Dahl", anna)', True),
        ("status CHANGED BY anna", None),
        ('status CHANGED BY "ben@acme.example"', None),
        ("status CHANGED BY membersOf(devs)", None),
        ("status CHANGED BY (557058:aa, membersOf(devs))", True),
        ('status CHANGED AFTER "2026/10/08 15:59"', True),
        ('status CHANGED AFTER "2026/10/08 16:00"', False),
        ("status CHANGED AFTER now()", False),
        ('status CHANGED BEFORE "2026/10/08 16:01"', True),
        ('status CHANGED BEFORE "2026/10/08 16:00"', None),
        ('status CHANGED BEFORE "2026/10/08 15:00"', False),
        ('not status CHANGED BEFORE "2026/10/08 15:00"', True),
        ('status CHANGED ON "2026/10/08"', True),
        ('status CHANGED ON "2026/10/07"', False),
        ('status CHANGED ON "2026/10/09"', False),
        ('status CHANGED ON ("2026/10/07", "2026/10/08")', True),
        ('status CHANGED ON ("2026/10/07", "2026/10/09")', None),
        ('status CHANGED DURING ("2026/10/08 16:00", now())', True),
        ('status CHANGED DURING ("2026/10/08 15:00", "2026/10/08 15:30")', None),
        ('status CHANGED DURING ("2026/10/08 14:00", "2026/10/08 14:59")', False),
        ('status CHANGED DURING ("2026/10/08 16:01", "2026/10/09")', False),
        ("status CHANGED AFTER startOfDay() BEFORE endOfDay() BY 557058:aa TO 3", True),
        ("status CHANGED AFTER startOfDay() BY anna", None),
        ("assignee CHANGED", None),
        ("fixVersion CHANGED", None),
    ],
)
def test_changed(query: str, wanted: bool | None) -> None:
    assert judge(query, changed(ITEM)) is wanted


@pytest.mark.parametrize("query", ["status CHANGED", "status CHANGED FROM 1", "assignee CHANGED"])
def test_nothing_has_changed_when_an_issue_is_created(query: str) -> None:
    assert judge(query, created()) is False
    assert judge(f"not {query}", created()) is True


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("status WAS 'In Progress'", True),
        ("status WAS NOT 'In Progress'", False),
        ("not status WAS 'In Progress'", False),
        ("status WAS 3", True),
        ("status WAS 'To Do'", True),
        ("status WAS NOT 1", False),
        ("status WAS Closed", None),
        ("status WAS NOT Closed", None),
        ("status WAS IN (Closed, 1)", True),
        ("status WAS NOT IN (Closed, 1)", False),
        ("status WAS NOT IN (Closed)", None),
        ("status WAS EMPTY", None),
        ("resolution WAS Unresolved", True),
        ("resolution WAS NOT EMPTY", False),
        ("resolution WAS IN (Unresolved, Fixed)", True),
        ("assignee WAS 'Anna Berg'", True),
        ("assignee WAS IN membersOf(devs)", None),
        ("status WAS 'In Progress' BEFORE '2026/10/08 15:00'", False),
        ("status WAS 'In Progress' BEFORE '2026/10/08 15:30'", None),
        ("status WAS 'In Progress' BEFORE '2026/10/08 17:00'", True),
        ("status WAS 'In Progress' AFTER '2026/10/08 17:00'", True),
        ("status WAS 'In Progress' AFTER '2026/10/08 19:00'", None),
        ("status WAS 'In Progress' DURING ('2026/10/08 16:30', '2026/10/08 17:00')", True),
        ("status WAS 'In Progress' ON '2026/10/08'", True),
        ("status WAS 'To Do' AFTER '2026/10/08 15:30'", True),
        ("status WAS 'To Do' AFTER '2026/10/08 16:00'", False),
        ("status WAS 'To Do' BEFORE '2026/10/08 16:00'", True),
        ("status WAS 'To Do' BEFORE '2026/10/08 15:30'", None),
        ("status WAS NOT 'To Do' AFTER '2026/10/08 16:30'", True),
        ("status WAS Closed AFTER '2026/10/08 16:30'", False),
        ("status WAS Closed ON '2026/10/08'", None),
        ("status WAS 'In Progress' BY 557058:aa", True),
        ("status WAS 'In Progress' BY anna", None),
        ("status WAS 'To Do' BY 557058:aa", None),
        ("status WAS 'In Progress' BY 557058:aa AFTER '2026/10/08 15:59'", True),
        ("status WAS 'In Progress' BY 557058:aa BEFORE '2026/10/08 15:59'", None),
    ],
)
def test_was(query: str, wanted: bool | None) -> None:
    assert judge(query, changed(ITEM)) is wanted


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("status WAS 'In Progress'", True),
        ("status WAS Closed", False),
        ("status WAS 'To Do'", False),
        ("status WAS EMPTY", False),
        ("status WAS NOT Closed", True),
        ("status WAS Closed BY anna", False),
        ("status WAS 'In Progress' BY anna", None),
        ("status WAS 'In Progress' AFTER '2026/10/08 15:30'", True),
        ("status WAS 'In Progress' BEFORE '2026/10/08 15:30'", True),
        ("status WAS 'In Progress' BEFORE '2026/10/08 14:00'", False),
        ("status WAS 'In Progress' AFTER '2026/10/08 19:00'", None),
        ("assignee WAS membersOf(devs)", "refused"),
    ],
)
def test_was_at_creation(query: str, wanted: bool | str | None) -> None:
    if wanted == "refused":
        with pytest.raises(Exception, match="does not support the list value"):
            judge(query)
        return
    assert judge(query, created() | {"changelog": None}) is wanted
    assert judge(query, created()) is wanted


def test_without_a_changelog_only_the_present_is_known() -> None:
    for log in (None, {}, {"items": None}, {"items": [5, {}, {"field": 5}, {"field": "other"}]}):
        told = body(changelog=log)
        assert judge("status CHANGED", told) is None
        assert judge("status WAS 'In Progress'", told) is True
        assert judge("status WAS Open", told) is None
        assert judge("status CHANGED AFTER '2026/10/08 16:00'", told) is False


def test_without_a_timestamp_the_update_is_the_instant() -> None:
    late = "status CHANGED AFTER '2026/10/08 15:59'"
    assert judge(late, changed(ITEM, timestamp=None)) is True
    assert judge(late, changed(ITEM, timestamp=True)) is True
    assert judge(late, changed(ITEM, timestamp=AT - 120_000)) is None
    told = changed(ITEM, timestamp=None)
    del told["issue"]["fields"]["updated"]
    assert judge(late, told) is None
    assert judge("status CHANGED", told) is True
    assert judge("status WAS 1 AFTER '2026/10/08 15:59'", told) is None
    assert judge("status WAS 3 AFTER '2026/10/08 17:59'", told) is True
    assert judge("status WAS 3 BEFORE '2026/10/08 18:01'", told) is True
    told["issue"]["fields"]["created"] = 5
    assert judge("status CHANGED BEFORE '2001/01/01'", told) is None


def test_an_event_from_the_future_is_no_trouble() -> None:
    assert judge("status WAS 3 BEFORE '2026/10/09'", changed(ITEM, timestamp=AT * 2)) is True


def test_changes_are_known_by_id_or_by_name_and_of_people_by_account() -> None:
    version = {"field": "Fix Version", "from": None, "to": "200", "toString": "1.10"}
    assert judge("fixVersion CHANGED TO 1.10", changed(version)) is True
    assert judge("fixVersion CHANGED FROM EMPTY", changed(version)) is None
    assert judge("fixVersion WAS EMPTY", changed(version)) is None
    person = {"field": "assignee", "tmpFromAccountId": "557058:zz", "fromString": "Zoe"}
    assert judge("assignee CHANGED FROM 557058:zz", changed(person)) is True
    assert judge("assignee WAS Zoe", changed(person)) is True
    assert judge("assignee CHANGED TO EMPTY", changed(person)) is True
    local = {"field": "Статус", "fieldId": "status", "fromString": "A", "toString": "B"}
    assert judge("status CHANGED FROM a TO b", changed(local)) is True


def test_an_absent_field_still_has_a_changelog() -> None:
    told = changed(ITEM)
    del told["issue"]["fields"]["status"]
    assert judge("status WAS 'To Do'", told) is True
    assert judge("status WAS 'In Progress'", told) is True
    assert judge("status WAS Closed", told) is None


def test_days_are_those_of_the_site() -> None:
    from jql_samples import SITE

    berlin = type(SITE)(name="b", timezone="Europe/Berlin")
    told = changed(ITEM, timestamp=AT + 6 * 3_600_000 + 1)
    told["issue"]["fields"]["updated"] = "2026-10-08T22:30:00.000+0000"
    assert judge("status CHANGED ON '2026/10/09'", told, berlin) is True
    assert judge("status CHANGED ON '2026/10/08'", told, berlin) is None
