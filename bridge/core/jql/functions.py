"""Compile a function in a clause: into an instant, or into a comparison."""

from __future__ import annotations

from typing import Final

from bridge.core.jql import dates
from bridge.core.jql.context import CompileContext
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.function_defs import ANY_NUMBER, DATES, FUNCTIONS, FunctionDef
from bridge.core.jql.messages import did_you_mean
from bridge.core.jql.ordering import When, by_date
from bridge.core.jql.syntax import Function
from bridge.core.jql.values import Match

_SOMETIMES: Final = frozenset({"latestReleasedVersion", "earliestUnreleasedVersion"})
_LISTS: Final = frozenset({"in", "not in", "was in", "was not in"})


def when(function: Function, field: FieldDef, context: CompileContext) -> When | None:
    """Return the instant of a date function; None for any other function."""
    call = _call(function, field, context)
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
        zone=context.zone,
        monday=context.monday,
    )
    if at is None:
        message = (
            f"The increment '{function.arguments[0]}' of '{call.name}' is invalid: it is "
            "(+/-)nn(y|M|w|d|h|m), where M is months and m is minutes."
        )
        raise context.refuse(function.offset, message)
    return When(at=at, end=end)


def match(function: Function, field: FieldDef, operator: str, context: CompileContext) -> Match:
    """Return the comparison of a function; raises `BadFilter` where Jira does not take it."""
    at = when(function, field, context)
    if at is not None:
        return by_date(field, "=", [at], context)
    call = _call(function, field, context)
    if call.several and operator not in _LISTS:
        message = (
            f"Operator '{operator}' does not support the list value '{function}' for field "
            f"'{field.name}'. Use IN or NOT IN."
        )
        raise context.refuse(function.offset, message)
    if call.make is None:
        return unknown(call.not_in_webhook)
    accepts = call.make(tuple(argument.casefold() for argument in function.arguments))
    because = f"the body does not hold what {call.name}() needs"
    empty = call.name == "cascadeOption" and function.arguments[0].casefold() == "none"
    decidable = "sometimes" if call.name in _SOMETIMES else "always"
    return Match(accepts=accepts, because=because, empty=empty, decidable=decidable)


def refuse_viewer_dependent(function: Function, context: CompileContext) -> None:
    """Raise `BadFilter` for a function whose result depends on the viewer."""
    call = FUNCTIONS.get(function.name.casefold())
    if call is not None and call.depends_on_viewer:
        message = (
            f"The function '{call.name}()' depends on who is logged in, and a webhook has no user. "
            "Name the user or the date instead."
        )
        raise context.refuse(function.offset, message)


def unknown(what: str) -> Match:
    """Return the comparison that no body can decide."""
    because = f"{what} is not in the body"
    return Match(accepts=lambda _item, _view: None, because=because, decidable="never")


def _call(function: Function, field: FieldDef, context: CompileContext) -> FunctionDef:
    call = FUNCTIONS.get(function.name.casefold())
    if call is None:
        guess = did_you_mean(function.name, (call.name for call in FUNCTIONS.values()))
        message = f"Unable to find JQL function '{function.name}()'.{guess}"
        raise context.refuse(function.offset, message)
    refuse_viewer_dependent(function, context)
    if field.kind != "custom" and not {field.kind, field.name} & set(call.fields):
        message = f"The function '{call.name}' cannot be used with the field '{field.name}'."
        raise context.refuse(function.offset, message)
    least, most = call.arguments
    if not least <= len(function.arguments) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        expected = f"{least} or more" if most == ANY_NUMBER else expected
        message = (
            f"Function '{call.name}' expects '{expected}' arguments "
            f"but received '{len(function.arguments)}'."
        )
        raise context.refuse(function.offset, message)
    return call
