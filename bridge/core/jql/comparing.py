"""The comparison a clause makes, chosen by the kind of its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bridge.core.jql import amounts, custom, values
from bridge.core.jql.complaints import did_you_mean
from bridge.core.jql.known import Known
from bridge.core.jql.setting import Setting
from bridge.core.jql.syntax import Value
from bridge.core.jql.values import Match


def equal(known: Known, asked: Sequence[Value], setting: Setting) -> Match:
    """Compare with any of several values; raises `errors.BadFilter` for one that cannot be."""
    return _EQUAL.get(known.kind, _by_name)(known, asked, setting)


def order(known: Known, sign: str, value: Value, setting: Setting) -> Match:
    """Compare by <, >, <= or >=; raises `errors.BadFilter` for a value that has no order."""
    match known.kind:
        case "date" | "day":
            return amounts.dated(known, sign, [amounts.when(known, value, setting)], setting)
        case "number" | "span":
            return amounts.counted(known, sign, [value], setting)
        case "priority" if setting.site.priorities:
            return amounts.by_priority(known, sign, value, setting)
        case "key":
            return amounts.by_number(known, sign, value, setting)
        case "custom":
            return custom.order(known, sign, value, setting)
        case _:
            return amounts.unordered(known, sign, value)


def _by_name(known: Known, asked: Sequence[Value], _setting: Setting) -> Match:
    return values.named(known, asked)


def _by_priority(known: Known, asked: Sequence[Value], setting: Setting) -> Match:
    known_names = {name.casefold() for name in setting.site.priorities}
    for value in asked:
        if known_names and not (value.text.isdecimal() or value.text.casefold() in known_names):
            guess = did_you_mean(value.text, setting.site.priorities)
            message = f"'{value.text}' is not among the site's priorities.{guess}"
            setting.warn(value.offset, message)
    return values.named(known, asked)


def _by_user(_known: Known, asked: Sequence[Value], setting: Setting) -> Match:
    for value in asked:
        if "@" in value.text:
            message = (
                f"Where Jira hides the address '{value.text}', this is unknown; "
                "account ids are surest."
            )
            setting.warn(value.offset, message)
    return values.user(asked)


def _by_date(known: Known, asked: Sequence[Value], setting: Setting) -> Match:
    return amounts.dated(
        known, "=", [amounts.when(known, value, setting) for value in asked], setting
    )


def _by_amount(known: Known, asked: Sequence[Value], setting: Setting) -> Match:
    return amounts.counted(known, "=", asked, setting)


_EQUAL: Final[Mapping[str, Callable[[Known, Sequence[Value], Setting], Match]]] = {
    "priority": _by_priority,
    "user": _by_user,
    "key": values.key,
    "epic": values.key,
    "date": _by_date,
    "day": _by_date,
    "number": _by_amount,
    "span": _by_amount,
    "label": values.label,
    "custom": custom.equal,
}
