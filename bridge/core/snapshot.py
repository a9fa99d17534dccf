"""A full body of a record that an earlier event brought, which fills in what a later one lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.jira_body import completed


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A full body of a record, kept from another event."""

    #: The id of that event.
    event: str
    #: When that event arrived, as text for a reason.
    when: str
    body: Mapping[str, Any]
    #: That event reports the same change in full, and its state is not older.
    counterpart: bool = False
    #: Which state of the record the body shows: `Event.as_of` and `Event.change_id`.
    state: tuple[int, int] = (0, 0)

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body with its record filled in; the body's own values win."""
        return completed(body, self.body)

    @property
    def source(self) -> str:
        """Where the filled-in values come from, as the end of a reason."""
        if self.counterpart:
            return f" (as in event {self.event}, which reports the same change)"
        return f" (as remembered from event {self.event} of {self.when})"


def newest_of(first: Snapshot | None, second: Snapshot | None) -> Snapshot | None:
    """Return the snapshot of the newer state; the first of two equal or incomparable ones."""
    if first is None or second is None:
        return first or second
    return second if first.state[0] and second.state > first.state else first
