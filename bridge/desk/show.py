"""One event's whole life: who told of it, what was decided, where it went, who stepped in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.desk import instant
from bridge.errors import NotFound
from bridge.store import Store
from bridge.store import operators as mending
from bridge.store.history import Life, life

#: Columns that hold instants.
_INSTANTS = frozenset({"at", "received", "time", "created", "updated", "hold_until", "as_of"})
#: Of no use to anyone outside the store.
_INNER = frozenset({"lane", "revision"})


def identify(store: Store, beginning: str) -> str:
    """Find the one event whose id begins so; raises `NotFound`."""
    with store.reading() as conn:
        found = mending.find_events(conn, beginning) if beginning else []
    if not found:
        raise NotFound(f"there is no event {beginning}")
    if len(found) > 1:
        raise NotFound(f"several events begin with {beginning}: {found[0]}, {found[1]}, ...")
    return found[0]


def whole(store: Store, beginning: str) -> Life:
    """Gather an event's life; the beginning of its id will do. Raises `NotFound`."""
    event = identify(store, beginning)
    with store.reading() as conn:
        found = life(conn, event)
    if found is None:
        raise NotFound(f"event {event} is no longer kept")
    return found


def told(found: Life, *, body: bool = False) -> dict[str, Any]:
    """Say a life as plain data."""
    said: dict[str, Any] = {
        **_row(found.event),
        "verdicts": [_row(row, "event") for row in found.verdicts],
        "deliveries": [_row(row, "event") for row in found.deliveries],
        "attempts": [_row(row, "id") for row in found.attempts],
        "sightings": [_row(row, "site") for row in found.sightings],
        "actions": [_row(row, "event", "id") for row in found.actions],
        "body_kept": found.body is not None,
    }
    if body:
        said["body"] = None if found.body is None else found.body.decode("utf-8", "replace")
    return said


def _row(row: Mapping[str, Any], *left_out: str) -> dict[str, Any]:
    # The names of columns are a kind of str that no JSON writer takes for one.
    return {
        str(name): instant(value) if name in _INSTANTS else value
        for name, value in row.items()
        if name not in left_out and name not in _INNER
    }
