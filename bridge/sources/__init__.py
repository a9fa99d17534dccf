"""The kinds of sender: one module each, and its file name is the word of a hook's `source`."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import cast

from bridge.core.storable import storable_event
from bridge.errors import NotFound
from bridge.model import Event, Request, Source


@cache
def names() -> tuple[str, ...]:
    """Every source there is, in alphabetical order."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


@cache
def events() -> frozenset[str]:
    """Return the words that a route's `events` can name, of all sources."""
    return frozenset(word for name in names() for word in get(name).EVENTS)


@cache
def record_events() -> frozenset[str]:
    """Return the words of events about a record: a route without `events` takes all of these."""
    return frozenset(word for name in names() for word in get(name).RECORD_EVENTS)


def get(name: str) -> Source:
    """Return the source of that name; raises `NotFound`, which lists those there are."""
    if name not in names():
        raise NotFound(f"there is no source {name!r}; there are: {', '.join(names())}")
    return cast("Source", import_module(f"{__name__}.{name}"))


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBody:
    """The body of an event, as the database has it, with what the event was read with."""

    #: The event's id.
    event: str
    #: The kind of sender.
    source: str
    hook: str
    site: str
    #: When it was received, in ms since the epoch.
    received: int
    #: The record's id and key as they were found out when the event was stored.
    record: str
    key: str
    body: bytes


def read_again(stored: StoredBody) -> Event:
    """Read a stored body into the event that is stored with it; raises `Rejected` or `NotFound`."""
    request = Request(
        id=stored.event,
        hook=stored.hook,
        site=stored.site,
        received=stored.received,
        headers={},
        query={},
        body=stored.body,
    )
    events = get(stored.source).read(request)
    found = next((event for event in events if event.id == stored.event), None)
    if found is None:
        raise NotFound(f"the body holds no event {stored.event}")
    return storable_event(replace(found, record=stored.record, key=stored.key))
