"""The fields Jira has: their names, their place in a body, the operators they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bridge.core.jql import places
from bridge.core.jql.places import Reader, several, single, text, within

_EQUAL: Final = frozenset({"=", "!=", "in", "not in"})
EMPTY: Final = frozenset({"is", "is not"})
_ORDER: Final = frozenset({"<", ">", "<=", ">="})
SEARCH: Final = frozenset({"~", "!~"})
_HISTORY: Final = frozenset({"was", "was not", "was in", "was not in", "changed"})
PLAIN: Final = _EQUAL | EMPTY
RANKED: Final = _EQUAL | _ORDER | EMPTY
ANY: Final = RANKED | SEARCH


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A field as Jira knows it."""

    #: As reasons call it.
    name: str
    aliases: tuple[str, ...] = ()
    #: How its values compare; see `values`.
    kind: str
    operators: frozenset[str]
    read: Reader = field(repr=False)
    #: The parts of an object that name it.
    handles: tuple[str, ...] = ("name", "id")
    #: Its id in changelogs, in lower case; empty: its history cannot be asked for.
    history: frozenset[str] = frozenset()
    #: "number" or "date" where a custom field takes no other values; "" where any may do.
    only: str = ""
    #: No issue is without it.
    always: bool = False
    #: Why a body can never tell; "" when one can.
    elsewhere: str = ""
    #: What of it a body leaves out, so that only what is found is sure; "" when nothing.
    partial: str = ""
    #: It is another one for everybody who looks.
    personal: bool = False


def _date(name: str, place: str, *aliases: str) -> Known:
    return Known(name=name, aliases=aliases, kind="date", operators=RANKED, read=single(place, str))


def _span(name: str, place: str, *aliases: str) -> Known:
    return Known(
        name=name, aliases=aliases, kind="span", operators=RANKED, read=single(place, int, float)
    )


def _named(name: str, place: str, *aliases: str) -> Known:
    return Known(
        name=name, aliases=aliases, kind="named", operators=PLAIN, read=single(place, dict)
    )


def _user(name: str, *, history: bool) -> Known:
    known = Known(name=name, kind="user", operators=PLAIN, read=single(name, dict))
    if not history:
        return known
    return replace(known, operators=PLAIN | _HISTORY, history=frozenset({name}))


def _text(name: str) -> Known:
    return Known(name=name, kind="text", operators=SEARCH | EMPTY, read=text(name))


def _people(name: str, outer: str, inner: str) -> Known:
    return Known(
        name=name,
        kind="user",
        operators=PLAIN,
        read=places.count(outer, inner),
        partial=f"a body only counts {name}s",
    )


def _number(name: str, outer: str, inner: str) -> Known:
    return Known(
        name=name, kind="number", operators=_EQUAL | _ORDER, read=within(outer, inner, int)
    )


def _linked(name: str, kind: str, *aliases: str) -> Known:
    return Known(
        name=name,
        aliases=aliases,
        kind="key",
        operators=PLAIN,
        read=places.linked_as(kind),
        handles=("key", "id"),
    )


def _elsewhere(name: str, why: str, *aliases: str, operators: frozenset[str] = ANY) -> Known:
    return Known(
        name=name,
        aliases=aliases,
        kind="elsewhere",
        operators=operators,
        read=places.nowhere,
        elsewhere=why,
    )


#: Whoever is named behind BY.
USER: Final = _user("user", history=False)

_SYSTEM: Final = (
    Known(
        name="project",
        aliases=("space",),
        kind="named",
        operators=PLAIN,
        read=places.project,
        handles=("key", "name", "id"),
        always=True,
    ),
    replace(_named("issuetype", "issuetype", "type", "workType"), always=True),
    Known(
        name="key",
        aliases=("issue", "issuekey", "id", "workItemKey", "workItem"),
        kind="key",
        operators=_EQUAL | _ORDER | SEARCH,
        read=places.issue,
        handles=("key", "id"),
        always=True,
    ),
    Known(
        name="parent",
        kind="key",
        operators=PLAIN,
        read=single("parent", dict),
        handles=("key", "id"),
    ),
    replace(
        _named("status", "status"),
        operators=PLAIN | _HISTORY,
        history=frozenset({"status"}),
        always=True,
    ),
    Known(
        name="statusCategory",
        kind="category",
        operators=PLAIN,
        read=within("status", "statusCategory", dict),
        handles=("name", "key", "id"),
        always=True,
    ),
    replace(
        _named("priority", "priority"),
        kind="priority",
        operators=RANKED | _HISTORY,
        history=frozenset({"priority"}),
    ),
    replace(
        _named("resolution", "resolution"),
        kind="resolution",
        operators=RANKED | _HISTORY,
        history=frozenset({"resolution"}),
    ),
    _user("assignee", history=True),
    _user("reporter", history=True),
    _user("creator", history=False),
    Known(
        name="labels",
        aliases=("label",),
        kind="label",
        operators=PLAIN,
        read=several("labels"),
    ),
    Known(
        name="component",
        aliases=("components",),
        kind="named",
        operators=PLAIN,
        read=several("components"),
    ),
    Known(
        name="fixVersion",
        aliases=("fixVersions",),
        kind="version",
        operators=ANY | _HISTORY,
        read=several("fixVersions"),
        history=frozenset({"fixversions"}),
    ),
    Known(
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
    Known(name="workRatio", kind="number", operators=RANKED, read=places.work_ratio),
    _number("votes", "votes", "votes"),
    _number("watchers", "watches", "watchCount"),
    _number("hierarchyLevel", "issuetype", "hierarchyLevel"),
    _people("voter", "votes", "votes"),
    _people("watcher", "watches", "watchCount"),
    _text("summary"),
    _text("description"),
    _text("environment"),
    Known(
        name="comment",
        kind="text",
        operators=SEARCH,
        read=places.comments,
        partial="a body seldom has every comment",
    ),
    Known(
        name="text",
        kind="text",
        operators=SEARCH,
        read=places.everything,
        partial="a body seldom has every comment and does not tell which custom fields are texts",
    ),
    Known(
        name="textfields",
        kind="text",
        operators=SEARCH,
        read=places.described,
        partial="a body does not tell which custom fields are texts",
    ),
    Known(
        name="worklogComment",
        kind="text",
        operators=SEARCH,
        read=places.worklogs("comment"),
        partial="a body seldom has every worklog",
    ),
    Known(
        name="worklogAuthor",
        kind="user",
        operators=PLAIN,
        read=places.worklogs("author"),
        partial="a body seldom has every worklog",
    ),
    Known(
        name="worklogDate",
        kind="day",
        operators=RANKED,
        read=places.worklogs("started"),
        partial="a body seldom has every worklog",
    ),
    _named("level", "security"),
    replace(_named("category", ""), read=within("project", "projectCategory", dict)),
    Known(
        name="projectType",
        aliases=("spaceType",),
        kind="label",
        operators=_EQUAL,
        read=within("project", "projectTypeKey", str),
        always=True,
    ),
    Known(name="attachments", kind="attachment", operators=EMPTY, read=several("attachment")),
    Known(
        name="issueLinkType",
        aliases=("workItemLinkType",),
        kind="named",
        operators=PLAIN,
        read=places.link_types,
        handles=("name", "seen", "id"),
    ),
    Known(
        name="issueLink",
        aliases=("workItemLink",),
        kind="key",
        operators=_EQUAL,
        read=places.linked,
        handles=("key", "id"),
    ),
    _linked("workItemBlocks", "blocks", "issueBlocks"),
    _linked("workItemIsBlockedBy", "is blocked by", "issueIsBlockedBy"),
    Known(
        name="linkedWorkItem",
        aliases=("linkedIssue",),
        kind="key",
        operators=_EQUAL,
        read=places.family,
        handles=("key", "id"),
        partial="a body leaves out a parent that is not there, and what is in an epic",
    ),
    Known(
        name="sprint",
        kind="named",
        operators=PLAIN,
        read=places.sprints(None),
    ),
    Known(
        name="Epic Link",
        kind="epic",
        operators=PLAIN,
        read=places.epic(None),
        handles=("key", "id"),
    ),
    replace(_date("lastViewed", ""), read=places.nowhere, personal=True),
)

_ELSEWHERE: Final = (
    _elsewhere("filter", "what a saved filter finds", "request", "savedFilter", "searchRequest"),
    _elsewhere("issueFunction", "what an app's function finds"),
    _elsewhere("parentEpic", "the epics above the parent"),
    _elsewhere("approvals", "who has to approve", "approval"),
    _elsewhere("organizations", "the customer's organizations", "organization"),
    _elsewhere("entitlement", "the customer's entitlements", "entitlements"),
    _elsewhere("request-channel-type", "the channel a request came by"),
    _elsewhere("request-last-activity-time", "the last activity of a request"),
    _elsewhere("Request Type", "the request type", "Customer Request Type"),
    _elsewhere("development", "development information"),
    _elsewhere("lastCommentedBy", "who commented last"),
    _elsewhere("parentProject", "the project above the project", "parentSpace"),
    _elsewhere("change-gating-type", "how a change is gated"),
    _elsewhere("journeyID", "the journey of a work item", operators=PLAIN),
    _elsewhere("journeyType", "the type of a work item's journey", operators=PLAIN),
    _elsewhere("remoteLinks", "links to other sites", "issueRemoteLinks"),
    _elsewhere("project.property", "a property of the project", "space.property"),
    _elsewhere("user.property", "a property of a user"),
)

NAMED: Final[Mapping[str, Known]] = {
    name.casefold(): known
    for known in (*_SYSTEM, *_ELSEWHERE)
    for name in (known.name, *known.aliases)
}
