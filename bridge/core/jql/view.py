"""What a filter sees of one webhook body: values that are there, empty, or not told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final


class Gap(Enum):
    """Why a field's values are not known."""

    ABSENT = "is not in the body"
    UNREADABLE = "is not in a form that can be read"


class Partial(tuple[Any, ...]):
    """Some of a field's values: there may be more that the body does not tell."""

    __slots__ = ()


#: A field's values; none at all means that it is empty.
Values = Sequence[Any]
Reader = Callable[["View"], Values | Gap]

_NOTHING: Final[Mapping[str, Any]] = {}
_LARGEST: Final = 10**18


class View:
    """One body at one instant."""

    __slots__ = ("body", "fields", "issue", "now")

    def __init__(self, body: Mapping[str, Any], now: int) -> None:
        self.body = body
        self.now = now
        issue = body.get("issue")
        self.issue = issue if isinstance(issue, dict) else _NOTHING
        fields = self.issue.get("fields")
        self.fields = fields if isinstance(fields, dict) else _NOTHING

    @property
    def created(self) -> bool:
        """Whether this tells of the issue's creation."""
        return self.body.get("webhookEvent") == "jira:issue_created"

    def changes(self, names: frozenset[str]) -> list[Mapping[str, Any]]:
        """Give the changelog's items about a field, by its names in lower case."""
        items = mapping(self.body.get("changelog")).get("items")
        if not isinstance(items, list):
            return []
        return [item for item in items if isinstance(item, dict) and _name(item) in names]


def _name(item: Mapping[str, Any]) -> str | None:
    return handle(item.get("fieldId") or item.get("field"))


def mapping(value: object) -> Mapping[str, Any]:
    """Give a JSON object as it is and anything else as an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def handle(value: object) -> str | None:
    """Give a name, key or id as names are compared, or None when it is none."""
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST:
        return str(value)
    return None


def single(name: str, *types: type) -> Reader:
    """Read a field that has one value."""

    def read(view: View) -> Values | Gap:
        value = view.fields.get(name, Gap.ABSENT)
        if isinstance(value, types):
            return (value,) if value != "" else ()
        if value is None:
            return ()
        return value if value is Gap.ABSENT else Gap.UNREADABLE

    return read


def several(name: str) -> Reader:
    """Read a field that has a list of values."""

    def read(view: View) -> Values | Gap:
        value = view.fields.get(name, Gap.ABSENT)
        if isinstance(value, list):
            return value
        if value is None:
            return ()
        return value if value is Gap.ABSENT else Gap.UNREADABLE

    return read


def within(outer: str, inner: str, *types: type) -> Reader:
    """Read one value inside an object."""

    def read(view: View) -> Values | Gap:
        holder = view.fields.get(outer, Gap.ABSENT)
        if not isinstance(holder, dict):
            return () if holder is None else Gap.ABSENT
        value = holder.get(inner, Gap.ABSENT)
        if value is None:
            return ()
        if isinstance(value, types) and not isinstance(value, bool):
            return (value,)
        return value if value is Gap.ABSENT else Gap.UNREADABLE

    return read
