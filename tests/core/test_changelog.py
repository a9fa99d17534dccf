"""Which field an item of a changelog is about, and who may read a comment."""

import pytest

from bridge.core.changelog import changes, field_of, setting
from bridge.core.readers import is_private


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"field": "Status", "fieldtype": "jira", "fieldId": "status"}, "status"),
        ({"field": "Статус", "fieldtype": "jira", "fieldId": "status"}, "status"),
        ({"field": "status", "fieldtype": "jira"}, "status"),
        ({"field": "status"}, "status"),
        ({"field": "Статус", "fieldtype": "jira"}, "статус"),
        ({"field": "Status", "fieldtype": "custom"}, ""),
        ({"field": "Status", "fieldtype": "custom", "fieldId": ""}, ""),
        ({"field": "Status", "fieldtype": "custom", "fieldId": "customfield_1"}, "customfield_1"),
        ({"field": "Key", "fieldtype": "jira", "fieldId": "customfield_1"}, "customfield_1"),
        ({"field": "Key", "fieldtype": "jira"}, "issuekey"),
        ({"field": "Key", "fieldId": "issuekey"}, "issuekey"),
        ({"field": "Fix Version", "fieldtype": "jira"}, "fixversions"),
        ({"field": "Fix Version/s"}, "fixversions"),
        ({"field": "Fix Version", "fieldId": "fixVersions"}, "fixversions"),
        ({"field": "Component"}, "components"),
        ({"field": "Version"}, "versions"),
        ({"field": "Ключ", "fromString": "MOB-1", "toString": "PLAT-2"}, "issuekey"),
        ({"field": "Ключ", "fromString": "MOB-1", "toString": "PLAT-3"}, "ключ"),
        ({"field": "Notes", "fromString": "semi-official", "toString": "PLAT-2"}, "notes"),
        ({"field": "Notes", "fromString": None, "toString": "PLAT-2"}, "notes"),
        (
            {
                "field": "After",
                "fieldtype": "custom",
                "fromString": "MOB-1",
                "toString": "PLAT-2",
            },
            "",
        ),
        ({}, ""),
        ({"field": 7, "fieldId": None}, "7"),
    ],
)
def test_the_field_of_an_item(item, field):
    assert field_of(item, "PLAT-2") == field


def test_without_the_issues_key_only_its_name_shows_that_it_changed():
    assert field_of({"field": "x", "fromString": "MOB-1", "toString": "PLAT-2"}) == "x"


@pytest.mark.parametrize(
    ("body", "items"),
    [
        ({"changelog": {"items": [{"field": "x"}, None, 7]}}, [{"field": "x"}]),
        ({"changelog": {"items": {}}}, []),
        ({"changelog": []}, []),
        ({}, []),
    ],
)
def test_the_items_of_a_body(body, items):
    assert changes(body) == items


@pytest.mark.parametrize(
    ("comment", "private"),
    [
        ({}, False),
        (None, False),
        ({"visibility": {}}, True),
        ({"visibility": None, "jsdPublic": True}, False),
        ({"jsdPublic": False}, True),
        ({"properties": [{"key": "sd.public.comment", "value": {"internal": True}}]}, True),
        ({"properties": [None, {"key": "sd.public.comment", "value": {"internal": True}}]}, True),
        ({"properties": [{"key": "sd.public.comment", "value": {"internal": False}}]}, False),
        ({"properties": [{"key": "sd.public.comment", "value": True}]}, False),
        ({"properties": [{"key": "other", "value": {"internal": True}}]}, False),
        ({"properties": {"sd.public.comment": {"internal": True}}}, False),
    ],
)
def test_the_readers_of_a_comment(comment, private):
    assert is_private(comment) is private


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"field": "Status", "fieldId": "status", "to": "5"}, "status"),
        ({"field": "labels", "toString": "a b"}, "labels"),
        ({"field": "Story Points", "fieldtype": "custom"}, "custom:Story Points"),
        ({"field": "Status", "fieldtype": "custom"}, "custom:Status"),
        ({"fieldtype": "custom"}, ""),
        ({}, ""),
        # One item for each value that is added or taken away.
        ({"field": "Fix Version", "to": "10", "from": None}, "fixversions=10"),
        ({"field": "Fix Version", "to": None, "from": "10"}, "fixversions=10"),
        ({"field": "Attachment", "to": "77"}, "attachment=77"),
        ({"field": "Link", "to": "PLAT-2"}, "link=PLAT-2"),
    ],
)
def test_the_setting_that_an_item_changes(item, name):
    assert setting(item) == name
