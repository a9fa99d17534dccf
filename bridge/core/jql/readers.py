"""Where in a body a field's values stand: from a view to the values, or to why there are none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bridge.core.jql.view import Gap, Partial, Values, View, handle, mapping
from bridge.core.richtext import words

Reader = Callable[[View], Values | Gap]

_SPRINT: Final = re.compile(r"\b(\w++)=(.*?)(?=,\w++=|\]?$)", re.DOTALL)
_LONGEST_SPRINT: Final = 10_000
_SPRINT_STATES: Final = frozenset({"active", "closed", "future"})
_DELETED: Final = "comment_deleted"


def nowhere(_view: View) -> Values | Gap:
    """Find nothing: bodies do not have it."""
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
    """Read how much of the estimate was worked: -1 is how bodies say that there is no estimate."""
    told = _single(view.fields, "workratio", (int,))
    return () if told == (-1,) else told


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
    """Read the project, or at least its key from the issue's."""
    told = _single(view.fields, "project", (dict,))
    key = view.issue.get("key")
    if told is Gap.ABSENT and isinstance(key, str) and "-" in key:
        return ({"key": key.rpartition("-")[0]},)
    return told


def issue(view: View) -> Values | Gap:
    """Read the issue's own key and id."""
    return (view.issue,) if view.issue.get("key") or view.issue.get("id") else Gap.ABSENT


def count(outer: str, inner: str) -> Reader:
    """Read people of whom only the number is told: none, or one nobody knows."""
    number = within(outer, inner, int)

    def read(view: View) -> Values | Gap:
        told = number(view)
        if isinstance(told, Gap) or not told:
            return told
        return (None,) if told[0] else ()

    return read


def properties(key: str, path: tuple[str, ...]) -> Reader:
    """Read an entity property of the issue, where the body has them."""

    def read(view: View) -> Values | Gap:
        value: object = mapping(view.issue.get("properties")).get(key, Gap.ABSENT)
        for name in path:
            value = mapping(value).get(name, Gap.ABSENT)
        if isinstance(value, list):
            return value
        if value is None:
            return ()
        return value if isinstance(value, Gap) else (value,)

    return read


def linked(view: View) -> Values | Gap:
    """Read the issues this one is directly linked to."""
    return _links(view, _target)


def _target(link: Mapping[str, Any]) -> object:
    return link.get("outwardIssue") or link.get("inwardIssue")


def linked_as(kind: str) -> Reader:
    """Read the issues that this one is linked to by links that are called so, seen from here."""
    wanted = kind.casefold()

    def read(view: View) -> Values | Gap:
        told = several("issuelinks")(view)
        if isinstance(told, Gap):
            return told
        links = [mapping(link) for link in told]
        names = [handle(_link_type(link).get("seen")) for link in links]
        found = [_target(link) for name, link in zip(names, links, strict=True) if name == wanted]
        return Partial(found) if None in names else found

    return read


def family(view: View) -> Values | Gap:
    """Read what stands above the issue and below it, as far as a body tells."""
    above, below = _single(view.fields, "parent", (dict,)), several("subtasks")(view)
    level = mapping(view.fields.get("issuetype")).get("hierarchyLevel")
    # What is in an epic is no subtask of it, and told by nothing but its own parent.
    complete = isinstance(level, int) and level < 1 and Gap not in (type(above), type(below))
    if isinstance(above, Gap) and isinstance(below, Gap):
        return above
    found = (*_some(above), *_some(below))
    return found if complete else Partial(found)


def link_types(view: View) -> Values | Gap:
    """Read what the direct links are called, seen from this issue."""
    return _links(view, _link_type)


def _link_type(link: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = mapping(link.get("type"))
    return {**kind, "seen": kind.get("inward" if "inwardIssue" in link else "outward")}


def _links(view: View, pick: Callable[[Mapping[str, Any]], object]) -> Values | Gap:
    told = several("issuelinks")(view)
    return told if isinstance(told, Gap) else [pick(mapping(link)) for link in told]


def sprints(identity: str | None) -> Reader:
    """Read sprints: objects of Cloud or strings of Data Center, from whichever field holds them."""
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


def _sprints(told: Values | Gap) -> Values | Gap:
    return told if isinstance(told, Gap) else [sprint(item) for item in told]


def sprint(item: object) -> object:
    """Read `…Sprint@1f[id=7,state=ACTIVE,name=One, two,…]` into an object."""
    if not isinstance(item, str) or "[" not in item or len(item) > _LONGEST_SPRINT:
        return item
    return dict(_SPRINT.findall(item[item.index("[") + 1 :]))


def _is_sprint(item: object) -> bool:
    state = mapping(item).get("state")
    return isinstance(state, str) and state.lower() in _SPRINT_STATES and "name" in mapping(item)


def epic(identity: str | None) -> Reader:
    """Read the epic: from Epic Link where the site names it, or from a parent that is an epic."""
    if identity:
        return custom(identity)

    def read(view: View) -> Values | Gap:
        told = _single(view.fields, "parent", (dict,))
        if isinstance(told, Gap) or not told:
            return told
        kind = mapping(mapping(told[0].get("fields")).get("issuetype"))
        level = kind.get("hierarchyLevel")
        return Gap.ABSENT if isinstance(level, int) and level < 1 else told

    return read


def text(name: str) -> Reader:
    """Read a text field: wiki text or a document."""

    def read(view: View) -> Values | Gap:
        told = _single(view.fields, name, (str, dict))
        return told if isinstance(told, Gap) else tuple(map(words, told))

    return read


def comments(view: View) -> Values | Gap:
    """Read the comments: the event's own, and the issue's as far as the body has them."""
    own = view.body.get("comment")
    gone = view.body.get("webhookEvent") == _DELETED
    return _listed(view.fields.get("comment"), "comments", "body", () if gone else (own,))


def worklogs(part: str) -> Reader:
    """Read one part of each worklog, as far as the body has them."""
    return lambda view: _listed(view.fields.get("worklog"), "worklogs", part, ())


def _listed(holder: object, name: str, part: str, more: Iterable[object]) -> Values | Gap:
    told = mapping(holder).get(name)
    listed = told if isinstance(told, list) else []
    found = [mapping(item).get(part) for item in (*listed, *more)]
    values = [words(value) if part != "author" else value for value in found if value]
    complete = isinstance(told, list) and mapping(holder).get("total") == len(told)
    if complete:
        return values
    return Partial(values) if isinstance(told, list) or values else Gap.ABSENT


def everything(view: View) -> Values | Gap:
    """Read every text of the issue, which a body never has to the last."""
    return Partial(value for read in _TEXTS for value in _some(read(view)))


def described(view: View) -> Values | Gap:
    """Read the texts of the issue without its comments."""
    return Partial(value for read in _TEXTS[:3] for value in _some(read(view)))


def _some(told: Values | Gap) -> Values:
    return () if isinstance(told, Gap) else told


_TEXTS: Final = (text("summary"), text("description"), text("environment"), comments)
