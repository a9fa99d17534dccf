"""What a clause found, or missed, in words; comments and descriptions are never quoted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.core.jql.known import Known
from bridge.core.jql.view import Gap, Values, View, handle
from bridge.core.printable import one_line

#: From a body and the answer given to what was found.
Found = Callable[[View, bool | None], str]

_LONGEST: Final = 120
_MOST: Final = 5
_UNREADABLE: Final = "nothing that can be read"
#: What people and values of custom fields are shown by, and in what order.
_SHOWN: Final = {
    "user": ("displayName", "name", "emailAddress", "accountId"),
    "custom": ("value", "displayName", "name", "key", "id"),
}


def found(known: Known, because: str, *, searched: bool = False, positive: bool = True) -> Found:
    """Make the reasons of a clause; `because` is what an unknown means when the field is there."""
    name, read = known.name, known.read
    described = _described(known)
    hidden = known.kind == "text" and searched

    def tell(view: View, value: bool | None) -> str:
        items = read(view)
        if isinstance(items, Gap):
            return because if known.elsewhere else f"{name} {items.value}"
        if value is None:
            return because
        if items and hidden:
            return f"{name} has it" if value is positive else f"{name} does not have it"
        return f"{name} is {described(items)}"

    return tell


def found_past(known: Known, because: str) -> Found:
    """Make the reasons of a clause about the past."""
    described = _described(known)

    def tell(view: View, value: bool | None) -> str:
        if value is None:
            return because
        items = known.read(view)
        told = [] if isinstance(items, Gap) else [f"{known.name} is {described(items)}"]
        told += [
            f"this event changed it from {_quoted(change.get('fromString'))} "
            f"to {_quoted(change.get('toString'))}"
            for change in view.changes(known.history)
        ]
        told += ["the issue has just been created"] if view.created else []
        return ", ".join(told) or because

    return tell


def _described(known: Known) -> Callable[[Values], str]:
    if known.kind == "text":
        return lambda items: "not empty" if items else "empty"
    handles = _SHOWN.get(known.kind, known.handles)

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
        told = item.get(part)
        if told and handle(told):
            return _quoted(told)
    return _UNREADABLE


def _quoted(value: object) -> str:
    if isinstance(value, str):
        return f'"{short(one_line(value))}"'
    if isinstance(value, float):
        return str(value)
    return handle(value) or ("nothing" if value is None else _UNREADABLE)


def short(text: str) -> str:
    """Cut a long text."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
