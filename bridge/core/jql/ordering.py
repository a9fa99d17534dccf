"""Comparisons by order: dates, numbers, durations, priorities and issue keys."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from bridge.core.jira_body import as_object
from bridge.core.jql import dates
from bridge.core.jql.context import CompileContext
from bridge.core.jql.dates import Instant
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.messages import did_you_mean
from bridge.core.jql.syntax import Value
from bridge.core.jql.values import KEY, Match, by_name, in_body
from bridge.core.jql.view import View, handle

_Compare = Callable[[Any, Any], bool]

COMPARE: Final[Mapping[str, _Compare]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
}
_DECIMAL: Final = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_DAY: Final = len("2026-01-31")


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """An instant in a filter."""

    at: Instant
    #: Whether it is the last moment of a period, so that its own day lies before it.
    end: bool = False


def read_date(field: FieldDef, value: Value, context: CompileContext) -> When:
    """Read an instant as filters write it; raises `BadFilter` when the value is not one."""
    at = dates.literal(value.text, number=value.number, zone=context.zone)
    if at is None:
        message = f"Date value '{value.text}' for field '{field.name}' is invalid. {dates.FORMATS}"
        if dates.MONTHS.search(value.text):
            message += " There is no unit for months: use startOfMonth(-1) or weeks."
        raise context.refuse(value.offset, message)
    if dates.MONTH_LIKE.fullmatch(value.text):
        message = f"'{value.text}' is in minutes; relative dates have no unit for months."
        context.warn(value.offset, message)
    return When(at=at)


def by_date(field: FieldDef, sign: str, whens: Sequence[When], context: CompileContext) -> Match:
    """Compare instants, or days where the body holds only a day."""
    tests = [_date_test(sign, when, context.zone, days=field.kind == "day") for when in whens]

    def accepts(item: object, view: View) -> bool | None:
        if not isinstance(item, str):
            return None
        answers = [test(item, view.now) for test in tests]
        return True if True in answers else None if None in answers else False

    return in_body(field, accepts)


def _date_test(
    sign: str, when: When, zone: tzinfo, *, days: bool
) -> Callable[[str, int], bool | None]:
    compare = COMPARE[sign]
    # The end of a day compares with days as that day, and is later than its start.
    by_day = COMPARE[{"<": "<=", ">=": ">"}.get(sign, sign)] if when.end else compare

    def test(item: str, now: int) -> bool | None:
        if len(item) > _DAY and not days:
            found = dates.read(item, zone)
            # Jira's index keeps whole seconds.
            return None if found is None else compare(found // 1000, when.at(now) // 1000)
        day = dates.day(item, zone)
        return None if day is None else by_day(day, dates.local(when.at(now), zone).date())

    return test


def by_amount(
    field: FieldDef, sign: str, values: Sequence[Value], context: CompileContext
) -> Match:
    """Compare numbers and durations."""
    numbers = [read_amount(field, value, context) for value in values]
    compare = COMPARE[sign]

    return in_body(field, lambda item, _view: any(compare(item, each) for each in numbers))


def read_amount(field: FieldDef, value: Value, context: CompileContext) -> float:
    """Read a number or a duration (in seconds); raises `BadFilter` when the value is neither."""
    if field.kind == "span":
        found: float | None = dates.span(value.text, number=value.number)
        kind = "a duration such as '4h' or '2d 30m'"
        if found is not None and dates.WORKING.search(value.text.lower()):
            message = "A day counts 8 hours and a week 5 days here; write hours to be exact."
            context.warn(value.offset, message)
    else:
        found, kind = read_decimal(value), "a number"
    if found is None:
        message = f"The value '{value.text}' for field '{field.name}' is not {kind}."
        raise context.refuse(value.offset, message)
    return found


def read_decimal(value: Value) -> float | None:
    """Read a number; None when the value is not one."""
    return float(value.text) if _DECIMAL.fullmatch(value.text) else None


def by_priority(field: FieldDef, sign: str, value: Value, context: CompileContext) -> Match:
    """Compare by the order of the site's `priorities`."""
    ranks = {name.casefold(): -rank for rank, name in enumerate(context.site.priorities)}
    wanted = ranks.get(value.text.casefold())
    if wanted is None and not value.text.isdecimal():
        message = f"The value '{value.text}' does not exist for the field '{field.name}'."
        guess = did_you_mean(value.text, context.site.priorities)
        raise context.refuse(value.offset, message + guess)
    if wanted is None:
        return by_unknown_order(field, sign, value)
    compare = COMPARE[sign]

    def accepts(item: object, _view: View) -> bool | None:
        rank = ranks.get(handle(as_object(item).get("name")) or "")
        return None if rank is None else compare(rank, wanted)

    return Match(accepts=accepts, because="it is not among the site's `priorities`")


def by_unknown_order(field: FieldDef, sign: str, value: Value) -> Match:
    """Compare by an order that is not in the body: only an equal value can be decided."""
    same = by_name(field, [value])
    answer = sign in ("<=", ">=")

    def accepts(item: object, view: View) -> bool | None:
        return answer if same.accepts(item, view) else None

    because = f"the order of {_plural(field.name)} is not in the body"
    if field.kind == "priority":
        because += "; give the site's `priorities`"
    return Match(accepts=accepts, because=because, decidable="sometimes")


def _plural(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def by_number(field: FieldDef, sign: str, value: Value, context: CompileContext) -> Match:
    """Compare keys of one project by their number; another project's key is never a match."""
    if value.text.isdecimal():
        return by_unknown_order(field, sign, value)
    if not KEY.fullmatch(value.text):
        message = f"The issue key '{value.text}' for field '{field.name}' is invalid."
        raise context.refuse(value.offset, message)
    project, _, number = value.text.casefold().rpartition("-")
    compare = COMPARE[sign]

    def accepts(item: object, _view: View) -> bool | None:
        key = handle(as_object(item).get("key")) or ""
        if not KEY.fullmatch(key):
            return None
        its_project, _, its_number = key.rpartition("-")
        return its_project == project and compare(int(its_number), int(number))

    return in_body(field, accepts)
