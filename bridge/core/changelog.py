"""Jira's changelogs: the items of a body's, and which field each of them is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_ISSUE_KEY: Final = re.compile(r"[^\W\d_]\w{0,50}-[0-9]{1,12}")
#: Names in changelogs without ids of fields that differ from the id by more than case.
_IDS: Final = {
    "key": "issuekey",
    "fix version": "fixversions",
    "fix version/s": "fixversions",
    "component": "components",
    "component/s": "components",
    "version": "versions",
    "affects version/s": "versions",
}
#: Fields of many values, of which each item tells one.
_ONE_BY_ONE: Final = frozenset(
    {
        "attachment",
        "comment",
        "components",
        "fixversions",
        "issuelinks",
        "link",
        "remoteissuelink",
        "versions",
        "worklogid",
    }
)


def changes(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the changelog's items, whatever shape the body is in."""
    changelog = body.get("changelog")
    items = changelog.get("items") if isinstance(changelog, dict) else None
    if not isinstance(items, list):
        return []
    return [item for item in items if isinstance(item, dict)]


def field_of(item: Mapping[str, Any], key: object = None) -> str:
    """Return the id, in lower case, of the field that a changelog's item is about.

    An item's `fieldId` says it. Without one, as on older versions of Data Center, its name does,
    which is English here or not known: but a key that became the issue's own `key` is the key in
    every language. A custom field may bear any name, so its name says nothing: "" without an id.
    """
    known = item.get("fieldId")
    if known:
        return str(known).lower()
    if item.get("fieldtype") == "custom":
        return ""
    if key and item.get("toString") == key and _is_key(item.get("fromString")):
        return "issuekey"
    name = str(item.get("field") or "").lower()
    return _IDS.get(name, name)


def setting(item: Mapping[str, Any]) -> str:
    """Name what an item of a changelog sets, so that a later item of that name sets it again.

    A field; or one value of a field whose items each add or take away one of many, such as a
    version. "" where the item does not say.
    """
    name = field_of(item)
    if not name:
        named = item.get("field")
        return f"custom:{named}" if isinstance(named, str) and named else ""
    if name not in _ONE_BY_ONE:
        return name
    return f"{name}={item.get('to') or item.get('from')}"


def _is_key(value: object) -> bool:
    return isinstance(value, str) and _ISSUE_KEY.fullmatch(value) is not None
