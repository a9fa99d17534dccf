"""Comparisons for custom fields, whose type follows from the value found in the body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from bridge.core.jira_body import as_object
from bridge.core.jql import dates, ordering
from bridge.core.jql.context import CompileContext
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.ordering import COMPARE, When, by_date, read_decimal
from bridge.core.jql.syntax import Value
from bridge.core.jql.values import Accepts, Match, by_user, fold, in_body
from bridge.core.jql.view import View, handle

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T|$)", re.ASCII)
_OPTION: Final = ("value", "name", "key", "id")


def equal(field: FieldDef, values: Sequence[Value], context: CompileContext) -> Match:
    """Compare with any of several values; raises `BadFilter` for a value it cannot have."""
    _check(field, values, context)
    wanted = fold(values)
    numbers = [number for number in map(read_decimal, values) if number is not None]
    people = by_user(values).accepts
    options = _option(values)
    instants = [dates.literal(v.text, number=v.number, zone=context.zone) for v in values]
    date = by_date(field, "=", [When(at=at) for at in instants if at is not None], context).accepts

    def accepts(item: object, view: View) -> bool | None:
        if isinstance(item, str):
            return item.casefold() in wanted or (_is_date(item) and date(item, view))
        if isinstance(item, dict):
            return people(item, view) if "displayName" in item else options(item, view)
        return item in numbers if _is_number(item) else None

    return in_body(field, accepts)


def order(field: FieldDef, sign: str, value: Value, context: CompileContext) -> Match:
    """Compare by <, >, <= or >=, as a number or as a date."""
    _check(field, [value], context)
    number = read_decimal(value)
    at = dates.literal(value.text, number=value.number, zone=context.zone)
    if number is None and at is None:
        message = f"The value '{value.text}' for field '{field.name}' is no number and no date."
        raise context.refuse(value.offset, message)
    date = by_date(field, sign, [] if at is None else [When(at=at)], context).accepts
    compare = COMPARE[sign]

    def accepts(item: Any, view: View) -> bool | None:  # noqa: ANN401 - any JSON value
        if _is_number(item):
            return None if number is None else compare(item, number)
        if at is None or not isinstance(item, str) or not _is_date(item):
            return None
        return date(item, view)

    return Match(accepts=accepts, because=f"{field.name} has no number or date to compare")


def _check(field: FieldDef, values: Sequence[Value], context: CompileContext) -> None:
    for value in values:
        if field.value_type == "number":
            ordering.read_amount(field, value, context)
        elif field.value_type == "date":
            ordering.read_date(field, value, context)


def _option(values: Sequence[Value]) -> Accepts:
    wanted = fold(values)
    by_id = any(value.text.isdecimal() for value in values)

    def accepts(item: Any, _view: View) -> bool | None:  # noqa: ANN401 - only called for objects
        present = [
            handle(holder.get(p))
            for holder in (item, as_object(item.get("child")))
            for p in _OPTION
        ]
        if not wanted.isdisjoint(present):
            return True
        unsure = not any(present) or (by_id and handle(item.get("id")) is None)
        return None if unsure else False

    return accepts


def _is_date(item: str) -> bool:
    return _DATE.match(item) is not None


def _is_number(item: object) -> bool:
    return isinstance(item, (int, float)) and not isinstance(item, bool)
