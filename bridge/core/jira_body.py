"""Read a Jira-shaped body: its issue, fields and projects, now and before its changelog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.core.changelog import changes, field_of

_NOTHING: Final[Mapping[str, Any]] = {}
#: Fields whose old value a changelog gives in the form that filters read.
_REVERTED: Final = frozenset({"issuetype", "status", "resolution", "priority"})


def as_object(value: object) -> Mapping[str, Any]:
    """Return a JSON object as it is, and an empty one for any other value."""
    return value if isinstance(value, dict) else _NOTHING


def issue_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the body's issue; {} without one."""
    return as_object(body.get("issue"))


def fields_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of the body's issue; {} without any."""
    return as_object(issue_of(body).get("fields"))


def completed(body: Mapping[str, Any], full: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with its issue filled in from a full body; its own values win."""
    fields = {**fields_of(full), **fields_of(body)}
    return {**body, "issue": {**issue_of(full), **issue_of(body), "fields": fields}}


def before_change(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body as it was before its own changelog, in the fields that a move changes."""
    issue, fields = dict(issue_of(body)), dict(fields_of(body))
    key, moved = issue.get("key"), False
    for item in changes(body):
        name = field_of(item, key)
        was = {"id": str(item.get("from") or ""), "name": item.get("fromString")}
        if name == "issuekey":
            issue["key"], moved = str(item.get("fromString") or ""), True
        elif name == "project":
            fields["project"] = was
        elif name in _REVERTED:
            fields[name] = was if item.get("fromString") else None
    if moved:
        fields["project"] = {**as_object(fields.get("project")), "key": _prefix(issue["key"])}
    return {**body, "issue": {**issue, "fields": fields}}


def projects(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the project's key, name and id in lower case; after a move, also the old project's."""
    project = as_object(fields_of(body).get("project"))
    found = {str(project[name]).casefold() for name in ("key", "name", "id") if project.get(name)}
    key = issue_of(body).get("key")
    if isinstance(key, str) and "-" in key:
        found.add(_prefix(key).casefold())
    if found:
        found.update(_projects_before(body))
    return frozenset(found)


def identifies_project(body: Mapping[str, Any]) -> bool:
    """Whether the body names its project in full: a filter for another project cannot match it."""
    project = as_object(fields_of(body).get("project"))
    key = issue_of(body).get("key")
    changed = {field_of(item, key) for item in changes(body)}
    # A changelog that changes the project without the key may lack a name that a filter uses.
    moved = "project" in changed and "issuekey" not in changed
    return not moved and all(project.get(name) for name in ("id", "key", "name"))


def _projects_before(body: Mapping[str, Any]) -> set[str]:
    found = set()
    key = issue_of(body).get("key")
    for item in changes(body):
        name = field_of(item, key)
        if name == "issuekey":
            found.add(_prefix(item.get("fromString")).casefold())
        elif name == "project":
            found.update(str(item.get(old) or "").casefold() for old in ("from", "fromString"))
    return found - {""}


def _prefix(key: object) -> str:
    """Return the project's part of an issue's key; "" without one."""
    return key.rpartition("-")[0] if isinstance(key, str) else ""
