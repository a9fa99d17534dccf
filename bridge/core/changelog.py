"""Jira's changelogs: the items of a body's changelog, and the field that each item is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_ISSUE_KEY: Final = re.compile(r"[^\W\d_]\w{0,50}-[0-9]{1,12}")
#: Field names of changelogs without ids, where the id differs from the name by more than case.
_IDS: Final = {
    "key": "issuekey",
    "fix version": "fixversions",
    "fix version/s": "fixversions",
    "component": "components",
    "component/s": "components",
    "version": "versions",
    "affects version/s": "versions",
}
#: Fields with several values: each item of a changelog adds or removes one of them.
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
    """Return the changelog's items; [] for a body of another shape."""
    changelog = body.get("changelog")
    items = changelog.get("items") if isinstance(changelog, dict) else None
    if not isinstance(items, list):
        return []
    return [item for item in items if isinstance(item, dict)]


def field_of(item: Mapping[str, Any], key: object = None) -> str:
    """Return the id, in lower case, of the field that a changelog's item is about.

    That is the item's `fieldId`. Items of older versions of Data Center have none: there it is
    found by the English name, and in any language when the new value is the issue's own `key`. A
    custom field can have any name, so without an id it is "".
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
    """Name the setting that an item changes, and that a later item of the same name changes, too.

    The name is that of the field, or of one value where each item adds or removes one, such as a
    version. "" where the item does not name its field.
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
