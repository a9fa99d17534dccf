"""Jira's functions, and the comparison of each one that a body can decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from bridge.core.jira_body import as_object
from bridge.core.jql import dates, readers
from bridge.core.jql.values import Accepts
from bridge.core.jql.view import Gap, View, handle

_Make = Callable[[tuple[str, ...]], Accepts]
DATES: Final = ("date", "day")
ANY_NUMBER: Final = 1_000
_VERSIONS: Final = ("version",)


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionDef:
    """One function of Jira."""

    name: str
    #: Names or kinds of the fields that take it, beside custom fields.
    fields: tuple[str, ...] = ()
    #: The minimum and maximum number of arguments.
    arguments: tuple[int, int] = (0, 0)
    #: Whether it returns a list, so that only IN takes it.
    several: bool = True
    make: _Make | None = None
    #: What Jira would have to look up, for a function that no body can decide.
    not_in_webhook: str = ""
    #: Whether the result depends on the user who runs the filter.
    depends_on_viewer: bool = False


def _sprint_state(state: str, _arguments: tuple[str, ...]) -> Accepts:
    def accepts(item: object, _view: View) -> bool | None:
        found = handle(as_object(readers.sprint(item)).get("state"))
        return None if found is None else found == state

    return accepts


def _released(released: bool, arguments: tuple[str, ...]) -> Accepts:
    def accepts(item: object, view: View) -> bool | None:
        found = as_object(item).get("released")
        if not isinstance(found, bool):
            return None
        return found is released and _own(arguments, view)

    return accepts


def _own(projects: tuple[str, ...], view: View) -> bool | None:
    """Return whether the issue's project is one of these; without any, every project fits."""
    if not projects:
        return True
    result = readers.project(view)
    if isinstance(result, Gap) or not result:
        return None
    handles = {handle(result[0].get(part)) for part in ("key", "name", "id")}
    return True if not handles.isdisjoint(projects) else None if None in handles else False


def _one_version(released: bool, arguments: tuple[str, ...]) -> Accepts:
    """Rule versions out: only Jira knows which of the fitting ones is the latest or earliest."""
    could_be = _released(released, arguments)
    return lambda item, view: None if could_be(item, view) is not False else False


def _subtask(wanted: bool, _arguments: tuple[str, ...]) -> Accepts:
    def accepts(item: object, _view: View) -> bool | None:
        found = as_object(item).get("subtask")
        return found is wanted if isinstance(found, bool) else None

    return accepts


def _cascade(arguments: tuple[str, ...]) -> Accepts:
    parent, child = (*(argument.strip('"') for argument in arguments), "")[:2]
    no_child = arguments[-1] == "none"

    def accepts(item: object, _view: View) -> bool | None:
        chosen = _option(item)
        if chosen[0] is None:
            return None
        if arguments[0] == "none" or parent not in chosen:
            return False
        under = _option(as_object(item).get("child"))
        if len(arguments) == 1:
            return True
        return not any(under) if no_child else child in under

    return accepts


def _choice(arguments: tuple[str, ...]) -> Accepts:
    by_id = any(map(str.isdecimal, arguments))
    by_value = not all(map(str.isdecimal, arguments))

    def accepts(item: object, _view: View) -> bool | None:
        value, identity = _option(item)
        if value in arguments or identity in arguments:
            return True
        unsure = (by_id and identity is None) or (by_value and value is None)
        return None if unsure else False

    return accepts


def _option(option: object) -> tuple[str | None, str | None]:
    result = as_object(option)
    return handle(result.get("value")), handle(result.get("id"))


def _boundaries() -> list[FunctionDef]:
    return [
        FunctionDef(name=f"{edge}Of{period.title()}", fields=DATES, arguments=(0, 1), several=False)
        for edge in ("start", "end")
        for period in dates.PERIODS
    ]


def _depends_on_viewer(*names: str, fields: tuple[str, ...], several: bool) -> list[FunctionDef]:
    return [
        FunctionDef(
            name=name,
            fields=fields,
            several=several,
            depends_on_viewer=True,
            arguments=(0, ANY_NUMBER),
        )
        for name in names
    ]


def _not_in_webhook(
    why: str, *names: str, fields: tuple[str, ...] = (), least: int = 0, several: bool = True
) -> list[FunctionDef]:
    return [
        FunctionDef(
            name=name,
            fields=fields,
            arguments=(least, ANY_NUMBER),
            several=several,
            not_in_webhook=why,
        )
        for name in names
    ]


_ALL: Final = (
    FunctionDef(name="now", fields=DATES, several=False),
    *_boundaries(),
    FunctionDef(name="openSprints", fields=("sprint",), make=partial(_sprint_state, "active")),
    FunctionDef(name="closedSprints", fields=("sprint",), make=partial(_sprint_state, "closed")),
    FunctionDef(name="futureSprints", fields=("sprint",), make=partial(_sprint_state, "future")),
    FunctionDef(
        name="releasedVersions",
        fields=_VERSIONS,
        arguments=(0, ANY_NUMBER),
        make=partial(_released, True),
    ),
    FunctionDef(
        name="unreleasedVersions",
        fields=_VERSIONS,
        arguments=(0, ANY_NUMBER),
        make=partial(_released, False),
    ),
    FunctionDef(
        name="latestReleasedVersion",
        fields=_VERSIONS,
        arguments=(0, ANY_NUMBER),
        several=False,
        make=partial(_one_version, True),
    ),
    FunctionDef(
        name="earliestUnreleasedVersion",
        fields=_VERSIONS,
        arguments=(0, ANY_NUMBER),
        several=False,
        make=partial(_one_version, False),
    ),
    *(
        FunctionDef(name=name, fields=("issuetype",), make=partial(_subtask, wanted))
        for wanted, names in (
            (False, ("standardIssueTypes", "standardWorkTypes")),
            (True, ("subTaskIssueTypes", "subtaskWorkTypes")),
        )
        for name in names
    ),
    FunctionDef(name="cascadeOption", arguments=(1, 2), make=_cascade),
    FunctionDef(name="choiceOption", arguments=(1, ANY_NUMBER), make=_choice),
    *_depends_on_viewer("currentUser", fields=("user",), several=False),
    *_depends_on_viewer("currentLogin", "lastLogin", fields=DATES, several=False),
    *_depends_on_viewer(
        *("issueHistory", "watchedIssues", "votedIssues"),
        *("workItemHistory", "watchedWorkItems", "votedWorkItems"),
        fields=("key", "epic"),
        several=True,
    ),
    *_depends_on_viewer("myApproval", "myPending", "myPendingApproval", fields=(), several=False),
    *_not_in_webhook("who is in a group", "membersOf", fields=("user",), least=1),
    *_not_in_webhook(
        "who belongs to an organization", "organizationMembers", fields=("user",), least=1
    ),
    *_not_in_webhook("what is known of a customer", "customerDetail", fields=("user",), least=2),
    *_not_in_webhook("who is active", "inactiveUsers", fields=("user",)),
    *_not_in_webhook("who leads a component", "componentsLeadByUser", fields=("component",)),
    *_not_in_webhook(
        "who leads a project", "projectsLeadByUser", "spacesLeadByUser", fields=("project",)
    ),
    *_not_in_webhook(
        "who has which rights in a project",
        *("projectsWhereUserHasPermission", "projectsWhereUserHasRole"),
        *("spacesWhereUserHasPermission", "spacesWhereUserHasRole"),
        fields=("project",),
        least=1,
    ),
    *_not_in_webhook(
        "what other issues are linked to",
        *("linkedIssues", "linkedIssue", "linkedWorkItems", "linkedWorkItem"),
        fields=("key", "epic"),
        least=1,
    ),
    *_not_in_webhook("who updated what when", "updatedBy", fields=("key", "epic"), least=1),
    *_not_in_webhook(
        "what is above and below an issue",
        *("parentEpic", "childIssuesOf", "portfolioChildIssuesOf"),
        fields=("key", "epic"),
        least=1,
    ),
    *_not_in_webhook(
        "which issues have links to other sites",
        *("issuesWithRemoteLinksByGlobalId", "workItemsWithRemoteLinksByGlobalId"),
        fields=("key", "epic"),
        least=1,
    ),
    *_not_in_webhook("what is known of an organization", "organizationDetail", least=2),
    *_not_in_webhook("what is known of an entitlement", "entitlementDetail", "entitlementProduct"),
    *_not_in_webhook(
        "how approvals stand",
        *("approved", "approver", "pending", "pendingBy", "pendingApprovalBy"),
        several=False,
    ),
    *_not_in_webhook(
        "how a service level stands",
        *("breached", "everBreached", "completed", "paused", "running", "elapsed", "remaining"),
        "withinCalendarHours",
        several=False,
    ),
)
FUNCTIONS: Final[Mapping[str, FunctionDef]] = {call.name.casefold(): call for call in _ALL}
