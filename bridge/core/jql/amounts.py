"""Whether a value of a field is as much, or as late, as a filter asks for."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from bridge.core.jql import dates
from bridge.core.jql.complaints import did_you_mean
from bridge.core.jql.dates import Instant
from bridge.core.jql.known import Known
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import Value
from bridge.core.jql.values import KEY, Match, in_body, named
from bridge.core.jql.view import View, handle, mapping

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
    """An instant a filter names."""

    at: Instant
    #: The last moment of a period: a day it falls on is before it.
    end: bool = False


def when(known: Known, value: Value, setting: Setting) -> When:
    """Read an instant as written in a filter; raises `errors.BadFilter` when it is none."""
    at = dates.literal(value.text, number=value.number, zone=setting.zone)
    if at is None:
        message = f"Date value '{value.text}' for field '{known.name}' is invalid. {dates.FORMATS}"
        if dates.MONTHS.search(value.text):
            message += " There is no unit for months: use startOfMonth(-1) or weeks."
        raise setting.refuse(value.offset, message)
    if dates.MONTH_LIKE.fullmatch(value.text):
        message = f"'{value.text}' is in minutes; relative dates have no unit for months."
        setting.warn(value.offset, message)
    return When(at=at)


def dated(known: Known, sign: str, whens: Sequence[When], setting: Setting) -> Match:
    """Compare instants, and days where the body tells a day."""
    tests = [_date_test(sign, when, setting.zone, days=known.kind == "day") for when in whens]

    def holds(item: object, view: View) -> bool | None:
        if not isinstance(item, str):
            return None
        answers = [test(item, view.now) for test in tests]
        return True if True in answers else None if None in answers else False

    return in_body(known, holds)


def _date_test(
    sign: str, when: When, zone: tzinfo, *, days: bool
) -> Callable[[str, int], bool | None]:
    compare = COMPARE[sign]
    # The end of a day is that day and later than its beginning.
    by_day = COMPARE[{"<": "<=", ">=": ">"}.get(sign, sign)] if when.end else compare

    def test(item: str, now: int) -> bool | None:
        if len(item) > _DAY and not days:
            found = dates.read(item, zone)
            # Jira's index keeps whole seconds.
            return None if found is None else compare(found // 1000, when.at(now) // 1000)
        day = dates.day(item, zone)
        return None if day is None else by_day(day, dates.local(when.at(now), zone).date())

    return test


def counted(known: Known, sign: str, values: Sequence[Value], setting: Setting) -> Match:
    """Compare numbers and amounts of time."""
    numbers = [number(known, value, setting) for value in values]
    compare = COMPARE[sign]

    return in_body(known, lambda item, _view: any(compare(item, each) for each in numbers))


def number(known: Known, value: Value, setting: Setting) -> float:
    """Read an amount as written in a filter; raises `errors.BadFilter` when it is none."""
    if known.kind == "span":
        found: float | None = dates.span(value.text, number=value.number)
        kind = "a duration such as '4h' or '2d 30m'"
        if found is not None and dates.WORKING.search(value.text.lower()):
            message = "A day counts 8 hours and a week 5 days here; write hours to be exact."
            setting.warn(value.offset, message)
    else:
        found, kind = decimal(value), "a number"
    if found is None:
        message = f"The value '{value.text}' for field '{known.name}' is not {kind}."
        raise setting.refuse(value.offset, message)
    return found


def decimal(value: Value) -> float | None:
    """Read a number, or give None when it is none."""
    return float(value.text) if _DECIMAL.fullmatch(value.text) else None


def by_priority(known: Known, sign: str, value: Value, setting: Setting) -> Match:
    """Compare by the order the site gives its priorities."""
    ranks = {name.casefold(): -rank for rank, name in enumerate(setting.site.priorities)}
    wanted = ranks.get(value.text.casefold())
    if wanted is None and not value.text.isdecimal():
        message = f"The value '{value.text}' does not exist for the field '{known.name}'."
        guess = did_you_mean(value.text, setting.site.priorities)
        raise setting.refuse(value.offset, message + guess)
    if wanted is None:
        return unordered(known, sign, value)
    compare = COMPARE[sign]

    def holds(item: object, _view: View) -> bool | None:
        rank = ranks.get(handle(mapping(item).get("name")) or "")
        return None if rank is None else compare(rank, wanted)

    return Match(holds=holds, because="it is not among the site's `priorities`")


def unordered(known: Known, sign: str, value: Value) -> Match:
    """Compare by an order no body tells: only what is equal is surely not less or greater."""
    same = named(known, [value])
    answer = sign in ("<=", ">=")

    def holds(item: object, view: View) -> bool | None:
        return answer if same.holds(item, view) else None

    because = f"the order of {_plural(known.name)} is not in the body"
    if known.kind == "priority":
        because += "; give the site's `priorities`"
    return Match(holds=holds, because=because, sight="dim")


def _plural(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def by_number(known: Known, sign: str, value: Value, setting: Setting) -> Match:
    """Compare keys of one project by their number; another project's key is never a match."""
    if value.text.isdecimal():
        return unordered(known, sign, value)
    if not KEY.fullmatch(value.text):
        message = f"The issue key '{value.text}' for field '{known.name}' is invalid."
        raise setting.refuse(value.offset, message)
    project, _, number = value.text.casefold().rpartition("-")
    compare = COMPARE[sign]

    def holds(item: object, _view: View) -> bool | None:
        key = handle(mapping(item).get("key")) or ""
        if not KEY.fullmatch(key):
            return None
        its_project, _, its_number = key.rpartition("-")
        return its_project == project and compare(int(its_number), int(number))

    return in_body(known, holds)
