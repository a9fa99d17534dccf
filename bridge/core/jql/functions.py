"""A function in a clause: the instant it names, or the values it lets through."""

from __future__ import annotations

from typing import Final

from bridge.core.jql import dates
from bridge.core.jql.amounts import When, dated
from bridge.core.jql.calls import ANY_NUMBER, CALLS, DATES, Call
from bridge.core.jql.complaints import did_you_mean
from bridge.core.jql.known import Known
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import Function
from bridge.core.jql.values import Match

_DIM: Final = frozenset({"latestReleasedVersion", "earliestUnreleasedVersion"})
_LISTS: Final = frozenset({"in", "not in", "was in", "was not in"})


def when(function: Function, known: Known, setting: Setting) -> When | None:
    """Give the instant a function names, or None for a function that names none."""
    call = _call(function, known, setting)
    name = call.name.lower()
    if name == "now":
        return When(at=lambda now: now)
    if call.fields != DATES:
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


def refuse_personal(function: Function, setting: Setting) -> None:
    """Raise `errors.BadFilter` for a function that asks who is looking."""
    call = CALLS.get(function.name.casefold())
    if call is not None and call.personal:
        message = (
            f"The function '{call.name}()' is another for everybody who looks, and nobody looks "
            "when a webhook comes in. Name the user or the date instead."
        )
        raise setting.refuse(function.offset, message)


def unknown(what: str) -> Match:
    """Make the comparison nobody can make by a body."""
    because = f"{what} is not in the body"
    return Match(holds=lambda _item, _view: None, because=because, sight="blind")


def _call(function: Function, known: Known, setting: Setting) -> Call:
    call = CALLS.get(function.name.casefold())
    if call is None:
        guess = did_you_mean(function.name, (call.name for call in CALLS.values()))
        message = f"Unable to find JQL function '{function.name}()'.{guess}"
        raise setting.refuse(function.offset, message)
    refuse_personal(function, setting)
    if known.kind != "custom" and not {known.kind, known.name} & set(call.fields):
        message = f"The function '{call.name}' cannot be used with the field '{known.name}'."
        raise setting.refuse(function.offset, message)
    least, most = call.arguments
    if not least <= len(function.arguments) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        expected = f"{least} or more" if most == ANY_NUMBER else expected
        message = (
            f"Function '{call.name}' expects '{expected}' arguments "
            f"but received '{len(function.arguments)}'."
        )
        raise setting.refuse(function.offset, message)
    return call
