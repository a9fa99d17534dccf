"""Read a field's values from a body, or the reason why they cannot be known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bridge.core.jira_body import as_object
from bridge.core.jql.view import Gap, Partial, Values, View, handle
from bridge.core.richtext import words

Reader = Callable[[View], Values | Gap]

_SPRINT: Final = re.compile(r"\b(\w++)=(.*?)(?=,\w++=|\]?$)", re.DOTALL)
_LONGEST_SPRINT: Final = 10_000
_SPRINT_STATES: Final = frozenset({"active", "closed", "future"})
_DELETED: Final = "comment_deleted"


def nowhere(_view: View) -> Values | Gap:
    """Return no values: bodies do not hold the field."""
    return Gap.ABSENT


def single(name: str, *types: type) -> Reader:
    """Read a field that has one value of these types."""

    def read(view: View) -> Values | Gap:
        value = view.fields.get(name, Gap.ABSENT)
        if isinstance(value, types) and value != "" and not isinstance(value, bool):
            return (value,)
        return _single(view.fields, name, types)

    return read


def within(outer: str, inner: str, *types: type) -> Reader:
    """Read one value inside an object."""

    def read(view: View) -> Values | Gap:
        holder = _single(view.fields, outer, (dict,))
        if isinstance(holder, Gap) or not holder:
            return holder
        return _single(holder[0], inner, types)

    return read


def _single(holder: Mapping[str, Any], name: str, types: tuple[type, ...]) -> Values | Gap:
    value = holder.get(name, Gap.ABSENT)
    if value is None or value == "":
        return ()
    if isinstance(value, types) and not isinstance(value, bool):
        return (value,)
    return Gap.ABSENT if value is Gap.ABSENT else Gap.UNREADABLE


def several(name: str) -> Reader:
    """Read a field that has a list of values."""

    def read(view: View) -> Values | Gap:
        value = view.fields.get(name, Gap.ABSENT)
        if isinstance(value, list):
            return value
        if value is None:
            return ()
        return Gap.ABSENT if value is Gap.ABSENT else Gap.UNREADABLE

    return read


def work_ratio(view: View) -> Values | Gap:
    """Read the work ratio in percent; bodies hold -1 when there is no estimate."""
    result = _single(view.fields, "workratio", (int,))
    return () if result == (-1,) else result


def custom(identity: str) -> Reader:
    """Read a custom field, whatever its type is."""

    def read(view: View) -> Values | Gap:
        value = view.fields.get(identity, Gap.ABSENT)
        if isinstance(value, list):
            return value
        if value is None or value == "":
            return ()
        return value if isinstance(value, Gap) else (value,)

    return read


def project(view: View) -> Values | Gap:
    """Read the project, or else its key from the issue key."""
    result = _single(view.fields, "project", (dict,))
    key = view.issue.get("key")
    if result is Gap.ABSENT and isinstance(key, str) and "-" in key:
        return ({"key": key.rpartition("-")[0]},)
    return result


def issue(view: View) -> Values | Gap:
    """Read the issue's own key and id."""
    return (view.issue,) if view.issue.get("key") or view.issue.get("id") else Gap.ABSENT


def count(outer: str, inner: str) -> Reader:
    """Read people whom a body only counts: none, or an unknown one."""
    number = within(outer, inner, int)

    def read(view: View) -> Values | Gap:
        result = number(view)
        if isinstance(result, Gap) or not result:
            return result
        return (None,) if result[0] else ()

    return read


def properties(key: str, path: tuple[str, ...]) -> Reader:
    """Read an entity property of the issue, if the body has any."""

    def read(view: View) -> Values | Gap:
        value: object = as_object(view.issue.get("properties")).get(key, Gap.ABSENT)
        for name in path:
            value = as_object(value).get(name, Gap.ABSENT)
        if isinstance(value, list):
            return value
        if value is None:
            return ()
        return value if isinstance(value, Gap) else (value,)

    return read


def linked(view: View) -> Values | Gap:
    """Read the issues with a direct link to this one."""
    return _links(view, _target)


def _target(link: Mapping[str, Any]) -> object:
    return link.get("outwardIssue") or link.get("inwardIssue")


def linked_as(kind: str) -> Reader:
    """Read the issues with a link to this one whose name, seen from this issue, is `kind`."""
    wanted = kind.casefold()

    def read(view: View) -> Values | Gap:
        result = several("issuelinks")(view)
        if isinstance(result, Gap):
            return result
        links = [as_object(link) for link in result]
        names = [handle(_link_type(link).get("seen")) for link in links]
        found = [_target(link) for name, link in zip(names, links, strict=True) if name == wanted]
        return Partial(found) if None in names else found

    return read


def family(view: View) -> Values | Gap:
    """Read the parent and the subtasks, as far as the body holds them."""
    above, below = _single(view.fields, "parent", (dict,)), several("subtasks")(view)
    level = as_object(view.fields.get("issuetype")).get("hierarchyLevel")
    # An epic's body does not list the issues in it: they are not its subtasks.
    complete = isinstance(level, int) and level < 1 and Gap not in (type(above), type(below))
    if isinstance(above, Gap) and isinstance(below, Gap):
        return above
    found = (*_some(above), *_some(below))
    return found if complete else Partial(found)


def link_types(view: View) -> Values | Gap:
    """Read the names of the direct links, seen from this issue."""
    return _links(view, _link_type)


def _link_type(link: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = as_object(link.get("type"))
    return {**kind, "seen": kind.get("inward" if "inwardIssue" in link else "outward")}


def _links(view: View, pick: Callable[[Mapping[str, Any]], object]) -> Values | Gap:
    result = several("issuelinks")(view)
    return result if isinstance(result, Gap) else [pick(as_object(link)) for link in result]


def sprints(identity: str | None) -> Reader:
    """Read sprints (Cloud's objects, Data Center's strings), if need be from any custom field."""
    if identity:
        named = custom(identity)
        return lambda view: _sprints(named(view))

    def search(view: View) -> Values | Gap:
        for name, value in view.fields.items():
            if name.startswith("customfield_") and isinstance(value, list) and value:
                found = _sprints(value)
                if not isinstance(found, Gap) and all(map(_is_sprint, found)):
                    return found
        return Gap.ABSENT

    return search


def _sprints(result: Values | Gap) -> Values | Gap:
    return result if isinstance(result, Gap) else [sprint(item) for item in result]


def sprint(item: object) -> object:
    """Read `…Sprint@1f[id=7,state=ACTIVE,name=One, two,…]` into an object."""
    if not isinstance(item, str) or "[" not in item or len(item) > _LONGEST_SPRINT:
        return item
    return dict(_SPRINT.findall(item[item.index("[") + 1 :]))


def _is_sprint(item: object) -> bool:
    state = as_object(item).get("state")
    return isinstance(state, str) and state.lower() in _SPRINT_STATES and "name" in as_object(item)


def epic(identity: str | None) -> Reader:
    """Read the epic: from Epic Link where the site names it, or from a parent that is an epic."""
    if identity:
        return custom(identity)

    def read(view: View) -> Values | Gap:
        result = _single(view.fields, "parent", (dict,))
        if isinstance(result, Gap) or not result:
            return result
        kind = as_object(as_object(result[0].get("fields")).get("issuetype"))
        level = kind.get("hierarchyLevel")
        return Gap.ABSENT if isinstance(level, int) and level < 1 else result

    return read


def text(name: str) -> Reader:
    """Read a text field: wiki text or a document."""

    def read(view: View) -> Values | Gap:
        result = _single(view.fields, name, (str, dict))
        return result if isinstance(result, Gap) else tuple(map(words, result))

    return read


def comments(view: View) -> Values | Gap:
    """Read the event's comment, and the issue's as far as the body holds them."""
    own = view.body.get("comment")
    gone = view.body.get("webhookEvent") == _DELETED
    return _listed(view.fields.get("comment"), "comments", "body", () if gone else (own,))


def worklogs(part: str) -> Reader:
    """Read one part of each worklog, as far as the body holds them."""
    return lambda view: _listed(view.fields.get("worklog"), "worklogs", part, ())


def _listed(holder: object, name: str, part: str, more: Iterable[object]) -> Values | Gap:
    result = as_object(holder).get(name)
    listed = result if isinstance(result, list) else []
    found = [as_object(item).get(part) for item in (*listed, *more)]
    values = [words(value) if part != "author" else value for value in found if value]
    complete = isinstance(result, list) and as_object(holder).get("total") == len(result)
    if complete:
        return values
    return Partial(values) if isinstance(result, list) or values else Gap.ABSENT


def everything(view: View) -> Values | Gap:
    """Read every text of the issue; a body never holds all of them."""
    return Partial(value for read in _TEXTS for value in _some(read(view)))


def described(view: View) -> Values | Gap:
    """Read the texts of the issue without its comments."""
    return Partial(value for read in _TEXTS[:3] for value in _some(read(view)))


def _some(result: Values | Gap) -> Values:
    return () if isinstance(result, Gap) else result


_TEXTS: Final = (text("summary"), text("description"), text("environment"), comments)
