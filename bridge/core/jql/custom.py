"""Custom fields, whose type only the value itself tells: options, people, numbers, dates, texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from bridge.core.jql import amounts, dates
from bridge.core.jql.amounts import COMPARE, When, dated, decimal
from bridge.core.jql.known import Known
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import Value
from bridge.core.jql.values import Holds, Match, folded, in_body, user
from bridge.core.jql.view import View, handle, mapping

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T|$)", re.ASCII)
_OPTION: Final = ("value", "name", "key", "id")


def equal(known: Known, values: Sequence[Value], setting: Setting) -> Match:
    """Compare with any of several values; raises `errors.BadFilter` for one it never has."""
    _check(known, values, setting)
    wanted = folded(values)
    numbers = [number for number in map(decimal, values) if number is not None]
    people = user(values).holds
    options = _option(values)
    instants = [dates.literal(v.text, number=v.number, zone=setting.zone) for v in values]
    date = dated(known, "=", [When(at=at) for at in instants if at is not None], setting).holds

    def holds(item: object, view: View) -> bool | None:
        if isinstance(item, str):
            return item.casefold() in wanted or (_is_date(item) and date(item, view))
        if isinstance(item, dict):
            return people(item, view) if "displayName" in item else options(item, view)
        return item in numbers if _is_number(item) else None

    return in_body(known, holds)


def order(known: Known, sign: str, value: Value, setting: Setting) -> Match:
    """Compare by <, >, <= or >=, as a number or as a date."""
    _check(known, [value], setting)
    number = decimal(value)
    at = dates.literal(value.text, number=value.number, zone=setting.zone)
    if number is None and at is None:
        message = f"The value '{value.text}' for field '{known.name}' is no number and no date."
        raise setting.refuse(value.offset, message)
    date = dated(known, sign, [] if at is None else [When(at=at)], setting).holds
    compare = COMPARE[sign]

    def holds(item: Any, view: View) -> bool | None:  # noqa: ANN401 - any JSON value
        if _is_number(item):
            return None if number is None else compare(item, number)
        if at is None or not isinstance(item, str) or not _is_date(item):
            return None
        return date(item, view)

    return Match(holds=holds, because=f"{known.name} has no number or date to compare")


def _check(known: Known, values: Sequence[Value], setting: Setting) -> None:
    for value in values:
        if known.only == "number":
            amounts.number(known, value, setting)
        elif known.only == "date":
            amounts.when(known, value, setting)


def _option(values: Sequence[Value]) -> Holds:
    wanted = folded(values)
    by_id = any(value.text.isdecimal() for value in values)

    def holds(item: Any, _view: View) -> bool | None:  # noqa: ANN401 - only called for objects
        told = [
            handle(holder.get(p)) for holder in (item, mapping(item.get("child"))) for p in _OPTION
        ]
        if not wanted.isdisjoint(told):
            return True
        unsure = not any(told) or (by_id and handle(item.get("id")) is None)
        return None if unsure else False

    return holds


def _is_date(item: str) -> bool:
    return _DATE.match(item) is not None


def _is_number(item: object) -> bool:
    return isinstance(item, (int, float)) and not isinstance(item, bool)
