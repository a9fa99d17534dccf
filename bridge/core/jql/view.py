"""A webhook body as filters read it: a field's values, an empty field, or a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from bridge.core import changelog
from bridge.core.changelog import field_of
from bridge.core.jira_body import as_object, issue_of


class Gap(Enum):
    """Why a field's values are unknown."""

    ABSENT = "is not in the body"
    UNREADABLE = "is not in a form that can be read"


class Partial(tuple[Any, ...]):
    """Some of a field's values: the issue may have more of them than the body holds."""

    __slots__ = ()


#: A field's values; the field is empty when there are none.
Values = Sequence[Any]

_LARGEST: Final = 10**18


class View:
    """One body at one instant."""

    __slots__ = ("body", "fields", "issue", "now")

    def __init__(self, body: Mapping[str, Any], now: int) -> None:
        self.body = body
        #: In ms since the epoch.
        self.now = now
        self.issue = issue_of(body)
        self.fields = as_object(self.issue.get("fields"))

    @property
    def created(self) -> bool:
        """Whether the event reports the issue's creation."""
        return self.body.get("webhookEvent") == "jira:issue_created"

    def changes(self, names: frozenset[str]) -> list[Mapping[str, Any]]:
        """Return the changelog's items about a field, by its ids in lower case."""
        return [item for item in changelog.changes(self.body) if field_of(item) in names]


def handle(value: object) -> str | None:
    """Return a name, key or id in the form for comparing names; None for other values."""
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST:
        return str(value)
    return None
