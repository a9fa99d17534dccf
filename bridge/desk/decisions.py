"""The decision log: the verdicts on each event, with their reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from bridge.core import ids
from bridge.desk import LogEntry, Query, instant
from bridge.store import Store

#: The keys of an entry as plain data, in the order of the columns of CSV.
FIELDS = (
    "event",
    "time",
    "hook",
    "source",
    "name",
    "record",
    "key",
    "route",
    "destination",
    "verdict",
    "stage",
    "reason",
    "state",
    "effects",
    "first",
    "trouble",
)
#: The keys that are left out when they are empty.
_OPTIONAL = ("first", "trouble")
#: The keys whose values are not those of the fields of the same name.
_CONVERTED = ("time", "effects", "trouble")
#: How long after its arrival an event is read again, in ms: it may have been kept a moment later
#: than a younger one, or decided only after its grace.
WINDOW_MS = 60_000
#: How long the upload of a body may take, in ms. An event's id has the instant of its first byte,
#: and `received` that of its last.
_UPLOAD_MS = 300_000
#: How long `follow` waits before it reads the log again, in seconds.
FOLLOW_POLL_S = 0.5


def as_dict(entry: LogEntry) -> dict[str, Any]:
    """Return an entry as plain data: the contract of `log --json`."""
    values = {
        **{name: getattr(entry, name) for name in FIELDS if name not in _CONVERTED},
        "time": instant(entry.received),
        "effects": list(entry.identities),
        "trouble": entry.error,
    }
    return {name: values[name] for name in FIELDS if values[name] or name not in _OPTIONAL}


def read(store: Store, query: Query, *, limit: int | None = None) -> Iterator[LogEntry]:
    """Read the log in order of arrival; with a limit, only the last so many events."""
    bounded = _bounded(query)
    if limit is None:
        yield from store.history.entries(bounded)
        return
    found = list(store.history.entries(bounded, limit=limit, newest=True))
    events = [list(entries) for _, entries in groupby(found, key=lambda entry: entry.event)]
    for entries in reversed(events):
        yield from entries


def _bounded(query: Query) -> Query:
    """Exclude earlier events by their ids: no index contains `received`."""
    if query.since is None or query.after:
        return query
    return replace(query, after=ids.event_id(query.since - _UPLOAD_MS))


def follow(
    store: Store, query: Query, *, after: str = "", wait: Callable[[float], bool]
) -> Iterator[LogEntry]:
    """Yield new decisions as they are made, also those on events that were undecided before.

    `after` is the last event whose entries are known already. `wait` gets a number of seconds;
    once it returns True, the log is read one last time.
    """
    seen: dict[tuple[str, ...], int] = {}
    known, ended = after, False
    while True:
        since = store.now() - WINDOW_MS
        for entry in read(store, replace(query, since=max(since, query.since or 0))):
            decision = (entry.event, entry.route, entry.destination, entry.verdict)
            if decision not in seen and entry.event > known:
                yield entry
            seen[decision] = entry.received
        seen = {decision: at for decision, at in seen.items() if at >= since}
        if ended:
            return
        known, ended = "", wait(FOLLOW_POLL_S)
