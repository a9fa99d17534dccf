"""The comparison a clause makes, chosen by the kind of its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bridge.core.jql import custom_fields, ordering, values
from bridge.core.jql.context import CompileContext
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.messages import did_you_mean
from bridge.core.jql.syntax import Value
from bridge.core.jql.values import Match


def equal(field: FieldDef, wanted: Sequence[Value], context: CompileContext) -> Match:
    """Compare with any of several values; raises `BadFilter` for a value the field cannot have."""
    return _EQUAL.get(field.kind, _by_name)(field, wanted, context)


def order(field: FieldDef, sign: str, value: Value, context: CompileContext) -> Match:
    """Compare by <, >, <= or >=; raises `BadFilter` for a value that has no order."""
    match field.kind:
        case "date" | "day":
            return ordering.by_date(
                field, sign, [ordering.read_date(field, value, context)], context
            )
        case "number" | "span":
            return ordering.by_amount(field, sign, [value], context)
        case "priority" if context.site.priorities:
            return ordering.by_priority(field, sign, value, context)
        case "key":
            return ordering.by_number(field, sign, value, context)
        case "custom":
            return custom_fields.order(field, sign, value, context)
        case _:
            return ordering.by_unknown_order(field, sign, value)


def _by_name(field: FieldDef, wanted: Sequence[Value], _setting: CompileContext) -> Match:
    return values.by_name(field, wanted)


def _by_priority(field: FieldDef, wanted: Sequence[Value], context: CompileContext) -> Match:
    known_names = {name.casefold() for name in context.site.priorities}
    for value in wanted:
        if known_names and not (value.text.isdecimal() or value.text.casefold() in known_names):
            guess = did_you_mean(value.text, context.site.priorities)
            message = f"'{value.text}' is not among the site's priorities.{guess}"
            context.warn(value.offset, message)
    return values.by_name(field, wanted)


def _by_user(_known: FieldDef, wanted: Sequence[Value], context: CompileContext) -> Match:
    for value in wanted:
        if "@" in value.text:
            message = (
                f"Where Jira hides the address '{value.text}', this is unknown; "
                "account ids are surest."
            )
            context.warn(value.offset, message)
    return values.by_user(wanted)


def _by_date(field: FieldDef, wanted: Sequence[Value], context: CompileContext) -> Match:
    return ordering.by_date(
        field, "=", [ordering.read_date(field, value, context) for value in wanted], context
    )


def _by_amount(field: FieldDef, wanted: Sequence[Value], context: CompileContext) -> Match:
    return ordering.by_amount(field, "=", wanted, context)


_EQUAL: Final[Mapping[str, Callable[[FieldDef, Sequence[Value], CompileContext], Match]]] = {
    "priority": _by_priority,
    "user": _by_user,
    "key": values.by_key,
    "epic": values.by_key,
    "date": _by_date,
    "day": _by_date,
    "number": _by_amount,
    "span": _by_amount,
    "label": values.by_word,
    "custom": custom_fields.equal,
}
