"""Jira's fields: their names, their values in a body, the operators they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bridge.core.jql import readers
from bridge.core.jql.readers import Reader, several, single, text, within

_EQUAL: Final = frozenset({"=", "!=", "in", "not in"})
EMPTY: Final = frozenset({"is", "is not"})
_ORDER: Final = frozenset({"<", ">", "<=", ">="})
SEARCH: Final = frozenset({"~", "!~"})
_HISTORY: Final = frozenset({"was", "was not", "was in", "was not in", "changed"})
UNORDERED: Final = _EQUAL | EMPTY
ORDERED: Final = _EQUAL | _ORDER | EMPTY
ANY: Final = ORDERED | SEARCH


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldDef:
    """One field of Jira."""

    #: The name in reasons and messages.
    name: str
    aliases: tuple[str, ...] = ()
    #: How its values are compared; see `comparing`.
    kind: str
    operators: frozenset[str]
    read: Reader = field(repr=False)
    #: The keys of an object by which a filter may name it.
    handles: tuple[str, ...] = ("name", "id")
    #: Its ids in changelogs, in lower case; empty: WAS and CHANGED are not supported.
    history: frozenset[str] = frozenset()
    #: "number" or "date" when a custom field takes no other values; "" when it takes any.
    value_type: str = ""
    #: Whether every issue has a value.
    required: bool = False
    #: What Jira would have to look up, as a body never holds it; "" when a body can.
    not_in_webhook: str = ""
    #: Why a body may hold only some of the values; "" when it holds all.
    incomplete: str = ""
    #: Whether the value depends on the user who looks at the issue.
    depends_on_viewer: bool = False


def _date(name: str, place: str, *aliases: str) -> FieldDef:
    return FieldDef(
        name=name, aliases=aliases, kind="date", operators=ORDERED, read=single(place, str)
    )


def _span(name: str, place: str, *aliases: str) -> FieldDef:
    return FieldDef(
        name=name, aliases=aliases, kind="span", operators=ORDERED, read=single(place, int, float)
    )


def _named(name: str, place: str, *aliases: str) -> FieldDef:
    return FieldDef(
        name=name, aliases=aliases, kind="named", operators=UNORDERED, read=single(place, dict)
    )


def _user(name: str, *, history: bool) -> FieldDef:
    known = FieldDef(name=name, kind="user", operators=UNORDERED, read=single(name, dict))
    if not history:
        return known
    return replace(known, operators=UNORDERED | _HISTORY, history=frozenset({name}))


def _text(name: str) -> FieldDef:
    return FieldDef(name=name, kind="text", operators=SEARCH | EMPTY, read=text(name))


def _people(name: str, outer: str, inner: str) -> FieldDef:
    return FieldDef(
        name=name,
        kind="user",
        operators=UNORDERED,
        read=readers.count(outer, inner),
        incomplete=f"a body only counts {name}s",
    )


def _number(name: str, outer: str, inner: str) -> FieldDef:
    return FieldDef(
        name=name, kind="number", operators=_EQUAL | _ORDER, read=within(outer, inner, int)
    )


def _linked(name: str, kind: str, *aliases: str) -> FieldDef:
    return FieldDef(
        name=name,
        aliases=aliases,
        kind="key",
        operators=UNORDERED,
        read=readers.linked_as(kind),
        handles=("key", "id"),
    )


def _not_in_webhook(
    name: str, why: str, *aliases: str, operators: frozenset[str] = ANY
) -> FieldDef:
    return FieldDef(
        name=name,
        aliases=aliases,
        kind="unknown",
        operators=operators,
        read=readers.nowhere,
        not_in_webhook=why,
    )


#: The pseudo field of BY's users.
USER: Final = _user("user", history=False)

_SYSTEM: Final = (
    FieldDef(
        name="project",
        aliases=("space",),
        kind="named",
        operators=UNORDERED,
        read=readers.project,
        handles=("key", "name", "id"),
        required=True,
    ),
    replace(_named("issuetype", "issuetype", "type", "workType"), required=True),
    FieldDef(
        name="key",
        aliases=("issue", "issuekey", "id", "workItemKey", "workItem"),
        kind="key",
        operators=_EQUAL | _ORDER | SEARCH,
        read=readers.issue,
        handles=("key", "id"),
        required=True,
    ),
    FieldDef(
        name="parent",
        kind="key",
        operators=UNORDERED,
        read=single("parent", dict),
        handles=("key", "id"),
    ),
    replace(
        _named("status", "status"),
        operators=UNORDERED | _HISTORY,
        history=frozenset({"status"}),
        required=True,
    ),
    FieldDef(
        name="statusCategory",
        kind="category",
        operators=UNORDERED,
        read=within("status", "statusCategory", dict),
        handles=("name", "key", "id"),
        required=True,
    ),
    replace(
        _named("priority", "priority"),
        kind="priority",
        operators=ORDERED | _HISTORY,
        history=frozenset({"priority"}),
    ),
    replace(
        _named("resolution", "resolution"),
        kind="resolution",
        operators=ORDERED | _HISTORY,
        history=frozenset({"resolution"}),
    ),
    _user("assignee", history=True),
    _user("reporter", history=True),
    _user("creator", history=False),
    FieldDef(
        name="labels",
        aliases=("label",),
        kind="label",
        operators=UNORDERED,
        read=several("labels"),
    ),
    FieldDef(
        name="component",
        aliases=("components",),
        kind="named",
        operators=UNORDERED,
        read=several("components"),
    ),
    FieldDef(
        name="fixVersion",
        aliases=("fixVersions",),
        kind="version",
        operators=ANY | _HISTORY,
        read=several("fixVersions"),
        history=frozenset({"fixversions"}),
    ),
    FieldDef(
        name="affectedVersion",
        aliases=("affectsVersion", "affectedVersions"),
        kind="version",
        operators=ANY,
        read=several("versions"),
    ),
    _date("created", "created", "createdDate"),
    _date("updated", "updated", "updatedDate"),
    _date("due", "duedate", "dueDate"),
    _date("resolved", "resolutiondate", "resolutionDate"),
    _date("statusCategoryChangedDate", "statuscategorychangedate", "statusCategoryChangeDate"),
    _span("originalEstimate", "timeoriginalestimate", "timeOriginalEstimate"),
    _span("remainingEstimate", "timeestimate", "timeEstimate"),
    _span("timeSpent", "timespent"),
    FieldDef(name="workRatio", kind="number", operators=ORDERED, read=readers.work_ratio),
    _number("votes", "votes", "votes"),
    _number("watchers", "watches", "watchCount"),
    _number("hierarchyLevel", "issuetype", "hierarchyLevel"),
    _people("voter", "votes", "votes"),
    _people("watcher", "watches", "watchCount"),
    _text("summary"),
    _text("description"),
    _text("environment"),
    FieldDef(
        name="comment",
        kind="text",
        operators=SEARCH,
        read=readers.comments,
        incomplete="a body seldom has every comment",
    ),
    FieldDef(
        name="text",
        kind="text",
        operators=SEARCH,
        read=readers.everything,
        incomplete="a body seldom has every comment and does not show which custom fields are text",
    ),
    FieldDef(
        name="textfields",
        kind="text",
        operators=SEARCH,
        read=readers.described,
        incomplete="a body does not show which custom fields are text",
    ),
    FieldDef(
        name="worklogComment",
        kind="text",
        operators=SEARCH,
        read=readers.worklogs("comment"),
        incomplete="a body seldom has every worklog",
    ),
    FieldDef(
        name="worklogAuthor",
        kind="user",
        operators=UNORDERED,
        read=readers.worklogs("author"),
        incomplete="a body seldom has every worklog",
    ),
    FieldDef(
        name="worklogDate",
        kind="day",
        operators=ORDERED,
        read=readers.worklogs("started"),
        incomplete="a body seldom has every worklog",
    ),
    _named("level", "security"),
    replace(_named("category", ""), read=within("project", "projectCategory", dict)),
    FieldDef(
        name="projectType",
        aliases=("spaceType",),
        kind="label",
        operators=_EQUAL,
        read=within("project", "projectTypeKey", str),
        required=True,
    ),
    FieldDef(name="attachments", kind="attachment", operators=EMPTY, read=several("attachment")),
    FieldDef(
        name="issueLinkType",
        aliases=("workItemLinkType",),
        kind="named",
        operators=UNORDERED,
        read=readers.link_types,
        handles=("name", "seen", "id"),
    ),
    FieldDef(
        name="issueLink",
        aliases=("workItemLink",),
        kind="key",
        operators=_EQUAL,
        read=readers.linked,
        handles=("key", "id"),
    ),
    _linked("workItemBlocks", "blocks", "issueBlocks"),
    _linked("workItemIsBlockedBy", "is blocked by", "issueIsBlockedBy"),
    FieldDef(
        name="linkedWorkItem",
        aliases=("linkedIssue",),
        kind="key",
        operators=_EQUAL,
        read=readers.family,
        handles=("key", "id"),
        incomplete="a body leaves out a parent that is not there, and what is in an epic",
    ),
    FieldDef(
        name="sprint",
        kind="named",
        operators=UNORDERED,
        read=readers.sprints(None),
    ),
    FieldDef(
        name="Epic Link",
        kind="epic",
        operators=UNORDERED,
        read=readers.epic(None),
        handles=("key", "id"),
    ),
    replace(_date("lastViewed", ""), read=readers.nowhere, depends_on_viewer=True),
)

_NOT_IN_WEBHOOK: Final = (
    _not_in_webhook(
        "filter", "what a saved filter finds", "request", "savedFilter", "searchRequest"
    ),
    _not_in_webhook("issueFunction", "what an app's function finds"),
    _not_in_webhook("parentEpic", "the epics above the parent"),
    _not_in_webhook("approvals", "who has to approve", "approval"),
    _not_in_webhook("organizations", "the customer's organizations", "organization"),
    _not_in_webhook("entitlement", "the customer's entitlements", "entitlements"),
    _not_in_webhook("request-channel-type", "the channel a request came by"),
    _not_in_webhook("request-last-activity-time", "the last activity of a request"),
    _not_in_webhook("Request Type", "the request type", "Customer Request Type"),
    _not_in_webhook("development", "development information"),
    _not_in_webhook("lastCommentedBy", "who commented last"),
    _not_in_webhook("parentProject", "the project above the project", "parentSpace"),
    _not_in_webhook("change-gating-type", "how a change is gated"),
    _not_in_webhook("journeyID", "the journey of a work item", operators=UNORDERED),
    _not_in_webhook("journeyType", "the type of a work item's journey", operators=UNORDERED),
    _not_in_webhook("remoteLinks", "links to other sites", "issueRemoteLinks"),
    _not_in_webhook("project.property", "a property of the project", "space.property"),
    _not_in_webhook("user.property", "a property of a user"),
)

FIELDS: Final[Mapping[str, FieldDef]] = {
    name.casefold(): known
    for known in (*_SYSTEM, *_NOT_IN_WEBHOOK)
    for name in (known.name, *known.aliases)
}
