"""The fields a filter can ask for: their names, their place in a body, the operators they take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bridge.core.jql import places, syntax
from bridge.core.jql.complaints import nearest
from bridge.core.jql.places import Reader, custom, several, single, text, within
from bridge.core.jql.setting import Setting
from bridge.errors import BadFilter

_EQUAL: Final = frozenset({"=", "!=", "in", "not in"})
_EMPTY: Final = frozenset({"is", "is not"})
_ORDER: Final = frozenset({"<", ">", "<=", ">="})
_SEARCH: Final = frozenset({"~", "!~"})
_HISTORY: Final = frozenset({"was", "was not", "was in", "was not in", "changed"})
_PLAIN: Final = _EQUAL | _EMPTY
_RANKED: Final = _EQUAL | _ORDER | _EMPTY
_ANY: Final = _RANKED | _SEARCH


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
    #: What changelogs call it, in lower case; empty: its history cannot be asked for.
    history: frozenset[str] = frozenset()
    #: No issue is without it.
    always: bool = False
    #: Why a body can never tell; "" when one can.
    elsewhere: str = ""
    #: What of it a body leaves out, so that only what is found is sure; "" when nothing.
    partial: str = ""
    #: It is another one for everybody who looks.
    personal: bool = False


def _date(name: str, place: str, *aliases: str) -> Known:
    return Known(
        name=name, aliases=aliases, kind="date", operators=_RANKED, read=single(place, str)
    )


def _span(name: str, place: str, *aliases: str) -> Known:
    return Known(
        name=name, aliases=aliases, kind="span", operators=_RANKED, read=single(place, int, float)
    )


def _named(name: str, place: str, *aliases: str) -> Known:
    return Known(
        name=name, aliases=aliases, kind="named", operators=_PLAIN, read=single(place, dict)
    )


def _user(name: str, *, history: bool) -> Known:
    known = Known(name=name, kind="user", operators=_PLAIN, read=single(name, dict))
    if not history:
        return known
    return replace(known, operators=_PLAIN | _HISTORY, history=frozenset({name}))


def _text(name: str) -> Known:
    return Known(name=name, kind="text", operators=_SEARCH | _EMPTY, read=text(name))


def _people(name: str, outer: str, inner: str) -> Known:
    return Known(
        name=name,
        kind="user",
        operators=_PLAIN,
        read=places.count(outer, inner),
        partial=f"a body only counts {name}s",
    )


def _number(name: str, outer: str, inner: str) -> Known:
    return Known(
        name=name, kind="number", operators=_EQUAL | _ORDER, read=within(outer, inner, int)
    )


def _elsewhere(name: str, why: str, *aliases: str) -> Known:
    return Known(
        name=name,
        aliases=aliases,
        kind="elsewhere",
        operators=_ANY,
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
        operators=_PLAIN,
        read=places.project,
        handles=("key", "name", "id"),
        always=True,
    ),
    replace(_named("issuetype", "issuetype", "type", "workType"), always=True),
    Known(
        name="key",
        aliases=("issue", "issuekey", "id", "workItemKey", "workItem"),
        kind="key",
        operators=_EQUAL | _ORDER | _SEARCH,
        read=places.issue,
        handles=("key", "id"),
        always=True,
    ),
    Known(
        name="parent",
        kind="key",
        operators=_PLAIN,
        read=single("parent", dict),
        handles=("key", "id"),
    ),
    replace(
        _named("status", "status"),
        operators=_PLAIN | _HISTORY,
        history=frozenset({"status"}),
        always=True,
    ),
    Known(
        name="statusCategory",
        kind="category",
        operators=_PLAIN,
        read=within("status", "statusCategory", dict),
        handles=("name", "key", "id"),
        always=True,
    ),
    replace(
        _named("priority", "priority"),
        kind="priority",
        operators=_RANKED | _HISTORY,
        history=frozenset({"priority"}),
    ),
    replace(
        _named("resolution", "resolution"),
        kind="resolution",
        operators=_RANKED | _HISTORY,
        history=frozenset({"resolution"}),
    ),
    _user("assignee", history=True),
    _user("reporter", history=True),
    _user("creator", history=False),
    Known(
        name="labels",
        aliases=("label",),
        kind="label",
        operators=_PLAIN,
        read=several("labels"),
    ),
    Known(
        name="component",
        aliases=("components",),
        kind="named",
        operators=_PLAIN,
        read=several("components"),
    ),
    Known(
        name="fixVersion",
        aliases=("fixVersions",),
        kind="version",
        operators=_ANY | _HISTORY,
        read=several("fixVersions"),
        history=frozenset({"fixversions", "fix version", "fix version/s"}),
    ),
    Known(
        name="affectedVersion",
        aliases=("affectsVersion", "affectedVersions"),
        kind="version",
        operators=_ANY,
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
    Known(name="workRatio", kind="number", operators=_RANKED, read=single("workratio", int)),
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
        operators=_SEARCH,
        read=places.comments,
        partial="a body seldom has every comment",
    ),
    Known(
        name="text",
        kind="text",
        operators=_SEARCH,
        read=places.everything,
        partial="a body seldom has every comment and does not tell which custom fields are texts",
    ),
    Known(
        name="textfields",
        kind="text",
        operators=_SEARCH,
        read=places.described,
        partial="a body does not tell which custom fields are texts",
    ),
    Known(
        name="worklogComment",
        kind="text",
        operators=_SEARCH,
        read=places.worklogs("comment"),
        partial="a body seldom has every worklog",
    ),
    Known(
        name="worklogAuthor",
        kind="user",
        operators=_PLAIN,
        read=places.worklogs("author"),
        partial="a body seldom has every worklog",
    ),
    Known(
        name="worklogDate",
        kind="day",
        operators=_RANKED,
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
    Known(name="attachments", kind="attachment", operators=_EMPTY, read=several("attachment")),
    Known(
        name="issueLinkType",
        aliases=("workItemLinkType",),
        kind="named",
        operators=_EQUAL,
        read=places.link_types,
        handles=("name", "seen", "id"),
    ),
    Known(
        name="issueLink",
        aliases=("workItemLink", "linkedWorkItem", "linkedIssue"),
        kind="key",
        operators=_EQUAL,
        read=places.linked,
        handles=("key", "id"),
    ),
    Known(
        name="sprint",
        kind="named",
        operators=_PLAIN,
        read=places.sprints(None),
    ),
    Known(
        name="Epic Link",
        kind="epic",
        operators=_PLAIN,
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
    _elsewhere(
        "workItemBlocks",
        "links of one type",
        "issueBlocks",
        "workItemIsBlockedBy",
        "issueIsBlockedBy",
    ),
    _elsewhere("lastCommentedBy", "who commented last"),
    _elsewhere("parentProject", "the project above the project", "parentSpace"),
    _elsewhere("change-gating-type", "how a change is gated"),
    _elsewhere("journeyID", "the journey of a request", "journeyType"),
    _elsewhere("remoteLinks", "links to other sites", "issueRemoteLinks"),
    _elsewhere("project.property", "a property of the project", "space.property"),
    _elsewhere("user.property", "a property of a user"),
)

_NAMED: Final[Mapping[str, Known]] = {
    name.casefold(): known
    for known in (*_SYSTEM, *_ELSEWHERE)
    for name in (known.name, *known.aliases)
}
#: Fields that only put results in order.
_SORTED_BY: Final = frozenset({"rank", "globalrank"})
#: How Cloud's editor writes custom fields: a name and the field's type.
_SUFFIXED: Final = re.compile(r"(.+)\[(\D+)\]", re.DOTALL)
#: What the types of that suffix allow; others allow all.
_SUFFIXES: Final[Mapping[str, frozenset[str]]] = {
    "number": _RANKED,
    "date": _RANKED,
    "time stamp": _RANKED,
    "short text": _SEARCH | _EMPTY,
    "paragraph": _SEARCH | _EMPTY,
    "dropdown": _PLAIN,
    "checkboxes": _PLAIN,
    "radio buttons": _PLAIN,
    "labels": _PLAIN,
    "url field": _PLAIN,
    "people": _PLAIN,
}


def find(asked: syntax.Field, setting: Setting) -> Known:
    """Give the field a clause is about; raises `errors.BadFilter` when there is none."""
    if asked.number is not None:
        return _custom(asked.name, f"customfield_{asked.number}")
    if asked.properties:
        return _property(asked, setting)
    known = _by_name(asked.name, asked.offset, setting)
    if known is None and (match := _SUFFIXED.fullmatch(asked.name)):
        known = _by_name(match[1].strip(), asked.offset, setting)
        operators = _SUFFIXES.get(match[2].strip().casefold(), _ANY)
        if known is not None and known.kind == "custom":
            known = replace(known, operators=operators)
    if known is None:
        raise _unknown(asked, setting)
    return known


def check_sort(asked: syntax.Field, setting: Setting) -> None:
    """Raise `errors.BadFilter` for a field of ORDER BY that is not known."""
    if asked.name.casefold() not in _SORTED_BY:
        find(asked, setting)


def _by_name(name: str, offset: int, setting: Setting) -> Known | None:
    known = _NAMED.get(name.casefold())
    identities = setting.custom_fields.get(name.casefold(), ())
    if len(identities) > 1:
        among = " and ".join(identities)
        raise setting.refuse(offset, f"The name '{name}' is given to {among}; use cf[N] instead.")
    identity = identities[0] if identities else None
    if known is not None and known.name == "sprint":
        return _sprint(known, identity, offset, setting)
    if known is not None and known.name == "Epic Link":
        return replace(known, read=places.epic(identity))
    if identity and (known is None or known.elsewhere):
        return _custom(name, identity)
    return known


def _sprint(known: Known, identity: str | None, offset: int, setting: Setting) -> Known:
    if identity is None:
        setting.warn(
            offset,
            "Which custom field holds the sprint is guessed from the body, so an issue without "
            "one cannot be told; name it in the site's `fields`: {Sprint: customfield_N}.",
        )
    return replace(known, read=places.sprints(identity))


def _custom(name: str, identity: str) -> Known:
    return Known(name=name, kind="custom", operators=_ANY, read=custom(identity))


def _property(asked: syntax.Field, setting: Setting) -> Known:
    name = asked.name.casefold()
    if name in ("issue.property", "workitem.property") and len(asked.properties) == 1:
        first = asked.properties[0]
        path = tuple(part for piece in first.path for part in piece.split(".") if part)
        return Known(
            name=f"{asked.name}[{first.key}]{'.'.join(('', *path))}",
            kind="custom",
            operators=_ANY,
            read=places.properties(first.key, path),
        )
    known = _by_name(asked.name, asked.offset, setting)
    if known is None:
        raise _unknown(asked, setting)
    if not known.elsewhere:
        message = f"The field '{asked.name}' has no properties."
        raise setting.refuse(asked.offset, message)
    return known


def _unknown(asked: syntax.Field, setting: Setting) -> BadFilter:
    names = [*_known_names(), *setting.site.fields]
    guess = nearest(asked.name, names)
    if re.fullmatch(r"customfield_\d+", asked.name, re.ASCII):
        guess = f" Did you mean 'cf[{asked.name.removeprefix('customfield_')}]'?"
    message = (
        f"Field '{asked.name}' does not exist or you do not have permission to view it.{guess}"
    )
    if not guess:
        site = f"site {setting.site.name}" if setting.site.name else "site"
        message += f" A custom field needs a line in the `fields` of its {site}."
    return setting.refuse(asked.offset, message)


def _known_names() -> Iterable[str]:
    return (name for known in _NAMED.values() for name in (known.name, *known.aliases))
