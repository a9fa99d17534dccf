"""The comparison a clause makes, chosen by the kind of its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bridge.core.jql import custom_fields, ordering, values
from bridge.core.jql.context import CompileContext
from bridge.core.jql.errors import did_you_mean
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.syntax import Value
from bridge.core.jql.values import Match


def equal(field: FieldDef, asked: Sequence[Value], context: CompileContext) -> Match:
    """Compare with any of several values; raises `errors.BadFilter` for one that cannot be."""
    return _EQUAL.get(field.kind, _by_name)(field, asked, context)


def order(field: FieldDef, sign: str, value: Value, context: CompileContext) -> Match:
    """Compare by <, >, <= or >=; raises `errors.BadFilter` for a value that has no order."""
    match field.kind:
        case "date" | "day":
            return ordering.dated(field, sign, [ordering.when(field, value, context)], context)
        case "number" | "span":
            return ordering.counted(field, sign, [value], context)
        case "priority" if context.site.priorities:
            return ordering.by_priority(field, sign, value, context)
        case "key":
            return ordering.by_number(field, sign, value, context)
        case "custom":
            return custom_fields.order(field, sign, value, context)
        case _:
            return ordering.unordered(field, sign, value)


def _by_name(field: FieldDef, asked: Sequence[Value], _setting: CompileContext) -> Match:
    return values.named(field, asked)


def _by_priority(field: FieldDef, asked: Sequence[Value], context: CompileContext) -> Match:
    known_names = {name.casefold() for name in context.site.priorities}
    for value in asked:
        if known_names and not (value.text.isdecimal() or value.text.casefold() in known_names):
            guess = did_you_mean(value.text, context.site.priorities)
            message = f"'{value.text}' is not among the site's priorities.{guess}"
            context.warn(value.offset, message)
    return values.named(field, asked)


def _by_user(_known: FieldDef, asked: Sequence[Value], context: CompileContext) -> Match:
    for value in asked:
        if "@" in value.text:
            message = (
                f"Where Jira hides the address '{value.text}', this is unknown; "
                "account ids are surest."
            )
            context.warn(value.offset, message)
    return values.user(asked)


def _by_date(field: FieldDef, asked: Sequence[Value], context: CompileContext) -> Match:
    return ordering.dated(
        field, "=", [ordering.when(field, value, context) for value in asked], context
    )


def _by_amount(field: FieldDef, asked: Sequence[Value], context: CompileContext) -> Match:
    return ordering.counted(field, "=", asked, context)


_EQUAL: Final[Mapping[str, Callable[[FieldDef, Sequence[Value], CompileContext], Match]]] = {
    "priority": _by_priority,
    "user": _by_user,
    "key": values.key,
    "epic": values.key,
    "date": _by_date,
    "day": _by_date,
    "number": _by_amount,
    "span": _by_amount,
    "label": values.label,
    "custom": custom_fields.equal,
}
