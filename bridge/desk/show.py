"""The history of one event: its sightings, verdicts, deliveries, attempts, and operators' deeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.desk import EventHistory, instant
from bridge.errors import NotFound
from bridge.store import Store

#: Columns that hold instants, in ms since the epoch.
_INSTANTS = frozenset({"at", "received", "time", "created", "updated", "hold_until", "as_of"})
#: Columns that mean something only within the store.
_INTERNAL = frozenset({"lane", "revision"})


def find_event(store: Store, prefix: str) -> str:
    """Return the id of the one event that begins with a prefix; raises `NotFound`."""
    found = store.history.find_events(prefix) if prefix else []
    if not found:
        raise NotFound(f"there is no event {prefix}")
    if len(found) > 1:
        raise NotFound(f"several events begin with {prefix}: {found[0]}, {found[1]}, ...")
    return found[0]


def history_of(store: Store, prefix: str) -> EventHistory:
    """Gather the history of the one event whose id begins with a prefix; raises `NotFound`."""
    event = find_event(store, prefix)
    found = store.history.event(event)
    if found is None:
        raise NotFound(f"event {event} is no longer kept")
    return found


def as_dict(found: EventHistory, *, body: bool = False) -> dict[str, Any]:
    """Return a history as plain data, with `body` also the body as it arrived."""
    values: dict[str, Any] = {
        **_row(found.event),
        "verdicts": [_row(row, "event") for row in found.verdicts],
        "deliveries": [_row(row, "event") for row in found.deliveries],
        "attempts": [_row(row, "id") for row in found.attempts],
        "sightings": [_row(row, "site") for row in found.sightings],
        "actions": [_row(row, "event", "id") for row in found.actions],
        "body_kept": found.body is not None,
    }
    if body:
        values["body"] = None if found.body is None else found.body.decode("utf-8", "replace")
    return values


def _row(row: Mapping[str, Any], *left_out: str) -> dict[str, Any]:
    # The names of columns are a subclass of str that JSON writers refuse.
    return {
        str(name): instant(value) if name in _INSTANTS else value
        for name, value in row.items()
        if name not in left_out and name not in _INTERNAL
    }
