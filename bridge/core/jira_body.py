"""Read a Jira-shaped body: its issue, fields and projects, now and before its changelog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    issue = body.get("issue")
    return issue if isinstance(issue, dict) else _NOTHING


def fields_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of the body's issue; {} without any."""
    issue = body.get("issue")
    fields = issue.get("fields") if isinstance(issue, dict) else None
    return fields if isinstance(fields, dict) else _NOTHING


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Projects:
    """The projects that a body is about: the issue's, and after a move also the old one."""

    #: Keys, names and ids, in lower case.
    names: frozenset[str]
    #: The body names its project in full, so that a filter for another project cannot match it.
    complete: bool


def projects_of(body: Mapping[str, Any]) -> Projects:
    """Return the projects that a body is about."""
    key, project = issue_of(body).get("key"), as_object(fields_of(body).get("project"))
    id_, own_key, name = project.get("id"), project.get("key"), project.get("name")
    names = {str(each).casefold() for each in (id_, own_key, name) if each}
    if isinstance(key, str) and "-" in key:
        names.add(_prefix(key).casefold())
    before, changed = _projects_before(body, key)
    if names:
        names |= before
    # A changelog that changes the project without the key may lack a name that a filter uses.
    moved = "project" in changed and "issuekey" not in changed
    return Projects(names=frozenset(names), complete=bool(id_ and own_key and name) and not moved)


def _projects_before(body: Mapping[str, Any], key: object) -> tuple[set[str], set[str]]:
    """Return the names of the projects before the changelog, and the fields that it changes."""
    names: set[str] = set()
    fields: set[str] = set()
    for item in changes(body):
        field = field_of(item, key)
        fields.add(field)
        if field == "issuekey":
            names.add(_prefix(item.get("fromString")).casefold())
        elif field == "project":
            names.update(str(item.get(old) or "").casefold() for old in ("from", "fromString"))
    return names - {""}, fields


def _prefix(key: object) -> str:
    """Return the project's part of an issue's key; "" without one."""
    return key.rpartition("-")[0] if isinstance(key, str) else ""
