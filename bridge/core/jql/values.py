"""Whether one value of a field is what a filter asks for: by name, id, number, date or words."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from bridge.core.jql import dates
from bridge.core.jql.complaints import nearest
from bridge.core.jql.dates import Instant
from bridge.core.jql.fields import Known
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import Value
from bridge.core.jql.text import Unfaithful, search
from bridge.core.jql.view import View, handle, mapping

#: Whether a value is wanted; None: the body says too little of it.
Holds = Callable[[Any, View], bool | None]
_Compare = Callable[[Any, Any], bool]

COMPARE: Final[Mapping[str, _Compare]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
}
_KEY: Final = re.compile(r"[^\W\d_]\w*-\d{1,15}")
_PROJECT_KEY: Final = re.compile(r"[A-Z][A-Z0-9_]+")
_DECIMAL: Final = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_ACCOUNT: Final = re.compile(r"[0-9a-f]{24}|\d+:[0-9a-f-]{36}|(?:qm|ug):.+", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T|$)", re.ASCII)
_USER: Final = ("accountId", "name", "key", "emailAddress", "displayName")
_OPTION: Final = ("value", "name", "key", "id")
#: Cloud's own status categories: English name -> key, which no language changes.
_CATEGORIES: Final = {"to do": "new", "in progress": "indeterminate", "done": "done"}
_DAY: Final = len("2026-01-31")


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A comparison, and what it means when it cannot tell."""

    holds: Holds
    because: str
    #: "clear"; "dim" where it often cannot tell, "blind" where it never can.
    sight: str = "clear"
    #: A field without a value is what it asks for.
    empty: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """An instant a filter names."""

    at: Instant
    #: The last moment of a period: a day it falls on is before it.
    end: bool = False


def equal(known: Known, values: Sequence[Value], setting: Setting) -> Match:
    """Compare with any of several values; raises `errors.BadFilter` for one that cannot be."""
    return _EQUAL.get(known.kind, _by_name)(known, values, setting)


def order(known: Known, sign: str, value: Value, setting: Setting) -> Match:
    """Compare by <, >, <= or >=; raises `errors.BadFilter` for a value that has no order."""
    match known.kind:
        case "date" | "day":
            return dated(known, sign, [when(known, value, setting)], setting)
        case "number" | "span":
            return _counted(known, sign, [value], setting)
        case "priority" if setting.site.priorities:
            return _by_priority(known, sign, value, setting)
        case "key":
            return _by_number(known, sign, value, setting)
        case "custom":
            return _custom_order(known, sign, value, setting)
        case _:
            return _unordered(known, sign, value)


def find(known: Known, value: Value, setting: Setting) -> Match:
    """Search for words, or for a name with wildcards; raises `errors.BadFilter` with the reason."""
    if known.kind in ("key", "version"):
        pattern = re.compile(fnmatch.translate(value.text.casefold()))
        return _in_body(known, lambda item, _view: _like(pattern, item, known.handles[0]))
    try:
        found = search(value.text)
    except Unfaithful as error:
        message = (
            f"The text search for '{value.text}' cannot be done faithfully here: {error}. "
            'Words, "phrases" and a * at the end of a word can.'
        )
        raise setting.refuse(value.offset, message) from error
    because = "only the site's text index knows whether a form of the word counts"
    return Match(
        holds=lambda item, _view: found(item) if isinstance(item, str) else None, because=because
    )


def _in_body(known: Known, holds: Holds) -> Match:
    return Match(holds=holds, because=f"{known.name} is not in a form that can be read")


def _holds(found: str | None, wanted: frozenset[str]) -> bool | None:
    return None if found is None else found in wanted


def _folded(values: Sequence[Value]) -> frozenset[str]:
    return frozenset(value.text.casefold() for value in values)


def _like(pattern: re.Pattern[str], item: object, part: str) -> bool | None:
    found = handle(mapping(item).get(part))
    return None if found is None else pattern.match(found) is not None


def named(known: Known, values: Sequence[Value]) -> Match:
    """Compare objects by name, key or id."""
    wanted = _folded(values)
    if known.kind == "category":
        wanted |= {_CATEGORIES[name] for name in wanted & _CATEGORIES.keys()}
    handles = known.handles
    # A value may be an id only when it is a number, and in capitals it is a project's key.
    by_id = any(value.text.isdecimal() for value in values)
    keyed = "key" in handles
    by_key = keyed and any(not value.text.isdecimal() for value in values)
    by_name = any(
        not (value.text.isdecimal() or (keyed and _PROJECT_KEY.fullmatch(value.text)))
        for value in values
    )
    needed = [
        part
        for part, asked in (("id", by_id), ("key", by_key), ("name", by_name))
        if asked and part in handles
    ]

    def holds(item: object, _view: View) -> bool | None:
        if not isinstance(item, dict):
            return None
        for part in handles:
            told = item.get(part)
            if (told.casefold() if isinstance(told, str) else handle(told)) in wanted:
                return True
        for part in needed:
            if handle(item.get(part)) is None:
                return None
        return False

    parts = " or ".join(needed)
    return Match(holds=holds, because=f"the {parts} of {known.name} is not in the body")


def user(values: Sequence[Value]) -> Match:
    """Compare people by account id, user name, key, e-mail or display name."""
    wanted = _folded(values)
    mails = any("@" in value.text for value in values)
    accounts = any(_ACCOUNT.fullmatch(value.text) for value in values)
    names = any("@" not in v.text and not _ACCOUNT.fullmatch(v.text) for v in values)

    def holds(item: object, _view: View) -> bool | None:
        if not isinstance(item, dict):
            return None
        told = {part: handle(item.get(part)) for part in _USER}
        if not wanted.isdisjoint(told.values()):
            return True
        # Cloud has no user names and Data Center no account ids: one of them is enough.
        known = told["accountId"] or told["name"]
        unsure = (
            (mails and told["emailAddress"] is None)
            or (accounts and known is None)
            or (names and (told["displayName"] is None or known is None))
        )
        return None if unsure else False

    because = "the body does not tell the user's e-mail address, or who it is at all"
    return Match(holds=holds, because=f"{because}; account ids are surest")


def _key(known: Known, values: Sequence[Value], setting: Setting) -> Match:
    loose = [v for v in values if not (v.text.isdecimal() or _KEY.fullmatch(v.text))]
    if loose and known.kind == "key":
        message = f"The issue key '{loose[0].text}' for field '{known.name}' is invalid."
        raise setting.refuse(loose[0].offset, message)
    inner = named(known, values)

    def holds(item: object, view: View) -> bool | None:
        found = inner.holds({"key": item} if isinstance(item, str) else item, view)
        return None if loose and not found else found

    because = f"{known.name} is told by key, not by name" if loose else inner.because
    return Match(holds=holds, because=because)


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

    return _in_body(known, holds)


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


def _counted(known: Known, sign: str, values: Sequence[Value], setting: Setting) -> Match:
    numbers = [_number(known, value, setting) for value in values]
    compare = COMPARE[sign]

    def holds(item: object, _view: View) -> bool | None:
        if not isinstance(item, (int, float)):
            return None
        return any(compare(item, number) for number in numbers)

    return _in_body(known, holds)


def _number(known: Known, value: Value, setting: Setting) -> float:
    if known.kind == "span":
        found: float | None = dates.span(value.text, number=value.number)
        kind = "a duration such as '4h' or '2d 30m'"
        if found is not None and dates.WORKING.search(value.text.lower()):
            message = "A day counts 8 hours and a week 5 days here; write hours to be exact."
            setting.warn(value.offset, message)
    else:
        found, kind = _decimal(value), "a number"
    if found is None:
        message = f"The value '{value.text}' for field '{known.name}' is not {kind}."
        raise setting.refuse(value.offset, message)
    return found


def _decimal(value: Value) -> float | None:
    return float(value.text) if _DECIMAL.fullmatch(value.text) else None


def _by_priority(known: Known, sign: str, value: Value, setting: Setting) -> Match:
    ranks = {name.casefold(): -rank for rank, name in enumerate(setting.site.priorities)}
    wanted = ranks.get(value.text.casefold())
    if wanted is None and not value.text.isdecimal():
        message = f"The value '{value.text}' does not exist for the field '{known.name}'."
        guess = nearest(value.text, setting.site.priorities)
        raise setting.refuse(value.offset, message + guess)
    if wanted is None:
        return _unordered(known, sign, value)
    compare = COMPARE[sign]

    def holds(item: object, _view: View) -> bool | None:
        rank = ranks.get(handle(mapping(item).get("name")) or "")
        return None if rank is None else compare(rank, wanted)

    return Match(holds=holds, because="it is not among the site's `priorities`")


def _unordered(known: Known, sign: str, value: Value) -> Match:
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


def _by_number(known: Known, sign: str, value: Value, setting: Setting) -> Match:
    if value.text.isdecimal():
        return _unordered(known, sign, value)
    if not _KEY.fullmatch(value.text):
        message = f"The issue key '{value.text}' for field '{known.name}' is invalid."
        raise setting.refuse(value.offset, message)
    project, _, number = value.text.casefold().rpartition("-")
    compare = COMPARE[sign]

    def holds(item: object, _view: View) -> bool | None:
        key = handle(mapping(item).get("key")) or ""
        if not _KEY.fullmatch(key):
            return None
        its_project, _, its_number = key.rpartition("-")
        return its_project == project and compare(int(its_number), int(number))

    return _in_body(known, holds)


def _custom(known: Known, values: Sequence[Value], setting: Setting) -> Match:
    wanted = _folded(values)
    numbers = [number for number in map(_decimal, values) if number is not None]
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

    return _in_body(known, holds)


def _is_date(item: str) -> bool:
    return _DATE.match(item) is not None


def _is_number(item: object) -> bool:
    return isinstance(item, (int, float)) and not isinstance(item, bool)


def _option(values: Sequence[Value]) -> Holds:
    wanted = _folded(values)
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


def _custom_order(known: Known, sign: str, value: Value, setting: Setting) -> Match:
    number = _decimal(value)
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


def _by_name(known: Known, values: Sequence[Value], _setting: Setting) -> Match:
    return named(known, values)


def _by_user(_known: Known, values: Sequence[Value], _setting: Setting) -> Match:
    return user(values)


def _by_date(known: Known, values: Sequence[Value], setting: Setting) -> Match:
    return dated(known, "=", [when(known, value, setting) for value in values], setting)


def _by_amount(known: Known, values: Sequence[Value], setting: Setting) -> Match:
    return _counted(known, "=", values, setting)


def _by_label(known: Known, values: Sequence[Value], _setting: Setting) -> Match:
    wanted = _folded(values)
    return _in_body(known, lambda item, _view: _holds(handle(item), wanted))


_EQUAL: Final[Mapping[str, Callable[[Known, Sequence[Value], Setting], Match]]] = {
    "user": _by_user,
    "key": _key,
    "epic": _key,
    "date": _by_date,
    "day": _by_date,
    "number": _by_amount,
    "span": _by_amount,
    "label": _by_label,
    "custom": _custom,
}
