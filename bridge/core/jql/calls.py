"""The functions Jira has, and what those do that a body can answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from bridge.core.jql import dates, places
from bridge.core.jql.values import Holds
from bridge.core.jql.view import Gap, View, handle, mapping

_Make = Callable[[tuple[str, ...]], Holds]
DATES: Final = ("date", "day")
ANY_NUMBER: Final = 1_000
_VERSIONS: Final = ("version",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A function as Jira knows it."""

    name: str
    #: Names or kinds of fields it goes with, beside custom fields.
    fields: tuple[str, ...] = ()
    #: The least and the most arguments.
    arguments: tuple[int, int] = (0, 0)
    #: It gives a list and goes with IN only.
    several: bool = True
    make: _Make | None = None
    #: What only Jira knows, for a function no body can answer.
    elsewhere: str = ""
    #: It is another for everybody who looks.
    personal: bool = False


def _sprint_state(state: str, _arguments: tuple[str, ...]) -> Holds:
    def holds(item: object, _view: View) -> bool | None:
        found = handle(mapping(places.sprint(item)).get("state"))
        return None if found is None else found == state

    return holds


def _released(released: bool, arguments: tuple[str, ...]) -> Holds:
    def holds(item: object, view: View) -> bool | None:
        found = mapping(item).get("released")
        if not isinstance(found, bool):
            return None
        return found is released and _own(arguments, view)

    return holds


def _own(projects: tuple[str, ...], view: View) -> bool | None:
    """Tell whether the issue's project is one of these; with none named, every project is."""
    if not projects:
        return True
    told = places.project(view)
    if isinstance(told, Gap) or not told:
        return None
    handles = {handle(told[0].get(part)) for part in ("key", "name", "id")}
    return True if not handles.isdisjoint(projects) else None if None in handles else False


def _one_version(released: bool, arguments: tuple[str, ...]) -> Holds:
    """Rule out: the latest released version is a released one, and more only Jira knows."""
    could_be = _released(released, arguments)
    return lambda item, view: None if could_be(item, view) is not False else False


def _subtask(wanted: bool, _arguments: tuple[str, ...]) -> Holds:
    def holds(item: object, _view: View) -> bool | None:
        found = mapping(item).get("subtask")
        return found is wanted if isinstance(found, bool) else None

    return holds


def _cascade(arguments: tuple[str, ...]) -> Holds:
    parent, child = (*(argument.strip('"') for argument in arguments), "")[:2]
    no_child = arguments[-1] == "none"

    def holds(item: object, _view: View) -> bool | None:
        chosen = _option(item)
        if chosen[0] is None:
            return None
        if arguments[0] == "none" or parent not in chosen:
            return False
        under = _option(mapping(item).get("child"))
        if len(arguments) == 1:
            return True
        return not any(under) if no_child else child in under

    return holds


def _choice(arguments: tuple[str, ...]) -> Holds:
    by_id = any(map(str.isdecimal, arguments))
    by_value = not all(map(str.isdecimal, arguments))

    def holds(item: object, _view: View) -> bool | None:
        value, identity = _option(item)
        if value in arguments or identity in arguments:
            return True
        unsure = (by_id and identity is None) or (by_value and value is None)
        return None if unsure else False

    return holds


def _option(option: object) -> tuple[str | None, str | None]:
    told = mapping(option)
    return handle(told.get("value")), handle(told.get("id"))


def _boundaries() -> list[Call]:
    return [
        Call(name=f"{edge}Of{period.title()}", fields=DATES, arguments=(0, 1), several=False)
        for edge in ("start", "end")
        for period in dates.PERIODS
    ]


def _personal(*names: str, fields: tuple[str, ...], several: bool) -> list[Call]:
    return [
        Call(name=name, fields=fields, several=several, personal=True, arguments=(0, ANY_NUMBER))
        for name in names
    ]


def _elsewhere(
    why: str, *names: str, fields: tuple[str, ...] = (), least: int = 0, several: bool = True
) -> list[Call]:
    return [
        Call(
            name=name,
            fields=fields,
            arguments=(least, ANY_NUMBER),
            several=several,
            elsewhere=why,
        )
        for name in names
    ]


_ALL: Final = (
    Call(name="now", fields=DATES, several=False),
    *_boundaries(),
    Call(name="openSprints", fields=("sprint",), make=partial(_sprint_state, "active")),
    Call(name="closedSprints", fields=("sprint",), make=partial(_sprint_state, "closed")),
    Call(name="futureSprints", fields=("sprint",), make=partial(_sprint_state, "future")),
    Call(
        name="releasedVersions",
        fields=_VERSIONS,
        arguments=(0, ANY_NUMBER),
        make=partial(_released, True),
    ),
    Call(
        name="unreleasedVersions",
        fields=_VERSIONS,
        arguments=(0, ANY_NUMBER),
        make=partial(_released, False),
    ),
    Call(
        name="latestReleasedVersion",
        fields=_VERSIONS,
        arguments=(0, ANY_NUMBER),
        several=False,
        make=partial(_one_version, True),
    ),
    Call(
        name="earliestUnreleasedVersion",
        fields=_VERSIONS,
        arguments=(0, ANY_NUMBER),
        several=False,
        make=partial(_one_version, False),
    ),
    *(
        Call(name=name, fields=("issuetype",), make=partial(_subtask, wanted))
        for wanted, names in (
            (False, ("standardIssueTypes", "standardWorkTypes")),
            (True, ("subTaskIssueTypes", "subtaskWorkTypes")),
        )
        for name in names
    ),
    Call(name="cascadeOption", arguments=(1, 2), make=_cascade),
    Call(name="choiceOption", arguments=(1, ANY_NUMBER), make=_choice),
    *_personal("currentUser", fields=("user",), several=False),
    *_personal("currentLogin", "lastLogin", fields=DATES, several=False),
    *_personal(
        *("issueHistory", "watchedIssues", "votedIssues"),
        *("workItemHistory", "watchedWorkItems", "votedWorkItems"),
        fields=("key", "epic"),
        several=True,
    ),
    *_personal("myApproval", "myPending", "myPendingApproval", fields=(), several=False),
    *_elsewhere("who is in a group", "membersOf", fields=("user",), least=1),
    *_elsewhere("who belongs to an organization", "organizationMembers", fields=("user",), least=1),
    *_elsewhere("what is known of a customer", "customerDetail", fields=("user",), least=2),
    *_elsewhere("who is active", "inactiveUsers", fields=("user",)),
    *_elsewhere("who leads a component", "componentsLeadByUser", fields=("component",)),
    *_elsewhere(
        "who leads a project", "projectsLeadByUser", "spacesLeadByUser", fields=("project",)
    ),
    *_elsewhere(
        "who has which rights in a project",
        *("projectsWhereUserHasPermission", "projectsWhereUserHasRole"),
        *("spacesWhereUserHasPermission", "spacesWhereUserHasRole"),
        fields=("project",),
        least=1,
    ),
    *_elsewhere(
        "what other issues are linked to",
        *("linkedIssues", "linkedIssue", "linkedWorkItems", "linkedWorkItem"),
        fields=("key", "epic"),
        least=1,
    ),
    *_elsewhere("who updated what when", "updatedBy", fields=("key", "epic"), least=1),
    *_elsewhere(
        "what is above and below an issue",
        *("parentEpic", "childIssuesOf", "portfolioChildIssuesOf"),
        fields=("key", "epic"),
        least=1,
    ),
    *_elsewhere(
        "which issues have links to other sites",
        *("issuesWithRemoteLinksByGlobalId", "workItemsWithRemoteLinksByGlobalId"),
        fields=("key", "epic"),
        least=1,
    ),
    *_elsewhere("what is known of an organization", "organizationDetail", least=2),
    *_elsewhere("what is known of an entitlement", "entitlementDetail", "entitlementProduct"),
    *_elsewhere(
        "how approvals stand",
        *("approved", "approver", "pending", "pendingBy", "pendingApprovalBy"),
        several=False,
    ),
    *_elsewhere(
        "how a service level stands",
        *("breached", "everBreached", "completed", "paused", "running", "elapsed", "remaining"),
        "withinCalendarHours",
        several=False,
    ),
)
CALLS: Final[Mapping[str, Call]] = {call.name.casefold(): call for call in _ALL}
