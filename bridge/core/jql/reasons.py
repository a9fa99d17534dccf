"""The reason for a clause's answer, in words; comments and descriptions are never quoted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.view import Gap, Values, View, handle
from bridge.core.printable import one_line

#: Returns the reason, for a body and the answer to it.
Reasons = Callable[[View, bool | None], str]

_LONGEST: Final = 120
_MOST: Final = 5
_UNREADABLE: Final = "nothing that can be read"
#: The keys to show people and values of custom fields by, the best first.
_SHOWN: Final = {
    "user": ("displayName", "name", "emailAddress", "accountId"),
    "custom": ("value", "displayName", "name", "key", "id"),
}


def reasons(
    field: FieldDef, because: str, *, searched: bool = False, positive: bool = True
) -> Reasons:
    """Return the reasons of a clause; `because` explains an unknown answer to a present field."""
    name, read = field.name, field.read
    described = _described(field)
    hidden = field.kind == "text" and searched

    def reason(view: View, value: bool | None) -> str:
        items = read(view)
        if isinstance(items, Gap):
            return because if field.not_in_webhook else f"{name} {items.value}"
        if value is None:
            return because
        if items and hidden:
            return f"{name} has it" if value is positive else f"{name} does not have it"
        return f"{name} is {described(items)}"

    return reason


def past_reasons(field: FieldDef, because: str) -> Reasons:
    """Return the reasons of a WAS or CHANGED clause."""
    described = _described(field)

    def reason(view: View, value: bool | None) -> str:
        if value is None:
            return because
        items = field.read(view)
        facts = [] if isinstance(items, Gap) else [f"{field.name} is {described(items)}"]
        facts += [
            f"this event changed it from {_quoted(change.get('fromString'))} "
            f"to {_quoted(change.get('toString'))}"
            for change in view.changes(field.history)
        ]
        facts += ["the issue has just been created"] if view.created else []
        return ", ".join(facts) or because

    return reason


def _described(field: FieldDef) -> Callable[[Values], str]:
    if field.kind == "text":
        return lambda items: "not empty" if items else "empty"
    handles = _SHOWN.get(field.kind, field.handles)

    def described(items: Values) -> str:
        if len(items) == 1:
            return _name(items[0], handles)
        shown = [_name(item, handles) for item in items[:_MOST]]
        if len(items) > _MOST:
            shown.append(f"{len(items) - _MOST} more")
        return ", ".join(shown) or "empty"

    return described


def _name(item: object, handles: tuple[str, ...]) -> str:
    if not isinstance(item, dict):
        return _quoted(item)
    for part in handles:
        value = item.get(part)
        if value and handle(value):
            return _quoted(value)
    return _UNREADABLE


def _quoted(value: object) -> str:
    if isinstance(value, str):
        return f'"{short(one_line(value))}"'
    if isinstance(value, float):
        return str(value)
    return handle(value) or ("nothing" if value is None else _UNREADABLE)


def short(text: str) -> str:
    """Return the text, cut when it is long."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
