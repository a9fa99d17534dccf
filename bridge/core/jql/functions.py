"""A function in a clause: the instant it names, or the values it lets through."""

from __future__ import annotations

from typing import Final

from bridge.core.jql import dates
from bridge.core.jql.context import CompileContext
from bridge.core.jql.errors import did_you_mean
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.function_defs import ANY_NUMBER, DATES, FUNCTIONS, FunctionDef
from bridge.core.jql.ordering import When, dated
from bridge.core.jql.syntax import Function
from bridge.core.jql.values import Match

_SOMETIMES: Final = frozenset({"latestReleasedVersion", "earliestUnreleasedVersion"})
_LISTS: Final = frozenset({"in", "not in", "was in", "was not in"})


def when(function: Function, field: FieldDef, context: CompileContext) -> When | None:
    """Give the instant a function names, or None for a function that names none."""
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
    """Make the comparison a function stands for; raises `errors.BadFilter` where it cannot."""
    at = when(function, field, context)
    if at is not None:
        return dated(field, "=", [at], context)
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
    because = f"the body does not tell what {call.name}() asks for"
    empty = call.name == "cascadeOption" and function.arguments[0].casefold() == "none"
    decidable = "sometimes" if call.name in _SOMETIMES else "always"
    return Match(accepts=accepts, because=because, empty=empty, decidable=decidable)


def refuse_viewer_dependent(function: Function, context: CompileContext) -> None:
    """Raise `errors.BadFilter` for a function that asks who is looking."""
    call = FUNCTIONS.get(function.name.casefold())
    if call is not None and call.depends_on_viewer:
        message = (
            f"The function '{call.name}()' is another for everybody who looks, and nobody looks "
            "when a webhook comes in. Name the user or the date instead."
        )
        raise context.refuse(function.offset, message)


def unknown(what: str) -> Match:
    """Make the comparison nobody can make by a body."""
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
