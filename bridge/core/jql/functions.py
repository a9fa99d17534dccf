"""The functions a filter can call: which instants they name, which values they let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from bridge.core.jql import dates, places
from bridge.core.jql.complaints import nearest
from bridge.core.jql.fields import Known
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import Function
from bridge.core.jql.values import Holds, Match, When, dated
from bridge.core.jql.view import Gap, View, handle, mapping

_Make = Callable[[tuple[str, ...]], Holds]
_DATES: Final = ("date", "day")
_ANY_NUMBER: Final = 1_000


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


def when(function: Function, known: Known, setting: Setting) -> When | None:
    """Give the instant a function names, or None for a function that names none."""
    call = _call(function, known, setting)
    name = call.name.lower()
    if name == "now":
        return When(at=lambda now: now)
    if call.fields != _DATES:
        return None
    end = name.startswith("end")
    at = dates.boundary(
        name.removeprefix("end" if end else "start").removeprefix("of"),
        "".join(function.arguments),
        end=end,
        zone=setting.zone,
        monday=setting.monday,
    )
    if at is None:
        message = (
            f"The increment '{function.arguments[0]}' of '{call.name}' is invalid: it is "
            "(+/-)nn(y|M|w|d|h|m), where M is months and m is minutes."
        )
        raise setting.refuse(function.offset, message)
    return When(at=at, end=end)


def match(function: Function, known: Known, operator: str, setting: Setting) -> Match:
    """Make the comparison a function stands for; raises `errors.BadFilter` where it cannot."""
    at = when(function, known, setting)
    if at is not None:
        return dated(known, "=", [at], setting)
    call = _call(function, known, setting)
    if call.several and operator not in _LISTS:
        message = (
            f"Operator '{operator}' does not support the list value '{function}' for field "
            f"'{known.name}'. Use IN or NOT IN."
        )
        raise setting.refuse(function.offset, message)
    if call.make is None:
        return unknown(call.elsewhere)
    holds = call.make(tuple(argument.casefold() for argument in function.arguments))
    because = f"the body does not tell what {call.name}() asks for"
    empty = call.name == "cascadeOption" and function.arguments[0].casefold() == "none"
    sight = "dim" if call.name in _DIM else "clear"
    return Match(holds=holds, because=because, empty=empty, sight=sight)


def unknown(what: str) -> Match:
    """Make the comparison nobody can make by a body."""
    because = f"{what} is not in the body"
    return Match(holds=lambda _item, _view: None, because=because, sight="blind")


_DIM: Final = frozenset({"latestReleasedVersion", "earliestUnreleasedVersion"})
_LISTS: Final = frozenset({"in", "not in", "was in", "was not in"})


def _call(function: Function, known: Known, setting: Setting) -> Call:
    call = _CALLS.get(function.name.casefold())
    if call is None:
        guess = nearest(function.name, (call.name for call in _CALLS.values()))
        message = f"Unable to find JQL function '{function.name}()'.{guess}"
        raise setting.refuse(function.offset, message)
    if call.personal:
        message = (
            f"The function '{call.name}()' is another for everybody who looks, and nobody looks "
            "when a webhook comes in. Name the user or the date instead."
        )
        raise setting.refuse(function.offset, message)
    if known.kind != "custom" and not {known.kind, known.name} & set(call.fields):
        message = f"The function '{call.name}' cannot be used with the field '{known.name}'."
        raise setting.refuse(function.offset, message)
    least, most = call.arguments
    if not least <= len(function.arguments) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        message = (
            f"Function '{call.name}' expects '{expected}' arguments "
            f"but received '{len(function.arguments)}'."
        )
        raise setting.refuse(function.offset, message)
    return call


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
        option = mapping(item)
        if not option:
            return None
        if arguments[0] == "none" or parent not in _option(option):
            return False
        under = mapping(option.get("child"))
        if len(arguments) == 1:
            return True
        return not under if no_child else child in _option(under)

    return holds


def _choice(arguments: tuple[str, ...]) -> Holds:
    def holds(item: object, _view: View) -> bool | None:
        found = handle(mapping(item).get("id"))
        return None if found is None else found in arguments

    return holds


def _option(option: Mapping[str, object]) -> tuple[str | None, str | None]:
    return handle(option.get("value")), handle(option.get("id"))


def _boundaries() -> list[Call]:
    return [
        Call(name=f"{edge}Of{period.title()}", fields=_DATES, arguments=(0, 1), several=False)
        for edge in ("start", "end")
        for period in dates.PERIODS
    ]


def _personal(*names: str, fields: tuple[str, ...], several: bool) -> list[Call]:
    return [
        Call(name=name, fields=fields, several=several, personal=True, arguments=(0, _ANY_NUMBER))
        for name in names
    ]


def _elsewhere(
    why: str, *names: str, fields: tuple[str, ...] = (), least: int = 0, several: bool = True
) -> list[Call]:
    return [
        Call(
            name=name,
            fields=fields,
            arguments=(least, _ANY_NUMBER),
            several=several,
            elsewhere=why,
        )
        for name in names
    ]


_VERSIONS: Final = ("version",)
_ALL: Final = (
    Call(name="now", fields=_DATES, several=False),
    *_boundaries(),
    Call(name="openSprints", fields=("sprint",), make=partial(_sprint_state, "active")),
    Call(name="closedSprints", fields=("sprint",), make=partial(_sprint_state, "closed")),
    Call(name="futureSprints", fields=("sprint",), make=partial(_sprint_state, "future")),
    Call(
        name="releasedVersions",
        fields=_VERSIONS,
        arguments=(0, _ANY_NUMBER),
        make=partial(_released, True),
    ),
    Call(
        name="unreleasedVersions",
        fields=_VERSIONS,
        arguments=(0, _ANY_NUMBER),
        make=partial(_released, False),
    ),
    Call(
        name="latestReleasedVersion",
        fields=_VERSIONS,
        arguments=(0, 1),
        several=False,
        make=partial(_one_version, True),
    ),
    Call(
        name="earliestUnreleasedVersion",
        fields=_VERSIONS,
        arguments=(0, 1),
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
    Call(name="choiceOption", arguments=(1, _ANY_NUMBER), make=_choice),
    *_personal("currentUser", fields=("user",), several=False),
    *_personal("currentLogin", "lastLogin", fields=_DATES, several=False),
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
_CALLS: Final[Mapping[str, Call]] = {call.name.casefold(): call for call in _ALL}
